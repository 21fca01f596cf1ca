import numpy as np
import pytest

from keras_xcons.metrics import (
    LEVELS,
    THRESHOLDS,
    box_hits,
    box_overlaps,
    centre_gaussian,
    component_overlaps,
    largest_boxes,
    max_box_acc,
    max_box_acc_v2,
    tight_boxes,
)

RANDOM = np.random.default_rng(0)


def spots(*pixels, shape=(8, 8)):
    """One map with a value at each (row, column)."""
    heatmap = np.zeros((1, *shape))
    for row, column, value in pixels:
        heatmap[0, row, column] = value
    return heatmap


def test_thresholds_and_levels():
    assert len(THRESHOLDS) == 50
    assert (THRESHOLDS[0], THRESHOLDS[35], THRESHOLDS[-1]) == (0.0, 0.7, 0.98)
    assert LEVELS == (0.3, 0.5, 0.7)


def test_largest_boxes_by_hand():
    heatmap = spots(
        *[(1, column, 0.4) for column in range(2, 7)],  # 5 pixels
        *[(row, 1, 0.8) for row in range(4, 7)],  # 3 pixels
        (5, 6, 2.0),  # 1 pixel, the maximum
    )
    found = largest_boxes(heatmap, [0.0, 0.2, 0.21, 0.4, 0.41, 1.0])[0] * 8
    line, bar, peak = [1, 2, 2, 7], [4, 1, 7, 2], [5, 6, 6, 7]
    np.testing.assert_allclose(found, [[0, 0, 8, 8], line, bar, bar, peak, peak])
    assert found.dtype == np.float32


def test_the_largest_component_has_the_most_pixels_not_the_largest_box():
    diagonal = [(place, place, 1.0) for place in range(4)]
    block = [(row, column, 1.0) for row in (6, 7) for column in (5, 6, 7)]
    found = largest_boxes(spots(*diagonal, *block), [0.5])[0, 0] * 8
    np.testing.assert_allclose(found, [6, 5, 8, 8])


def test_pixels_that_touch_by_a_corner_are_one_component():
    corner = spots((1, 1, 1.0), (2, 2, 1.0), (3, 1, 1.0), (6, 6, 1.0), (6, 7, 1.0))
    np.testing.assert_allclose(largest_boxes(corner, [0.5])[0, 0] * 8, [1, 1, 4, 3])


def test_the_first_of_equal_components_counts():
    heatmap = spots((5, 0, 1.0), (2, 6, 1.0))
    np.testing.assert_allclose(largest_boxes(heatmap, [0.5])[0, 0] * 8, [2, 6, 3, 7])


def test_components_do_not_reach_over_to_the_next_image():
    one = spots((2, 2, 1.0), (2, 3, 1.0))
    other = spots((2, 3, 1.0), (5, 5, 1.0), (5, 6, 1.0), (5, 7, 1.0))
    found = largest_boxes(np.concatenate([one, other, one]), [0.5])[:, 0] * 8
    np.testing.assert_allclose(found, [[2, 2, 3, 4], [5, 5, 6, 8], [2, 2, 3, 4]])


def test_boxes_of_a_map_that_is_not_square():
    heatmap = spots((1, 5, 1.0), shape=(4, 10))
    expected = [0.25, 0.5, 0.5, 0.6]
    np.testing.assert_allclose(largest_boxes(heatmap, [0.5])[0, 0], expected)


def test_an_empty_map_has_no_box_and_no_overlap():
    found = largest_boxes(np.zeros((1, 6, 6)))
    np.testing.assert_array_equal(found, np.zeros((1, 50, 4)))
    overlaps = box_overlaps(found, boxes=[[[0.0, 0.0, 1.0, 1.0]]])
    np.testing.assert_array_equal(overlaps, np.zeros((1, 50)))
    assert not box_hits(overlaps).any()


def test_boxes_do_not_depend_on_the_scale_of_the_map():
    heatmaps = RANDOM.uniform(size=(3, 9, 7))
    found = largest_boxes(heatmaps)
    np.testing.assert_array_equal(largest_boxes(heatmaps * 2.0**-100), found)
    assert len(np.unique(found.reshape(-1, 4), axis=0)) > 10


def test_a_batch_equals_one_by_one():
    heatmaps = RANDOM.uniform(size=(5, 12, 9)) ** 3
    together = largest_boxes(heatmaps)
    alone = [largest_boxes(heatmap[None])[0] for heatmap in heatmaps]
    np.testing.assert_array_equal(together, alone)


def test_overlaps_by_hand():
    found = [[[0.0, 0.0, 0.5, 1.0], [0.25, 0.0, 0.75, 1.0], [0.0, 0.0, 1.0, 1.0]]]
    lower = [[[0.5, 0.0, 1.0, 1.0]]]
    overlaps = box_overlaps(found, boxes=lower)
    assert overlaps.dtype == np.float32
    np.testing.assert_allclose(overlaps, [[0.0, 1 / 3, 0.5]], rtol=1e-6)
    mask = np.zeros((1, 4, 4, 1))
    mask[0, 2, 0] = mask[0, 3, 3] = 1.0  # its box is the lower half
    np.testing.assert_allclose(box_overlaps(found, masks=mask), overlaps)


def test_the_best_of_several_boxes_counts_and_padding_never():
    found = [[[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 0.5, 0.5]]]
    padding = [0.5, 0.5, 0.5, 0.5]
    boxes = [[[0.0, 0.0, 1.0, 1.0], padding, [0.0, 0.0, 0.5, 1.0], [0.6, 0.6, 1, 1]]]
    np.testing.assert_allclose(box_overlaps(found, boxes), [[0.5, 0.0]])
    np.testing.assert_array_equal(box_overlaps(found, [[padding]]), [[0.0, 0.0]])
    np.testing.assert_array_equal(box_overlaps(found, np.zeros((1, 0, 4))), [[0, 0]])


def test_boxes_of_one_image_are_compared_with_all():
    boxes = np.array([[[0.0, 0.0, 1.0, 1.0]], [[0.0, 0.0, 0.5, 0.5]]])
    found = np.array([[[0.0, 0.0, 0.5, 0.5]]])
    np.testing.assert_allclose(box_overlaps(found, boxes), [[0.25], [1.0]])
    twice = np.tile(found, (2, 1, 1))
    np.testing.assert_array_equal(
        box_overlaps(found, boxes), box_overlaps(twice, boxes)
    )


def test_a_map_that_is_its_mask_overlaps_fully():
    masks = (RANDOM.uniform(size=(4, 15, 11, 1)) < 0.9).astype("float32")
    truth = tight_boxes(masks)[:, 0]
    # At this density the largest component spans the image, as the mask does.
    np.testing.assert_array_equal(truth, np.tile([0.0, 0.0, 1.0, 1.0], (4, 1)))
    overlaps = box_overlaps(largest_boxes(masks[..., 0]), masks=masks)
    np.testing.assert_array_equal(overlaps, np.ones((4, 50)))
    mask = spots((3, 4, 1.0))  # one pixel
    overlaps = box_overlaps(largest_boxes(mask), masks=mask[..., None])
    np.testing.assert_allclose(overlaps[0], [1 / 64] + [1.0] * 49)


def blobs(*boxes, shape=(8, 8), value=1.0):
    """One map with a value within each (top, left, bottom, right), in pixels."""
    heatmap = np.zeros((1, *shape))
    for top, left, bottom, right in boxes:
        heatmap[0, top:bottom, left:right] = value
    return heatmap


BIG, SMALL = (0, 0, 4, 8), (6, 5, 8, 8)


def test_the_component_that_fits_counts_not_the_largest():
    heatmap = blobs(BIG, SMALL)
    truth = np.array([[SMALL]]) / 8
    overlaps = component_overlaps(heatmap, truth, thresholds=[0.0, 0.5])
    assert overlaps.dtype == np.float32
    np.testing.assert_allclose(overlaps, [[6 / 64, 1.0]])
    largest = box_overlaps(largest_boxes(heatmap, [0.0, 0.5]), truth)
    np.testing.assert_allclose(largest, [[6 / 64, 0.0]])


def test_component_overlaps_by_hand():
    heatmap = 0.5 * blobs(BIG) + blobs(SMALL)
    # Half of the big blob and a third of the small one's width are the object's.
    truth = np.array([[[0, 0, 2, 8]], [[6, 5, 8, 6]]]) / 8
    heatmaps = np.repeat(heatmap, 2, axis=0)
    overlaps = component_overlaps(heatmaps, truth, thresholds=[0.5, 0.51, 1.0])
    np.testing.assert_allclose(overlaps, [[0.5, 0, 0], [1 / 3] * 3], rtol=1e-6)


def test_components_of_every_shape_have_their_tight_box():
    # Two rings, one within the other, a comb whose teeth meet last, and a pixel.
    rings = blobs((0, 0, 9, 9), shape=(12, 20))
    rings[0, 1:8, 1:8] = 0.0
    rings += blobs((3, 2, 6, 7), shape=(12, 20))
    rings[0, 4, 3:6] = 0.0
    comb = spots(*[(row, 12, 1.0) for row in range(1, 9)], shape=(12, 20))
    comb += spots(*[(row, 18, 1.0) for row in range(3, 9)], shape=(12, 20))
    comb += blobs((9, 10, 10, 19), shape=(12, 20))
    heatmap = rings + comb + spots((11, 19, 1.0), shape=(12, 20))
    sides = np.array([12, 20, 12, 20])
    for box in [(0, 0, 9, 9), (3, 2, 6, 7), (1, 10, 10, 19), (11, 19, 12, 20)]:
        truth = (np.array([[box]]) / sides).astype("float32")
        overlaps = component_overlaps(heatmap, truth, thresholds=[0.5])
        np.testing.assert_array_equal(overlaps, [[1.0]])


def test_components_fit_the_best_of_several_boxes_and_padding_never():
    heatmap = blobs(BIG, SMALL)
    half, third, padding = (0, 0, 2, 8), (6, 5, 8, 6), (6, 5, 6, 8)
    for boxes, expected in [
        ([third, padding], 1 / 3),
        ([third, half, padding], 0.5),
        ([half, SMALL, third], 1.0),
        ([padding, (0, 0, 0, 0)], 0.0),
    ]:
        truth = np.array([boxes]) / 8
        overlaps = component_overlaps(heatmap, truth, thresholds=[0.5])
        np.testing.assert_allclose(overlaps, [[expected]], rtol=1e-6)
    none = component_overlaps(heatmap, np.zeros((1, 0, 4)), thresholds=[0.5])
    np.testing.assert_array_equal(none, [[0.0]])


def test_components_against_the_box_around_a_mask():
    mask = spots((6, 5, 1.0), (7, 7, 1.0))[..., None]  # its box is the small blob
    heatmap = blobs(BIG, SMALL)
    overlaps = component_overlaps(heatmap, masks=mask, thresholds=[0.0, 0.5])
    np.testing.assert_allclose(overlaps, [[6 / 64, 1.0]])
    finer = mask.repeat(2, axis=1).repeat(2, axis=2)
    again = component_overlaps(heatmap, masks=finer, thresholds=[0.0, 0.5])
    np.testing.assert_array_equal(again, overlaps)
    empty = component_overlaps(heatmap, masks=np.zeros_like(mask))
    np.testing.assert_array_equal(empty, np.zeros((1, 50)))


def test_components_touch_by_a_corner():
    heatmap = spots((1, 1, 1.0), (2, 2, 1.0), (3, 1, 1.0), (6, 6, 1.0))
    for box in [(1, 1, 4, 3), (6, 6, 7, 7)]:
        truth = np.array([[box]]) / 8
        overlaps = component_overlaps(heatmap, truth, thresholds=[0.5])
        np.testing.assert_array_equal(overlaps, [[1.0]])


def test_components_of_other_images_and_empty_maps_do_not_count():
    heatmaps = np.concatenate([blobs(BIG), blobs(SMALL), blobs(), blobs(BIG, SMALL)])
    truth = np.tile(np.array(SMALL) / 8, (4, 1, 1))
    overlaps = component_overlaps(heatmaps, truth, thresholds=[0.5, 1.0])
    np.testing.assert_array_equal(overlaps, [[0, 0], [1, 1], [0, 0], [1, 1]])
    whole = component_overlaps(np.zeros((1, 6, 6)), [[[0.0, 0.0, 1.0, 1.0]]])
    np.testing.assert_array_equal(whole, np.zeros((1, 50)))


def random_truth(size, number):
    corners = np.sort(RANDOM.uniform(size=(size, number, 2, 2)), axis=2)
    return corners.reshape(size, number, 4)


def test_one_component_overlaps_as_the_largest():
    # Around one peak no threshold cuts off a second component.
    rows, columns = np.mgrid[:13, :9]
    peaks = RANDOM.uniform(2, 7, size=(6, 2, 1, 1))
    heatmaps = np.exp(-0.1 * ((rows - peaks[:, 0]) ** 2 + (columns - peaks[:, 1]) ** 2))
    truth = random_truth(6, 3)
    overlaps = component_overlaps(heatmaps, truth)
    np.testing.assert_array_equal(
        overlaps, box_overlaps(largest_boxes(heatmaps), truth)
    )
    assert len(np.unique(overlaps)) > 20


def test_components_never_overlap_less_than_the_largest():
    heatmaps = RANDOM.uniform(size=(6, 15, 10)) ** 2
    truth = random_truth(6, 3)
    overlaps = component_overlaps(heatmaps, truth)
    largest = box_overlaps(largest_boxes(heatmaps), truth)
    assert np.all(overlaps >= largest)
    assert np.mean(overlaps > largest) > 0.3
    alone = [
        component_overlaps(heatmap[None], boxes[None])[0]
        for heatmap, boxes in zip(heatmaps, truth, strict=True)
    ]
    np.testing.assert_array_equal(overlaps, alone)


def test_components_compared_in_several_steps(monkeypatch):
    heatmaps = RANDOM.uniform(size=(3, 12, 12))
    truth = random_truth(3, 2)
    together = component_overlaps(heatmaps, truth)
    monkeypatch.setattr("keras_xcons.metrics.boxes._PAIRS", 6)
    np.testing.assert_array_equal(component_overlaps(heatmaps, truth), together)


def test_max_box_acc_v2_of_all_components():
    heatmaps = blobs(BIG, SMALL).repeat(2, axis=0)
    # The first object fills half of the small blob, the second is the large one.
    truth = np.array([[[6, 5, 7, 8]], [BIG]]) / 8
    overlaps = component_overlaps(heatmaps, truth)
    assert max_box_acc_v2(box_hits(overlaps).mean(axis=0)) == np.mean([1, 1, 0.5])
    largest = box_overlaps(largest_boxes(heatmaps), truth)
    assert max_box_acc_v2(box_hits(largest).mean(axis=0)) == 0.5


def test_hits_at_each_level():
    hits = box_hits([[0.2, 0.3, 0.49], [0.5, 0.7, 1.0]])
    assert hits.dtype == bool
    expected = [
        [[False, True, True], [False, False, False], [False, False, False]],
        [[True, True, True], [True, True, True], [False, True, True]],
    ]
    np.testing.assert_array_equal(hits, expected)
    np.testing.assert_array_equal(box_hits([[0.2, 0.3]], [0.25]), [[[False, True]]])


def test_a_rounding_of_float32_is_no_miss():
    # A box of 70 rows of 224 pixels, in float32, of which level * 70 are found.
    for level, rows in ((0.3, 21), (0.5, 35), (0.7, 49)):
        box = np.array([[[7, 14, 77, 203]]], "float32") / np.float32(224)
        found = np.array([[[7, 14, 7 + rows, 203]]]) / 224
        overlaps = box_overlaps(found, box)
        np.testing.assert_allclose(overlaps, [[level]], rtol=1e-5)
        assert box_hits(overlaps, [level]).all()
        assert not box_hits(overlaps - 1e-5, [level]).any()


def test_max_box_acc_takes_the_best_threshold_for_the_set():
    hits = np.array([[[1, 0, 0], [1, 1, 0]], [[0, 0, 1], [0, 1, 1]]], bool)
    rates = hits.mean(axis=0)  # (levels, thresholds)
    np.testing.assert_allclose(max_box_acc(rates), [0.5, 1.0])
    assert max_box_acc_v2(rates) == 0.75
    assert max_box_acc(rates[1]) == 1.0
    resamples = np.stack([rates, 0.5 * rates])
    np.testing.assert_allclose(max_box_acc_v2(resamples), [0.75, 0.375])


def test_max_box_acc_of_a_map_that_finds_every_object():
    boxes = np.sort(RANDOM.integers(0, 9, size=(6, 2, 2)), axis=1)
    boxes[:, 1] += 1
    heatmaps = np.zeros((6, 10, 10))
    for heatmap, ((top, left), (bottom, right)) in zip(heatmaps, boxes, strict=True):
        heatmap[top:bottom, left:right] = 1.0
    truth = boxes.reshape(6, 1, 4) / 10
    hits = box_hits(box_overlaps(largest_boxes(heatmaps), truth))
    assert max_box_acc_v2(hits.mean(axis=0)) == 1.0


@pytest.mark.parametrize("shape", [(64, 64), (5, 7), (1, 1), (33, 10)])
def test_centre_gaussian(shape):
    heatmap = centre_gaussian(*shape)
    assert heatmap.shape == shape
    assert heatmap.dtype == np.float32
    assert heatmap.max() == 1.0
    assert heatmap.min() > 0.0
    np.testing.assert_array_equal(heatmap, heatmap[::-1, ::-1])
    middle = heatmap[shape[0] // 2, shape[1] // 2]
    assert middle == 1.0


def test_centre_gaussian_by_hand():
    heatmap = centre_gaussian(5, 9)
    # A pixel beside the middle is 1/5 of the height off, 0.8 of the deviation.
    np.testing.assert_allclose(heatmap[1, 4], np.exp(-0.5 * 0.8**2), rtol=1e-6)
    np.testing.assert_allclose(heatmap[2, 5], np.exp(-0.5 * (4 / 9) ** 2), rtol=1e-6)
    square = centre_gaussian(16, 16)
    np.testing.assert_array_equal(square, square.T)


def test_centre_gaussian_has_centred_boxes_of_many_sizes():
    found = largest_boxes(centre_gaussian(64, 64)[None])[0]
    np.testing.assert_allclose(found[:, :2], 1.0 - found[:, 2:])
    sides = found[:, 2] - found[:, 0]
    assert np.all(np.diff(sides) <= 0)
    assert sides[0] == 1.0 and sides[-1] <= 0.15
    assert len(np.unique(sides)) >= 20


MAPS = np.ones((2, 4, 4))
BOXES = np.tile([[[0.0, 0.0, 1.0, 1.0]]], (2, 1, 1))


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        ([], "one or more numbers"),
        ([-0.1], r"within 0\.\.1.*thresholds=\[-0.1\]"),
        ([0.5, 1.1], r"within 0\.\.1"),
        ([float("nan")], r"within 0\.\.1"),
        (0.5, "one or more numbers"),
    ],
)
def test_refuses_wrong_thresholds_and_levels(thresholds, message):
    with pytest.raises(ValueError, match=message):
        largest_boxes(MAPS, thresholds)
    with pytest.raises(ValueError, match=message):
        component_overlaps(MAPS, BOXES, thresholds=thresholds)
    with pytest.raises(ValueError, match="`levels` must be one or more"):
        box_hits([[0.5]], thresholds)


def test_refuses_wrong_heatmaps():
    with pytest.raises(ValueError, match="non-negative"):
        largest_boxes(-MAPS)
    with pytest.raises(ValueError, match=r"\(batch, height, width\)"):
        largest_boxes(MAPS[0])
    with pytest.raises(ValueError, match="non-negative"):
        component_overlaps(-MAPS, BOXES)
    with pytest.raises(ValueError, match=r"\(batch, height, width\)"):
        component_overlaps(MAPS[0], BOXES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "Received: neither"),
        ({"boxes": BOXES, "masks": np.ones((2, 4, 4, 1))}, "Received: both"),
        ({"boxes": BOXES * 2}, r"`boxes` must be.*within 0\.\.1"),
        ({"boxes": BOXES[:1]}, r"`boxes` .* shape \(2, boxes, 4\)"),
        ({"masks": np.ones((2, 4, 4))}, "`masks` must have the shape"),
        ({"masks": np.ones((1, 4, 4, 1))}, r"`masks` .* shape \(2, height, width, 1\)"),
        ({"masks": np.full((2, 4, 4, 1), 0.5)}, "`masks` must be 1 on the object"),
    ],
)
def test_refuses_a_wrong_truth_for_components(arguments, message):
    with pytest.raises(ValueError, match=message):
        component_overlaps(MAPS, **arguments)


@pytest.mark.parametrize(
    ("found", "arguments", "message"),
    [
        (BOXES, {}, "Received: neither"),
        (BOXES, {"boxes": BOXES, "masks": np.ones((2, 4, 4, 1))}, "Received: both"),
        (BOXES, {"boxes": BOXES * 2}, r"`boxes` must be.*within 0\.\.1"),
        (BOXES, {"masks": np.ones((2, 4, 4))}, "`masks` must have the shape"),
        (BOXES * 2, {"boxes": BOXES}, r"`found` must be.*within 0\.\.1"),
        (BOXES, {"boxes": BOXES[[0, 0, 1]]}, r"`found` .* shape \(3, boxes, 4\)"),
        (BOXES[0], {"boxes": BOXES}, r"found of shape \(1, 4\)"),
        (1.0, {"boxes": BOXES}, r"found of shape \(\)"),
    ],
)
def test_refuses_wrong_boxes(found, arguments, message):
    with pytest.raises(ValueError, match=message):
        box_overlaps(found, **arguments)


def test_refuses_hits_and_overlaps_of_another_shape():
    with pytest.raises(ValueError, match=r"\(batch, thresholds\).*\(2,\)"):
        box_hits([0.1, 0.2])
    for hits in (0.5, np.zeros((3, 0))):
        with pytest.raises(ValueError, match="one or more thresholds"):
            max_box_acc(hits)
    for hits in (np.zeros(3), np.zeros((0, 3))):
        with pytest.raises(ValueError, match=r"\(\.\.\., levels, thresholds\)"):
            max_box_acc_v2(hits)


@pytest.mark.parametrize("size", [(0, 4), (4, -1), (4.0, 4)])
def test_refuses_a_gaussian_without_pixels(size):
    with pytest.raises(ValueError, match="positive int"):
        centre_gaussian(*size)
