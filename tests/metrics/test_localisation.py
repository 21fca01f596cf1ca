import numpy as np
import pytest

from keras_xcons.metrics import (
    content_heatmap,
    energy_pointing_game,
    pointing_game,
)

BOX = [[[0.5, 0.5, 1.0, 1.0]]]  # the lower right quarter
METRICS = [pointing_game, energy_pointing_game, content_heatmap]


def peak(row, column, size=64):
    maps = np.zeros((1, size, size), "float32")
    maps[0, row, column] = 1.0
    return maps


def mask_of(rows, columns, size=64):
    masks = np.zeros((1, size, size, 1), "float32")
    masks[0, rows, columns] = 1.0
    return masks


@pytest.mark.parametrize(
    ("row", "column", "hit"),
    [
        (40, 40, 1.0),  # inside
        (32, 32, 1.0),  # the box's first pixel
        (17, 40, 1.0),  # 15 pixels above it
        (16, 40, 0.0),  # 16 pixels above it
        (40, 17, 1.0),
        (40, 16, 0.0),
        (23, 20, 1.0),  # 9 above and 12 beside: 15 pixels
        (22, 20, 0.0),  # 10 above and 12 beside: 15.6 pixels
        (0, 0, 0.0),
    ],
)
def test_pointing_game_by_hand(row, column, hit):
    maps = peak(row, column)
    np.testing.assert_array_equal(pointing_game(maps, boxes=BOX), [hit])
    mask = mask_of(slice(32, 64), slice(32, 64))
    np.testing.assert_array_equal(pointing_game(maps, masks=mask), [hit])


def test_pointing_game_tolerance():
    maps = peak(28, 40)
    found = [pointing_game(maps, BOX, tolerance=pixels)[0] for pixels in (0, 3, 4)]
    assert found == [0.0, 0.0, 1.0]
    assert pointing_game(peak(32, 40), BOX, tolerance=0) == [1.0]


def test_pointing_game_hits_any_of_several_boxes_and_no_padding():
    boxes = [[[0.0, 0.0, 0.1, 0.1], [0.9, 0.9, 1.0, 1.0], [0.5, 0.5, 0.5, 0.5]]]
    found = [pointing_game(peak(at, at), boxes, tolerance=2) for at in (1, 60, 32)]
    np.testing.assert_array_equal(np.ravel(found), [1.0, 1.0, 0.0])
    padding = np.zeros((1, 3, 4))
    assert pointing_game(peak(0, 0), padding) == [0.0]
    assert energy_pointing_game(peak(0, 0), padding) == [0.0]


def test_pointing_game_of_a_mask_with_a_hole():
    mask = mask_of(slice(10, 50), slice(10, 50))
    mask[0, 20:40, 20:40] = 0.0
    assert pointing_game(peak(30, 30), masks=mask, tolerance=9) == [0.0]
    assert pointing_game(peak(30, 30), masks=mask, tolerance=10) == [1.0]


def test_an_empty_map_is_a_miss_without_energy():
    maps = np.zeros((1, 64, 64))
    whole = [[[0.0, 0.0, 1.0, 1.0]]]
    np.testing.assert_array_equal(pointing_game(maps, whole), [0.0])
    np.testing.assert_array_equal(energy_pointing_game(maps, whole), [0.0])


def test_the_first_of_equal_maxima_counts():
    maps = peak(0, 0) + peak(40, 40)
    assert pointing_game(maps, BOX) == [0.0]


def test_energy_by_hand():
    maps = np.array([[[0.1, 0.2], [0.3, 0.4]]])
    np.testing.assert_allclose(energy_pointing_game(maps, BOX), [0.4])
    mask = np.array([[[1, 0], [0, 1]]])[..., None]
    np.testing.assert_allclose(energy_pointing_game(maps, masks=mask), [0.5])
    left = [[[0.0, 0.0, 1.0, 0.5]]]
    np.testing.assert_allclose(energy_pointing_game(maps, left), [0.4])


def test_content_heatmap_is_the_energy_of_the_maps_that_are_not_empty():
    maps = np.array([[[0.1, 0.2], [0.3, 0.4]], [[0.0, 0.0], [0.0, 0.0]]])
    found = content_heatmap(maps, BOX * 2)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [0.4, np.nan])
    np.testing.assert_allclose(energy_pointing_game(maps, BOX * 2), [0.4, 0.0])
    masks = np.tile(np.array([[1, 0], [0, 1]])[None, ..., None], (2, 1, 1, 1))
    np.testing.assert_allclose(content_heatmap(maps, masks=masks), [0.5, np.nan])
    assert content_heatmap(maps[:1], masks=0 * masks[:1]) == [0.0]


def test_energy_of_boxes_is_that_of_their_union():
    maps = np.ones((1, 10, 10))
    boxes = [[[0.0, 0.0, 0.5, 1.0], [0.0, 0.0, 1.0, 0.5], [0.3, 0.3, 0.3, 0.9]]]
    np.testing.assert_allclose(energy_pointing_game(maps, boxes), [0.75])


def test_energy_of_a_uniform_map_is_the_share_of_the_object():
    maps = np.full((1, 20, 10), 0.3)
    boxes = [[[0.25, 0.2, 0.75, 0.7]]]
    np.testing.assert_allclose(energy_pointing_game(maps, boxes), [0.25])


def test_a_box_smaller_than_a_pixel_is_one_pixel():
    maps = np.ones((2, 4, 4))
    boxes = [[[0.51, 0.51, 0.52, 0.52]], [[0.99, 0.99, 1.0, 1.0]]]
    np.testing.assert_allclose(energy_pointing_game(maps, boxes), [1 / 16, 1 / 16])


def test_boxes_that_miss_the_edge_by_a_rounding_are_taken():
    box = [[[-1e-7, 0.0, np.float32(1.0000001), 1.0]]]
    np.testing.assert_allclose(energy_pointing_game(np.ones((1, 4, 4)), box), [1.0])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", ["boxes", "masks"])
def test_a_batch_equals_one_by_one(metric, kind):
    random = np.random.default_rng(0)
    maps = random.uniform(size=(6, 16, 12)).astype("float32")
    corners = np.sort(random.uniform(size=(6, 3, 2, 2)), axis=2)
    truth = {
        "boxes": corners.reshape(6, 3, 4),
        "masks": (random.uniform(size=(6, 16, 12, 1)) < 0.05).astype("uint8"),
    }[kind]
    arguments = {"tolerance": 2} if metric is pointing_game else {}
    together = metric(maps, **{kind: truth}, **arguments)
    assert together.shape == (6,)
    assert together.dtype == np.float32
    assert together.min() >= 0.0 and together.max() <= 1.0
    assert len(set(together)) > 1
    alone = [
        metric(maps[i : i + 1], **{kind: truth[i : i + 1]}, **arguments)[0]
        for i in range(6)
    ]
    np.testing.assert_array_equal(together, alone)


MAPS = np.ones((2, 4, 4))
GOOD = np.tile(BOX, (2, 1, 1))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either `boxes` or `masks`.*neither"),
        ({"boxes": GOOD, "masks": np.ones((2, 4, 4, 1))}, "both"),
        ({"boxes": GOOD * 2}, r"within 0\.\.1.*\[1.0, 1.0, 2.0, 2.0\]"),
        ({"boxes": GOOD - 0.6}, r"within 0\.\.1"),
        ({"boxes": GOOD[..., [2, 1, 0, 3]]}, "no minimum above its maximum"),
        ({"boxes": GOOD * np.nan}, r"within 0\.\.1"),
        ({"boxes": GOOD[0]}, r"shape \(2, boxes, 4\).*shape \(1, 4\)"),
        ({"boxes": GOOD[:1]}, r"shape \(2, boxes, 4\).*shape \(1, 1, 4\)"),
        ({"boxes": GOOD[..., :3]}, r"shape \(2, 1, 3\)"),
        ({"masks": np.ones((2, 4, 5, 1))}, r"\(2, 4, 4, 1\).*\(2, 4, 5, 1\)"),
        ({"masks": np.ones((2, 4, 4))}, r"\(2, 4, 4, 1\).*\(2, 4, 4\)"),
        ({"masks": np.full((2, 4, 4, 1), 0.5)}, "1 on the object.*maximum 0.5"),
        ({"masks": np.full((2, 4, 4, 1), 255)}, "1 on the object.*maximum 255"),
        ({"masks": np.full((2, 4, 4, 1), np.nan)}, "1 on the object"),
    ],
)
def test_refuses_wrong_truth(metric, arguments, message):
    with pytest.raises(ValueError, match=message):
        metric(MAPS, **arguments)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("maps", "message"),
    [
        (MAPS - 2.0, "non-negative.*minimum -1"),
        (MAPS * np.nan, "finite.*nan"),
        (MAPS * np.inf, "finite.*inf"),
        (MAPS[0], r"\(batch, height, width\).*shape \(4, 4\)"),
        (MAPS[:0], "one or more maps"),
    ],
)
def test_refuses_wrong_heatmaps(metric, maps, message):
    with pytest.raises(ValueError, match=message):
        metric(maps, boxes=GOOD)


@pytest.mark.parametrize("tolerance", [-1, float("nan")])
def test_refuses_a_wrong_tolerance(tolerance):
    with pytest.raises(ValueError, match="`tolerance` must be within .*tolerance="):
        pointing_game(MAPS, boxes=GOOD, tolerance=tolerance)


def test_torchray_takes_what_is_below_the_tolerance():
    # The object is one pixel, the maximum anywhere on a grid around it.
    masks = np.zeros((1, 11, 11, 1))
    masks[0, 5, 5] = 1.0
    heatmaps = np.eye(121).reshape(121, 11, 11)
    masks = np.repeat(masks, 121, axis=0)
    for tolerance in (0, 1, 3, 5):
        options = {"masks": masks, "tolerance": tolerance, "protocol": "torchray"}
        # Points of the grid with rows ** 2 + columns ** 2 < tolerance ** 2, its rule.
        expected = {0: 0, 1: 1, 3: 25, 5: 69}[tolerance]
        assert pointing_game(heatmaps, **options).sum() == expected
    assert pointing_game(heatmaps, masks=masks, tolerance=5).sum() == 81


def test_an_unknown_pointing_protocol_is_refused():
    with pytest.raises(ValueError, match="torchray.*Received: protocol='torch'"):
        pointing_game(np.ones((1, 2, 2)), boxes=[[[0, 0, 1, 1]]], protocol="torch")
