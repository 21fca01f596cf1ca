"""Reading and resizing single images, the same for every kind of source."""

import tensorflow as tf

# What `tf.io.decode_image` reads.
IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")


def read_image(path):
    """Reads an image file: uint8 `(H, W, 3)`; of a GIF, the first frame."""
    image = tf.io.decode_image(
        tf.io.read_file(path), channels=3, expand_animations=False
    )
    return tf.ensure_shape(image, (None, None, 3))


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
