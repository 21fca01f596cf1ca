import numpy as np
import pytest
import tensorflow as tf

from keras_xcons.data import (
    augment,
    random_flip,
    random_resized_crop,
    random_shift,
    with_sample_ids,
)

TRANSFORMS = [random_flip, random_shift, random_resized_crop]


@pytest.fixture
def image():
    rows, columns = np.meshgrid(np.arange(20.0), np.arange(30.0), indexing="ij")
    stack = np.stack([rows * 10, columns * 8, rows + columns], axis=-1)
    return tf.constant(stack, tf.float32)


def make(image, count=12):
    images = tf.repeat(image[None], count, axis=0)
    return tf.data.Dataset.from_tensor_slices((images, tf.range(count)))


def stack(dataset):
    return np.stack([image for image, _ in dataset])


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_seed_decides_the_result(transform, image):
    results = [transform(image, (7, number)).numpy() for number in range(12)]
    again = [transform(image, (7, number)).numpy() for number in range(12)]
    np.testing.assert_array_equal(results, again)
    assert len(np.unique(results, axis=0)) > 1
    for result in results:
        assert result.shape == image.shape and result.dtype == np.float32
        assert result.min() >= 0 and result.max() <= np.max(image) + 1e-3


def test_flip_mirrors_half_of_the_images(image):
    flipped = image[:, ::-1]
    kinds = []
    for number in range(40):
        result = random_flip(image, (1, number))
        kinds.append(bool(tf.reduce_all(result == flipped)))
        assert kinds[-1] or tf.reduce_all(result == image)
    assert 10 < sum(kinds) < 30


def test_shift_moves_by_whole_pixels_up_to_the_fraction(image):
    moves = set()
    for number in range(60):
        result = random_shift(image, (2, number), fraction=0.1).numpy()
        # The middle of the image holds its own row and column in its colours.
        row, column = result[10, 15, 0] / 10 - 10, result[10, 15, 1] / 8 - 15
        assert row == int(row) and column == int(column)
        moves.add((int(row), int(column)))
    rows, columns = zip(*moves, strict=True)
    assert set(rows) == set(range(-2, 3)) and set(columns) == set(range(-3, 4))


def test_no_shift_changes_nothing(image):
    np.testing.assert_array_equal(random_shift(image, (0, 1), fraction=0.0), image)


def test_crop_shows_a_part_of_the_image(image):
    areas, ratios = [], []
    for number in range(60):
        result = random_resized_crop(image, (3, number)).numpy()
        # Colours grow along the axes: what they span is the cut rectangle.
        height = np.ptp(result[..., 0]) / 190
        width = np.ptp(result[..., 1]) / 232
        areas.append(height * width)
        ratios.append(width / height)
    assert 0.55 < min(areas) < 0.75 and 0.85 < max(areas) <= 1.001
    assert 0.7 < min(ratios) < 0.9 and 1.1 < max(ratios) < 1.4


def test_the_whole_image_is_a_crop(image):
    result = random_resized_crop(image, (0, 1), scale=(1.0, 1.0), ratio=(1.0, 1.0))
    np.testing.assert_allclose(result, image, atol=1e-3)


def test_augment_is_reproducible_and_new_in_each_epoch(image):
    dataset = augment(make(image), seed=5)
    first, second = stack(dataset), stack(dataset)
    assert (first != second).any((1, 2, 3)).all()
    again = augment(make(image), seed=5)
    np.testing.assert_array_equal(stack(again), first)
    np.testing.assert_array_equal(stack(again), second)
    assert (stack(augment(make(image), seed=6)) != first).any((1, 2, 3)).all()
    # Twelve times the same image gave twelve different ones.
    assert len(np.unique(first, axis=0)) == 12


def test_augment_keeps_structure_and_range(image):
    dataset = make(tf.cast(image, tf.uint8))
    result = augment(dataset)
    assert len(result) == 12
    assert result.element_spec[0] == tf.TensorSpec((20, 30, 3), tf.float32)
    images = stack(result)
    assert images.min() >= 0 and images.max() <= 255
    numbered = list(augment(with_sample_ids(dataset)))
    assert [int(x["sample_id"]) for x, _ in numbered] == list(range(12))
    np.testing.assert_array_equal([x["image"] for x, _ in numbered], images)


@pytest.mark.parametrize("batched", [True, False])
def test_augment_refuses_other_data_sets(batched, image):
    dataset = make(image).batch(4) if batched else tf.data.Dataset.range(3)
    with pytest.raises(ValueError, match="augment first, then batch. Received: datas"):
        augment(dataset)


@pytest.mark.parametrize("fraction", [-0.1, 1.0])
def test_shift_refuses_a_bad_fraction(fraction, image):
    with pytest.raises(ValueError, match=f"Received: fraction={fraction}"):
        random_shift(image, (0, 1), fraction)


@pytest.mark.parametrize("scale", [(0.0, 1.0), (0.8, 0.5), (0.5, 1.2)])
def test_crop_refuses_a_bad_scale(scale, image):
    with pytest.raises(ValueError, match=r"low <= high <= 1. Received: scale=\("):
        random_resized_crop(image, (0, 1), scale=scale)


@pytest.mark.parametrize("ratio", [(0.0, 1.0), (2.0, 1.0)])
def test_crop_refuses_a_bad_ratio(ratio, image):
    with pytest.raises(ValueError, match=r"low <= high. Received: ratio=\("):
        random_resized_crop(image, (0, 1), ratio=ratio)
