"""How much a heatmap changes when its image hardly does."""

import numpy as np
import tensorflow as tf

from keras_xcons import checks
from keras_xcons.data import arguments
from keras_xcons.metrics.noise import uniform_noise


def max_sensitivity(explain_fn, images, heatmaps, ids, radius, samples=10, seed=0):
    """Largest relative change of each heatmap under small uniform noise.

    The maximum over `samples` draws d of `‖φ(x + d) - φ(x)‖ / ‖φ(x)‖`, in the
    Frobenius norm, where every value of d is uniform within `radius` and `x + d` is
    clipped to 0..255. The paper leaves the division out; with it maps of any scale
    compare. It is the largest change that was found, so more draws can only raise
    it. An all-zero map has no relative change: NaN, to be left out.

    The noise depends on `seed`, the image's id and the number of the draw, not on
    the batch that an image stands in.

    Lower is better. The range is 0 upward, and 0 is a map that noise leaves alone.

    Args:
        explain_fn: Function of images `(B, H, W, channels)`, float32 in 0..255, to
            heatmaps `(B, h, w)`, called `samples` times.
        images: Array or tensor `(B, H, W, channels)`, uint8 or float, in 0..255.
        heatmaps: Array or tensor `(B, h, w)`, what `explain_fn` makes of `images`.
        ids: Integers `(B,)`, 0 or more: the place of each image in its data set.
        radius: Largest change of a value by the noise, above 0, in 0..255.
        samples: Int, number of draws an image, at least 1. Defaults to 10.
        seed: Int in 0..2**31 - 1. Defaults to 0.

    Returns:
        Float32 array `(B,)`.

    Raises:
        TypeError: A number is none.
        ValueError: Images, heatmaps, ids or a number are not as described, or
            `explain_fn` returns maps of another shape, or values that are not finite.

    Example:

    >>> brightness = lambda images: tf.reduce_mean(images, axis=-1)
    >>> images = np.full((2, 8, 8, 3), 100.0)
    >>> maps = brightness(images)
    >>> max_sensitivity(brightness, images, maps, ids=[0, 1], radius=10.0).max() < 0.1
    True

    Reference:
        [Yeh et al., 2019](https://arxiv.org/abs/1901.09392)
    """
    images = tf.constant(checks.image_batch(images))
    size = len(images)
    clean = _checked_maps("heatmaps", heatmaps)
    if len(clean) != size:
        raise ValueError(
            f"`heatmaps` must be {size} maps, one an image. Received: heatmaps of "
            f"shape {clean.shape}"
        )
    ids = checks.class_labels(ids, size, 2**31, name="ids")
    checks.within("radius", radius, 0.0, 255.0, inclusive=False)
    arguments.check_count(samples, "samples")
    arguments.check_seed(seed)
    radius, seed = tf.constant(radius, tf.float32), tf.constant(seed, tf.int32)
    changes = [
        _change(explain_fn, _noisy(images, ids, radius, seed, number), clean)
        for number in tf.range(samples)
    ]
    norm = _norm(clean)
    relative = np.full_like(norm, np.nan)
    np.divide(np.max(changes, axis=0), norm, out=relative, where=norm > 0.0)
    return relative.astype("float32")


def _noisy(images, ids, radius, seed, number):
    """Images plus the draw `number` of the noise of each, clipped to 0..255."""
    noise = uniform_noise(images, ids, radius, seed, number)
    return tf.clip_by_value(images + noise, 0.0, 255.0)


def _change(explain_fn, noisy, clean):
    maps = _checked_maps("explain_fn(images)", explain_fn(noisy))
    if maps.shape != clean.shape:
        raise ValueError(
            f"`explain_fn` must return maps of the shape {clean.shape} of `heatmaps`. "
            f"Received: maps of shape {maps.shape}"
        )
    return _norm(maps - clean)


def _norm(maps):
    return np.sqrt(np.sum(np.square(maps), axis=(1, 2)))


def _checked_maps(name, maps):
    maps = np.asarray(maps, "float64")
    if maps.ndim != 3 or 0 in maps.shape or not np.isfinite(maps).all():
        raise ValueError(
            f"`{name}` must be finite maps of shape (batch, height, width). "
            f"Received: maps of shape {maps.shape}, of which {np.isfinite(maps).sum()} "
            f"of {maps.size} values are finite"
        )
    return maps
