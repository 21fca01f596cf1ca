import numpy as np
import pytest

from keras_xcons.metrics import has_object, tight_boxes
from keras_xcons.metrics.truth import check_boxes, check_masks, object_pixels

BOXES = np.array([[[0.0, 0.25, 0.5, 1.0]], [[0.5, 0.5, 0.5, 0.5]]])
MASKS = np.zeros((2, 4, 6, 1), "float32")
MASKS[0, 1:3, 2:5] = 1.0


def test_has_object():
    np.testing.assert_array_equal(has_object(boxes=BOXES), [True, False])
    np.testing.assert_array_equal(has_object(masks=MASKS), [True, False])


@pytest.mark.parametrize(
    ("box", "has"),
    [
        ([0.2, 0.2, 0.2, 0.8], False),  # no height
        ([0.2, 0.2, 0.8, 0.2], False),  # no width
        ([0.2, 0.2, 0.2001, 0.2001], True),
        ([-1e-7, 0.0, 0.0, 1.0], False),  # a rounding is no area
    ],
)
def test_a_box_is_an_object_if_it_has_an_area(box, has):
    padded = [[[0.0, 0.0, 0.0, 0.0], box]]
    assert has_object(boxes=padded) == [has]
    assert object_pixels((1, 8, 8), boxes=padded).any() == has


@pytest.mark.parametrize(
    ("start", "stop", "pixels"),
    [
        (0.3, 0.7, [1, 2]),  # 1.2 to 2.8 holds the centres 1.5 and 2.5
        (0.4, 0.9, [2, 3]),  # 1.6 to 3.6
        (0.1, 0.6, [0, 1]),  # 0.4 to 2.4
        (0.41, 0.42, [2]),  # no centre: one pixel beside it
    ],
)
def test_a_box_covers_the_pixels_whose_centres_it_holds(start, stop, pixels):
    expected = np.isin(np.arange(4), pixels)
    upright = object_pixels((1, 4, 1), boxes=[[[start, 0.0, stop, 1.0]]])
    np.testing.assert_array_equal(upright[0, :, 0], expected)
    level = object_pixels((1, 1, 4), boxes=[[[0.0, start, 1.0, stop]]])
    np.testing.assert_array_equal(level[0, 0], expected)


def test_no_box_at_all_is_no_object():
    np.testing.assert_array_equal(has_object(boxes=np.zeros((3, 0, 4))), [False] * 3)
    assert not object_pixels((3, 4, 4), boxes=np.zeros((3, 0, 4))).any()


def test_tight_boxes_by_hand():
    boxes = tight_boxes(MASKS)
    assert boxes.shape == (2, 1, 4)
    assert boxes.dtype == np.float32
    np.testing.assert_allclose(boxes[0, 0], [1 / 4, 2 / 6, 3 / 4, 5 / 6], rtol=1e-6)
    np.testing.assert_array_equal(boxes[1, 0], np.zeros(4))


@pytest.mark.parametrize(("row", "column"), [(0, 0), (3, 5), (2, 1)])
def test_tight_box_of_one_pixel(row, column):
    mask = np.zeros((1, 4, 6, 1), "uint8")
    mask[0, row, column] = 1
    expected = [row / 4, column / 6, (row + 1) / 4, (column + 1) / 6]
    np.testing.assert_allclose(tight_boxes(mask)[0, 0], expected, rtol=1e-6)


def test_tight_box_of_parts_spans_them():
    mask = np.zeros((1, 10, 10, 1), bool)
    mask[0, 2, 8] = mask[0, 7, 1] = True
    np.testing.assert_allclose(tight_boxes(mask)[0, 0], [0.2, 0.1, 0.8, 0.9])


def test_tight_boxes_hold_the_pixels_of_boxes_on_the_grid():
    random = np.random.default_rng(0)
    corners = np.sort([random.permutation(13)[:2] for _ in range(40)]).T / 12
    others = np.sort([random.permutation(8)[:2] for _ in range(40)]).T / 7
    boxes = np.stack([corners[0], others[0], corners[1], others[1]], -1)[:, None]
    boxes = boxes.astype("float32")
    found = tight_boxes(object_pixels((40, 12, 7), boxes)[..., None])
    np.testing.assert_allclose(found, boxes, atol=1e-6)


def test_check_boxes_takes_roundings_and_returns_0_to_1():
    boxes = check_boxes([[[-1e-6, 0.0, np.float32(1.0000001), 1.0]]], size=1)
    np.testing.assert_array_equal(boxes, [[[0.0, 0.0, 1.0, 1.0]]])
    assert check_boxes(BOXES).shape == (2, 1, 4)


def test_check_masks_returns_pixels():
    for dtype in ("float32", "uint8", "bool"):
        objects = check_masks(MASKS.astype(dtype), 2, (4, 6))
        assert objects.dtype == bool
        np.testing.assert_array_equal(objects, MASKS[..., 0] == 1.0)


@pytest.mark.parametrize(
    ("boxes", "size", "message"),
    [
        (BOXES + 0.5, 2, r"within 0\.\.1.*Received: boxes with \[0.5, 0.75, 1.0, 1.5"),
        (BOXES - 0.1, 2, r"within 0\.\.1"),
        (BOXES[..., [2, 1, 0, 3]], 2, "no minimum above its maximum"),
        (BOXES[..., [0, 3, 2, 1]], 2, "no minimum above its maximum"),
        (BOXES * np.nan, 2, r"within 0\.\.1.*nan"),
        (BOXES * [1, 1, 1, np.inf], 2, r"within 0\.\.1.*inf"),
        (BOXES, 3, r"shape \(3, boxes, 4\).*Received: boxes of shape \(2, 1, 4\)"),
        (BOXES[0], None, r"\(batch, boxes, 4\).*\(1, 4\)"),
        (BOXES[..., :3], 2, r"\(2, boxes, 4\).*\(2, 1, 3\)"),
        (0.5, None, r"\(batch, boxes, 4\).*\(\)"),
    ],
)
def test_check_boxes_refuses(boxes, size, message):
    with pytest.raises(ValueError, match=message):
        check_boxes(boxes, size)


@pytest.mark.parametrize(
    ("masks", "size", "image_size", "message"),
    [
        (MASKS, 3, (4, 6), r"\(3, 4, 6, 1\).*Received: masks of shape \(2, 4, 6, 1\)"),
        (MASKS, 2, (6, 4), r"\(2, 6, 4, 1\).*\(2, 4, 6, 1\)"),
        (MASKS[..., 0], None, None, r"\(batch, height, width, 1\).*\(2, 4, 6\)"),
        (np.zeros((2, 4, 6, 3)), None, None, r"width, 1\).*\(2, 4, 6, 3\)"),
        (MASKS * 255, 2, (4, 6), "1 on the object.*maximum 255"),
        (MASKS * 0.5, 2, (4, 6), "1 on the object.*maximum 0.5"),
        (MASKS - 1, 2, (4, 6), "1 on the object.*minimum -1"),
        (MASKS * np.nan, 2, (4, 6), "1 on the object.*nan"),
    ],
)
def test_check_masks_refuses(masks, size, image_size, message):
    with pytest.raises(ValueError, match=message):
        check_masks(masks, size, image_size)


def test_refuses_neither_and_both():
    with pytest.raises(ValueError, match="Received: neither"):
        has_object()
    with pytest.raises(ValueError, match="Received: both"):
        has_object(BOXES, MASKS)
    with pytest.raises(ValueError, match="Received: both"):
        object_pixels((2, 4, 6), BOXES, MASKS)


def test_has_object_and_tight_boxes_refuse_wrong_truth():
    with pytest.raises(ValueError, match="no minimum above"):
        has_object(boxes=BOXES[..., [2, 1, 0, 3]])
    for function in (lambda masks: has_object(masks=masks), tight_boxes):
        with pytest.raises(ValueError, match="1 on the object"):
            function(MASKS * 2)
