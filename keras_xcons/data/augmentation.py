"""Random flips, shifts and crops of images, reproducible from a seed.

Each transformation is a pure function of an image and a stateless seed of two
integers; `augment` draws the seeds and maps all three over a data set.
"""

import math

import tensorflow as tf

from keras_xcons import checks


def random_flip(image, seed):
    """Mirrors an image left to right in half of the cases.

    Args:
        image: Tensor `(H, W, C)`.
        seed: Integer tensor of shape `(2,)`.

    Returns:
        A tensor of the image's shape and dtype.

    Example:

    >>> random_flip(tf.zeros((8, 8, 3)), (0, 1)).shape
    TensorShape([8, 8, 3])
    """
    return tf.image.stateless_random_flip_left_right(image, seed)


def random_shift(image, seed, fraction=0.1):
    """Shifts an image by whole pixels; what comes in is the image mirrored.

    Args:
        image: Tensor `(H, W, C)`.
        seed: Integer tensor of shape `(2,)`.
        fraction: float in 0..1 (exclusive), the largest shift in either direction
            relative to the side. Defaults to 0.1.

    Returns:
        A tensor of the image's shape and dtype.

    Raises:
        ValueError: `fraction` is out of its range.

    Example:

    >>> random_shift(tf.zeros((8, 8, 3)), (0, 1)).shape
    TensorShape([8, 8, 3])
    """
    if not 0 <= fraction < 1:
        raise ValueError(
            "`fraction` must be in 0..1, 1 excluded. Received: "
            f"fraction={checks.shown(fraction)}"
        )
    size = tf.shape(image)[:2]
    most = tf.cast(tf.cast(size, tf.float32) * fraction, tf.int32)
    padding = tf.stack([most, most], axis=1)
    padded = tf.pad(image, tf.concat([padding, [[0, 0]]], axis=0), mode="REFLECT")
    start = tf.cast(
        tf.random.stateless_uniform([2], seed) * tf.cast(2 * most + 1, tf.float32),
        tf.int32,
    )
    shifted = tf.slice(
        padded,
        tf.concat([start, [0]], axis=0),
        tf.concat([size, [-1]], axis=0),
    )
    return tf.ensure_shape(shifted, image.shape)


def random_resized_crop(image, seed, scale=(0.6, 1.0), ratio=(3 / 4, 4 / 3)):
    """Cuts a random rectangle out and resizes it, bilinear, to the image's size.

    Args:
        image: Float tensor `(H, W, C)`.
        seed: Integer tensor of shape `(2,)`.
        scale: `(low, high)` in 0..1, area of the rectangle relative to the image,
            uniform. Defaults to `(0.6, 1.0)`.
        ratio: `(low, high)`, its width over its height relative to those of the
            image, uniform in the logarithm. A side longer than the image's is cut
            to it. Defaults to `(3 / 4, 4 / 3)`.

    Returns:
        A float32 tensor of the image's shape.

    Raises:
        ValueError: `scale` or `ratio` is out of its range.

    Example:

    >>> random_resized_crop(tf.zeros((8, 8, 3)), (0, 1)).shape
    TensorShape([8, 8, 3])
    """
    if not 0 < scale[0] <= scale[1] <= 1:
        raise ValueError(
            f"`scale` must be (low, high) with 0 < low <= high <= 1. "
            f"Received: scale={scale!r}"
        )
    if not 0 < ratio[0] <= ratio[1]:
        raise ValueError(
            f"`ratio` must be (low, high) with 0 < low <= high. "
            f"Received: ratio={ratio!r}"
        )
    draws = tf.unstack(tf.random.stateless_uniform([4], seed))
    area = scale[0] + (scale[1] - scale[0]) * draws[0]
    low, high = math.log(ratio[0]), math.log(ratio[1])
    root = tf.exp((low + (high - low) * draws[1]) / 2)
    height = tf.minimum(tf.sqrt(area) / root, 1.0)
    width = tf.minimum(tf.sqrt(area) * root, 1.0)
    top, left = draws[2] * (1 - height), draws[3] * (1 - width)
    box = tf.stack([top, left, top + height, left + width])
    cropped = tf.image.crop_and_resize(
        image[None], box[None], [0], tf.shape(image)[:2], method="bilinear"
    )[0]
    return tf.ensure_shape(cropped, image.shape)


def augment(dataset, seed=0):
    """Flips, shifts and crops the images of a data set at random.

    Each image is drawn anew in every epoch. The same seed gives the same stream
    of images, as long as the global seed of TensorFlow is also the same.

    Args:
        dataset: A `tf.data.Dataset`, not batched, of tuples that start with an
            image `(H, W, C)` in 0..255 or a dictionary with one under `"image"`.
        seed: int in 0..2**31 - 1. Defaults to 0.

    Returns:
        A `tf.data.Dataset` of the same structure and cardinality with float32
        images in 0..255.

    Raises:
        ValueError: The data set is batched, or its elements are not such tuples.

    Example:

    >>> images, labels = tf.zeros((5, 8, 8, 3)), tf.range(5)
    >>> dataset = tf.data.Dataset.from_tensor_slices((images, labels))
    >>> len(augment(dataset, seed=1))
    5
    """
    spec = dataset.element_spec
    first = spec[0] if isinstance(spec, tuple) else None
    image = first.get("image") if isinstance(first, dict) else first
    if not isinstance(image, tf.TensorSpec) or image.shape.rank != 3:
        raise ValueError(
            "Augmentation takes a data set of single (image, label) tuples with "
            "images (H, W, C): augment first, then batch. "
            f"Received: dataset.element_spec={spec!r}"
        )
    seeds = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True)

    def change(element, pair):
        x, *rest = element
        pixels = tf.cast(x["image"] if isinstance(x, dict) else x, tf.float32)
        for number, transform in enumerate(
            (random_flip, random_shift, random_resized_crop)
        ):
            own = tf.random.experimental.stateless_fold_in(pair, number)
            pixels = transform(pixels, own)
        return (x | {"image": pixels} if isinstance(x, dict) else pixels, *rest)

    return tf.data.Dataset.zip(dataset, seeds.batch(2)).map(
        change, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
