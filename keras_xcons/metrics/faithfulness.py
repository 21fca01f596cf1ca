"""Whether a classifier uses what its heatmaps show: it is asked again without it."""

import numpy as np
import tensorflow as tf

from keras_xcons import checks
from keras_xcons.data import arguments

# Probabilities that were summed in float32 may pass 1 by a rounding.
_ROUNDING = 1e-5


def insertion_and_deletion(
    score_fn, images, heatmaps, targets, steps=10, blur=None, value=127.5
):
    """How the class probability changes as pixels appear or vanish by importance.

    Insertion starts at a blurred image and puts back its pixels, those of the
    largest heatmap first; deletion starts at the image and sets its pixels to one
    value in the same order. After step i, `floor(i · H · W / steps)` pixels are
    changed. Equal values of a heatmap rank from left to right, row by row, so a
    constant map has curves too. `area_under_curve` makes one number of each.

    Higher is better for insertion, lower for deletion. The range is 0..1.

    `score_fn` is called `2 · steps + 1` times, always with the whole batch: the
    untouched image ends one curve, begins the other, and is scored once. Compile it
    with `tf.function`.

    What deleted pixels become is our choice. The paper's code takes the mean colour
    of ImageNet; the middle of the range is near it, and it tells nothing of the
    image, as the image's own mean colour would.

    Args:
        score_fn: Function of `(images, targets)`, images as below in float32, to
            the probability of the explained class, a float tensor `(B,)`.
        images: Array or tensor `(B, H, W, channels)`, uint8 or float, in 0..255.
        heatmaps: Array or tensor `(B, H, W)`, finite, at the size of the images.
        targets: What `score_fn` takes beside the images.
        steps: Int in 1..H·W. Defaults to 10.
        blur: Standard deviation of the blur in pixels, see `blurred_images`.
            Defaults to `None`.
        value: What deleted pixels become, in 0..255. Defaults to 127.5.

    Returns:
        `(insertion, deletion)`, float32 arrays `(B, steps + 1)`: the probability
        after each step, from no pixel to all of them.

    Raises:
        TypeError: A number is none.
        ValueError: Images, heatmaps or a number are not as described, or `score_fn`
            does not return one probability an image.

    Example:

    >>> score_fn = tf.function(lambda images, targets: probability(images, targets))
    >>> insertion, deletion = insertion_and_deletion(
    ...     score_fn, images, heatmaps, labels, steps=10
    ... )
    >>> insertion.shape
    (32, 11)

    Reference:
        [Petsiuk et al., 2018](https://arxiv.org/abs/1806.07421), section 4.2
    """
    images, heatmaps = _checked_pair(images, heatmaps)
    height, width = heatmaps.shape[1:]
    if not arguments.is_whole(steps) or not 1 <= steps <= height * width:
        raise ValueError(
            f"`steps` must be an int in 1..{height * width}, the number of pixels. "
            f"Received: steps={checks.shown(steps)}"
        )
    checks.within("value", value, 0.0, 255.0)
    blurred = blurred_images(images, blur)
    ranks = _ranks(heatmaps)
    plain = tf.fill(tf.shape(images), tf.constant(value, tf.float32))

    def curve(count, inside, outside):
        mixed = _mixed(ranks, tf.constant(count), inside, outside)
        return _scores(score_fn(mixed, targets), len(images))

    whole = _scores(score_fn(images, targets), len(images))
    counts = np.linspace(0, height * width, steps + 1, dtype="int32")
    insertion = [curve(count, images, blurred) for count in counts[:-1]]
    deletion = [curve(count, plain, images) for count in counts[1:]]
    return np.stack([*insertion, whole], axis=1), np.stack([whole, *deletion], axis=1)


def blurred_images(images, blur=None):
    """Images under a Gaussian blur, from which insertion starts.

    The width is our choice: in proportion to the image, that of the paper's code at
    224 pixels, which cuts the Gaussian off after one standard deviation. Here it is
    not cut off, and at the border it is scaled up to a sum of 1, so that an image of
    one colour stays as it is.

    Args:
        images: Array or tensor `(B, H, W, channels)`, uint8 or float, in 0..255.
        blur: Standard deviation of the Gaussian in pixels, above 0, or `None` for
            5/224 of the image's shorter side. Defaults to `None`.

    Returns:
        Float32 tensor in 0..255, the shape of `images`.

    Raises:
        TypeError: Images or `blur` are no numbers.
        ValueError: Images are not as described, or `blur` is not positive.

    Example:

    >>> edge = np.array([0.0, 0.0, 255.0, 255.0]).reshape(1, 1, 4, 1)
    >>> blurred_images(edge, blur=1.0).numpy().ravel().round()
    array([ 22.,  76., 179., 233.], dtype=float32)

    Reference:
        [Petsiuk et al., 2018](https://arxiv.org/abs/1806.07421), section 4.2
    """
    images = checks.image_batch(images)
    height, width = images.shape[1:3]
    blur = 5.0 / 224.0 * min(height, width) if blur is None else blur
    checks.within("blur", blur, 0.0, None, inclusive=False)
    return _blurred(images, _gaussian(height, blur), _gaussian(width, blur))


def area_under_curve(curves):
    """Area under curves over evenly spaced shares of 0..1, by the trapezoid rule.

    Of insertion higher is better, of deletion lower. The range is that of the
    curves, 0..1 for probabilities.

    Args:
        curves: Array `(B, points)` of two points or more, finite.

    Returns:
        Float32 array `(B,)`.

    Raises:
        ValueError: `curves` are not as described.

    Example:

    >>> area_under_curve([[0.0, 0.5, 1.0], [1.0, 0.0, 0.0]])
    array([0.5 , 0.25], dtype=float32)

    Reference:
        [Petsiuk et al., 2018](https://arxiv.org/abs/1806.07421), section 4.2
    """
    curves = np.asarray(curves, "float64")
    if curves.ndim != 2 or curves.shape[1] < 2 or not np.isfinite(curves).all():
        raise ValueError(
            "`curves` must be finite, of shape (batch, points), two points or more. "
            f"Received: curves of shape {curves.shape}"
        )
    middles = (curves[:, :-1] + curves[:, 1:]) / 2.0
    return middles.mean(axis=1).astype("float32")


def masked_images(images, heatmaps):
    """Images of which only what the heatmap shows is left, black elsewhere.

    Each pixel times the heatmap at it: the explanation map of which `average_drop`
    and `average_increase` take the score.

    Args:
        images: Array or tensor `(B, H, W, channels)`, uint8 or float, in 0..255.
        heatmaps: Array or tensor `(B, H, W)` in 0..1, at the size of the images.

    Returns:
        Float32 tensor, the shape of `images`.

    Raises:
        TypeError: Images are no numbers.
        ValueError: Images or heatmaps are not as described.

    Example:

    >>> images = np.full((1, 1, 2, 3), 200.0)
    >>> masked_images(images, [[[0.5, 1.0]]])[0, 0, :, 0].numpy()
    array([100., 200.], dtype=float32)

    Reference:
        [Chattopadhay et al., 2017](https://arxiv.org/abs/1710.11063), section 4.1
    """
    images, heatmaps = _checked_pair(images, heatmaps)
    low, high = np.min(heatmaps), np.max(heatmaps)
    if low < 0.0 or high > 1.0 + _ROUNDING:
        raise ValueError(
            "`heatmaps` must be within 0..1. Received: heatmaps with minimum "
            f"{low} and maximum {high}"
        )
    return images * heatmaps[..., None]


def average_drop(before, after):
    """Share of the class probability that is lost when only the heatmap is seen.

    `max(0, before - after) / before` of each image; its mean over a data set is the
    Average Drop. An image without any probability to lose has none: NaN, to be left
    out of the mean.

    Lower is better. The range is 0..1.

    Args:
        before: Array `(B,)` in 0..1, the probability of the class of each image.
        after: Array `(B,)` in 0..1, that of the same class of its masked image.

    Returns:
        Float32 array `(B,)`.

    Raises:
        ValueError: The arrays are not as described.

    Example:

    >>> average_drop([0.8, 0.5, 0.0], [0.6, 0.9, 0.1])
    array([0.25, 0.  ,  nan], dtype=float32)

    Reference:
        [Chattopadhay et al., 2017](https://arxiv.org/abs/1710.11063), section 4.1
    """
    before, after = _checked_probabilities(before, after)
    drop = np.full_like(before, np.nan)
    np.divide(np.maximum(before - after, 0.0), before, out=drop, where=before > 0.0)
    return drop.astype("float32")


def average_increase(before, after):
    """Whether the class is more probable when only the heatmap is seen.

    1 where `after > before`, else 0; its mean over a data set is the Average
    Increase, also called increase in confidence.

    Higher is better. The range is 0..1.

    Args:
        before: Array `(B,)` in 0..1, the probability of the class of each image.
        after: Array `(B,)` in 0..1, that of the same class of its masked image.

    Returns:
        Float32 array `(B,)` of zeros and ones.

    Raises:
        ValueError: The arrays are not as described.

    Example:

    >>> average_increase([0.8, 0.5, 0.5], [0.6, 0.9, 0.5])
    array([0., 1., 0.], dtype=float32)

    Reference:
        [Chattopadhay et al., 2017](https://arxiv.org/abs/1710.11063), section 4.1
    """
    before, after = _checked_probabilities(before, after)
    return (after > before).astype("float32")


@tf.function(reduce_retracing=True)
def _ranks(heatmaps):
    """Place of each pixel in descending order, int32 `(B, H, W, 1)`."""
    shape = tf.shape(heatmaps)
    size, pixels = shape[0], shape[1] * shape[2]
    flat = tf.reshape(heatmaps, [size, pixels])
    order = tf.argsort(flat, direction="DESCENDING", stable=True)
    # Inverting one permutation of all pixels is much faster than sorting again.
    first = tf.range(size)[:, None] * pixels
    flat = tf.math.invert_permutation(tf.reshape(order + first, [-1]))
    ranks = tf.reshape(flat, [size, pixels]) - first
    return tf.reshape(ranks, tf.concat([shape, [1]], axis=0))


@tf.function(reduce_retracing=True)
def _mixed(ranks, count, inside, outside):
    """The `count` pixels of the first ranks of one image, the others of another."""
    return tf.where(ranks < count, inside, outside)


def _gaussian(side, sigma):
    """Matrix `(side, side)` that blurs a row of pixels; each of its rows sums to 1."""
    distance = np.subtract.outer(np.arange(side), np.arange(side)) / sigma
    weights = np.exp(-0.5 * distance**2)
    return tf.constant(weights / weights.sum(axis=1, keepdims=True), tf.float32)


@tf.function(reduce_retracing=True)
def _blurred(images, rows, columns):
    blurred = tf.einsum("hk,bkwc->bhwc", rows, images)
    blurred = tf.einsum("wk,bhkc->bhwc", columns, blurred)
    return tf.clip_by_value(blurred, 0.0, 255.0)


def _scores(scores, size):
    scores = np.asarray(scores, "float32")
    if scores.shape != (size,) or not np.isfinite(scores).all():
        raise ValueError(
            f"`score_fn` must return finite numbers of shape ({size},), one an image. "
            f"Received: shape {scores.shape}, {np.isfinite(scores).sum()} of "
            f"{scores.size} values finite"
        )
    return scores


def _checked_pair(images, heatmaps):
    images = tf.constant(checks.image_batch(images))
    heatmaps = np.asarray(heatmaps, "float32")
    if heatmaps.shape != images.shape[:3]:
        raise ValueError(
            f"`heatmaps` must have the shape {tuple(images.shape[:3])} that fits the "
            f"images. Received: heatmaps of shape {heatmaps.shape}"
        )
    if not np.isfinite(heatmaps).all():
        raise ValueError(
            "`heatmaps` must be finite. Received: heatmaps with minimum "
            f"{heatmaps.min()} and maximum {heatmaps.max()}"
        )
    return images, tf.constant(heatmaps)


def _checked_probabilities(before, after):
    before, after = np.asarray(before, "float64"), np.asarray(after, "float64")
    if before.ndim != 1 or before.shape != after.shape or before.size == 0:
        raise ValueError(
            "`before` and `after` must be of one shape (batch,). Received: shapes "
            f"{before.shape} and {after.shape}"
        )
    low = min(before.min(), after.min())
    high = max(before.max(), after.max())
    if not (low >= 0.0 and high <= 1.0 + _ROUNDING):  # catches NaN as well
        raise ValueError(
            "`before` and `after` must be probabilities in 0..1. Received: minimum "
            f"{low} and maximum {high}"
        )
    return before, after
