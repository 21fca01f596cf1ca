"""Reading and resizing single images, the same for every kind of source."""

import tensorflow as tf

from keras_xcons.data import photographs
from keras_xcons.data.pipeline_errors import MARK


def read_image(path):
    """Reads an image file in a pipeline, as `photographs.read` does.

    TensorFlow has readers of its own, which know fewer formats, turn nothing upright
    and round JPEG otherwise: the same file would have two sets of pixels.

    Args:
        path: String tensor, the path as the bytes that the file system has.

    Returns:
        uint8 tensor `(H, W, 3)`.
    """
    image = tf.numpy_function(_read, [path], tf.uint8, stateful=False)
    return tf.ensure_shape(image, (None, None, 3))


def _read(path):
    try:
        # Bytes in a graph, an array of a string where a caller runs it eagerly.
        return photographs.read(path if isinstance(path, bytes) else path.item())
    except photographs.UnreadableImage as error:
        raise ValueError(f"{MARK}{error}") from None


def resize_image(image, size):
    """Stretches a uint8 image to `size`, bilinear with antialiasing.

    Stretching, unlike cropping, keeps boxes in relative coordinates valid. The
    result is rounded to uint8, so that it is the same with a cache and without.

    Args:
        image: uint8 tensor `(H, W, 3)` or `(H, W, 1)`; grey becomes RGB.
        size: `(height, width)` or `None`, which leaves the size.

    Returns:
        uint8 tensor `(height, width, 3)`.
    """
    if image.shape[-1] == 1:
        image = tf.image.grayscale_to_rgb(image)
    if size is None or tuple(image.shape[:2]) == tuple(size):
        return image
    resized = tf.image.resize(image, size, method="bilinear", antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(resized), 0.0, 255.0), tf.uint8)


def resize_mask(mask, size):
    """Stretches a uint8 mask `(H, W, 1)` to `size`, by nearest neighbours."""
    if size is None or tuple(mask.shape[:2]) == tuple(size):
        return mask
    return tf.image.resize(mask, size, method="nearest")
