import numpy as np
import pytest

from keras_xcons.data import paste, remove_objects


def ramp(height, width):
    """One image whose pixels are their own numbers."""
    return np.arange(height * width, dtype="float32").reshape(1, height, width, 1)


def mask_of(height, width, rows, columns):
    mask = np.zeros((1, height, width, 1), "float32")
    mask[:, rows, columns] = 1.0
    return mask


@pytest.mark.parametrize(
    ("rows", "columns", "sources"),
    [
        # above is the largest strip, rows 0 and 1, repeated from the first row on
        (slice(2, 4), slice(1, 3), {(2, 1): (0, 1), (3, 2): (1, 2)}),
        # below: rows 1 to 4; row 0 gets the first of them
        (slice(0, 1), slice(1, 3), {(0, 1): (1, 1), (0, 2): (1, 2)}),
        # left: column 0, wherever the box is
        (slice(0, 5), slice(1, 4), {(0, 1): (0, 0), (4, 3): (4, 0)}),
        # right: columns 2 and 3; column 1 gets the second of them
        (slice(0, 5), slice(0, 2), {(2, 0): (2, 2), (4, 1): (4, 3)}),
    ],
)
def test_the_largest_strip_is_repeated_over_the_box(rows, columns, sources):
    height, width = (5, 4)
    images = ramp(height, width)
    found, valid = remove_objects(images, mask_of(height, width, rows, columns))
    assert valid.tolist() == [True] and found.dtype == images.dtype
    for target, source in sources.items():
        assert found[0][target] == images[0][source], target
    outside = np.ones((height, width), bool)
    outside[rows, columns] = False
    np.testing.assert_array_equal(found[0][outside], images[0][outside])


def test_the_box_holds_all_parts_of_the_object_and_nothing_of_them_is_left():
    random = np.random.default_rng(0)
    images = random.integers(0, 100, (1, 12, 12, 3)).astype("uint8")
    mask = mask_of(12, 12, [3, 7, 5], [4, 6, 9])
    images[mask[..., 0] == 1] = 255
    found, valid = remove_objects(images, mask)
    assert valid[0] and found.dtype == np.uint8
    assert found.max() < 100
    assert (found[0, 3:8, 4:10] != images[0, 3:8, 4:10]).mean() > 0.9


def test_the_first_of_equal_strips_is_taken():
    images = ramp(3, 3)
    found, _ = remove_objects(images, mask_of(3, 3, 1, 1))
    assert found[0, 1, 1, 0] == images[0, 0, 1, 0]  # above


def test_images_that_are_not_valid_stay_as_they_are():
    masks = np.zeros((4, 10, 10, 1))
    masks[1] = 1.0  # everywhere
    masks[2, [0, 9], [0, 9]] = 1.0  # reaches all four edges
    masks[3, :, 1:] = 1.0  # 90 % of the image, which is still taken
    images = np.random.default_rng(0).uniform(0, 255, (4, 10, 10, 3))
    found, valid = remove_objects(images, masks)
    assert valid.tolist() == [False, False, False, True]
    np.testing.assert_array_equal(found[:3], images[:3])
    _, valid = remove_objects(images, masks, largest_box=0.89)
    assert not valid.any()
    # The limit of 1 does not let in what has no background at all.
    assert remove_objects(images, masks, 1.0)[1].tolist() == [False, False, False, True]


def test_a_batch_equals_one_by_one():
    random = np.random.default_rng(1)
    images = random.uniform(0, 255, (20, 9, 13, 3)).astype("float32")
    masks = (random.uniform(size=(20, 9, 13, 1)) < 0.08).astype("int32")
    found, valid = remove_objects(images, masks)
    assert 0 < valid.sum() < 20
    for place in range(20):
        one = slice(place, place + 1)
        alone, alone_valid = remove_objects(images[one], masks[one])
        np.testing.assert_array_equal(found[one], alone)
        assert valid[place] == alone_valid[0]


def test_paste_takes_the_object_and_nothing_else():
    images = ramp(4, 4)
    mask = mask_of(4, 4, [1, 2], [1, 2])
    backgrounds = np.full((1, 4, 4, 1), 200, "uint8")
    found = paste(images, mask, backgrounds)
    assert found.dtype == np.float32
    expected = np.full((1, 4, 4, 1), 200.0)
    expected[0, 1, 1], expected[0, 2, 2] = 5.0, 10.0
    np.testing.assert_array_equal(found, expected)
    assert paste(images.astype("uint8"), mask, expected).dtype == np.uint8


IMAGES = np.zeros((2, 4, 5, 3))
MASKS = np.ones((2, 4, 5, 1))


@pytest.mark.parametrize(
    ("images", "masks", "message"),
    [
        (IMAGES[0], MASKS, r"\(batch, height, width, channels\).*\(4, 5, 3\)"),
        (IMAGES[:0], MASKS[:0], "one or more images"),
        (IMAGES, MASKS[:1], r"\(2, 4, 5, 1\).*\(1, 4, 5, 1\)"),
        (IMAGES, MASKS[..., 0], r"\(2, 4, 5, 1\).*\(2, 4, 5\)"),
        (IMAGES, np.ones((2, 5, 4, 1)), r"\(2, 4, 5, 1\).*\(2, 5, 4, 1\)"),
        (IMAGES, MASKS * 255, "1 on the object.*maximum 255"),
        (IMAGES, MASKS * 0.5, "1 on the object.*maximum 0.5"),
        (IMAGES, MASKS * np.nan, "1 on the object"),
    ],
)
def test_wrong_images_and_masks_are_refused(images, masks, message):
    with pytest.raises(ValueError, match=message):
        remove_objects(images, masks)
    with pytest.raises(ValueError, match=message):
        paste(images, masks, images)


def test_other_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"\(2, 4, 5, 3\).*\(2, 4, 4, 3\)"):
        paste(IMAGES, MASKS, np.zeros((2, 4, 4, 3)))
    with pytest.raises(ValueError, match=r"within 0\.\.1.*largest_box=1.5"):
        remove_objects(IMAGES, MASKS, largest_box=1.5)
    with pytest.raises(ValueError, match="largest_box=nan"):
        remove_objects(IMAGES, MASKS, largest_box=float("nan"))
