"""What is left of a class's probability when only the heatmap is seen."""

import numpy as np

from keras_xcons.metrics.faithfulness import checked_pair

# Probabilities that were summed in float32 may pass 1 by a rounding.
_ROUNDING = 1e-5


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
    images, heatmaps = checked_pair(images, heatmaps)
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
