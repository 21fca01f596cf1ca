import numpy as np
import pytest
import tensorflow as tf

from keras_xcons.data import images


def test_resizing_is_antialiased():
    # Columns of 0 and 255 in turn: without antialiasing, a third of the size would
    # pick some of them; with it, all become grey.
    stripes = np.tile(np.array([0, 255], np.uint8)[None, :, None], (48, 24, 3))
    result = images.resize_image(tf.constant(stripes), (16, 16)).numpy()
    assert result.dtype == np.uint8
    assert result.min() > 60 and result.max() < 195


def test_resizing_rounds():
    image = np.random.default_rng(0).integers(0, 256, (30, 20, 3), np.uint8)
    exact = tf.image.resize(image, (16, 16), antialias=True)
    result = tf.cast(images.resize_image(tf.constant(image), (16, 16)), tf.float32)
    assert np.abs(result - exact).max() <= 0.5001


def test_resizing_stretches():
    image = np.zeros((20, 40, 3), np.uint8)
    image[5:10, 10:30] = 255
    result = images.resize_image(tf.constant(image), (40, 40)).numpy()
    # The object lies at the same relative place: 0.25..0.5 by 0.25..0.75.
    np.testing.assert_array_equal(result[12:18, 12:28], 255)
    assert result[24:].max() == 0 and result[:, 34:].max() == 0


def test_the_right_size_and_no_size_change_nothing():
    image = tf.constant(np.random.default_rng(0).integers(0, 255, (8, 9, 3)), tf.uint8)
    assert images.resize_image(image, (8, 9)) is image
    assert images.resize_image(image, None) is image
    mask = image[..., :1]
    assert images.resize_mask(mask, (8, 9)) is mask
    assert images.resize_mask(mask, None) is mask


def test_grey_becomes_rgb():
    result = images.resize_image(tf.fill((8, 8, 1), tf.constant(7, tf.uint8)), (4, 4))
    np.testing.assert_array_equal(result, np.full((4, 4, 3), 7))


def test_masks_stay_binary():
    mask = np.zeros((30, 30, 1), np.uint8)
    mask[7:22, 5:13] = 1
    result = images.resize_mask(tf.constant(mask), (64, 64)).numpy()
    assert set(np.unique(result)) == {0, 1}
    assert result.mean() == pytest.approx(mask.mean(), abs=0.02)
