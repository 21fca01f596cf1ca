"""Whether a classifier uses what its heatmaps show: it is asked again without it."""

import numpy as np
import tensorflow as tf

from keras_xcons import checks
from keras_xcons.data import arguments


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
    images, heatmaps = checked_pair(images, heatmaps)
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


def removal(score_fn, images, heatmaps, targets, shares, value=127.5):
    """How much of the class probability is gone without the hottest pixels.

    The probability of the class in the image, less that in the image whose hottest
    pixels have one value: points of the deletion curve of `insertion_and_deletion`,
    subtracted from its first. Higher is better, the range is -1..1.
    The paper reports fidelity by removal of the top 5, 10 and 20 %; this definition of
    it is ours.

    Args:
        score_fn: As for `insertion_and_deletion`; called once a share, and once.
        images: As there.
        heatmaps: As there.
        targets: As there.
        shares: Sequence of shares of the pixels, each in (0, 1].
        value: What removed pixels become, in 0..255. Defaults to 127.5.

    Returns:
        Float32 array `(B, shares)`.

    Raises:
        TypeError, ValueError: As `insertion_and_deletion`, or a share is out of range.

    Example:

    >>> removal(score_fn, images, heatmaps, labels, shares=(0.05, 0.1, 0.2)).shape
    (32, 3)

    Reference:
        [Zhang et al., 2024](https://arxiv.org/abs/2407.19308)
    """
    images, heatmaps = checked_pair(images, heatmaps)
    for share in shares:
        checks.within("shares", share, 0.0, 1.0, inclusive=False)
    checks.within("value", value, 0.0, 255.0)
    ranks, pixels = _ranks(heatmaps), heatmaps.shape[1] * heatmaps.shape[2]
    plain = tf.fill(tf.shape(images), tf.constant(value, tf.float32))
    whole = _scores(score_fn(images, targets), len(images))
    left = []
    for share in shares:
        count = tf.constant(int(share * pixels), tf.int32)
        mixed = _mixed(ranks, count, plain, images)
        left.append(_scores(score_fn(mixed, targets), len(images)))
    return whole[:, None] - np.stack(left, axis=1)


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


def checked_pair(images, heatmaps):
    """Images and their heatmaps as float32 tensors.

    Args:
        images: Array or tensor `(B, H, W, channels)`, uint8 or float, in 0..255.
        heatmaps: Array or tensor `(B, H, W)`.

    Returns:
        `(images, heatmaps)`.

    Raises:
        TypeError: Images are no numbers.
        ValueError: They are not as described, or the heatmaps are not finite.
    """
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
