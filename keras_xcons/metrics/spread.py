"""How far a heatmap spreads: whether it tells one place from another at all."""

import numpy as np

from keras_xcons.metrics.truth import check_heatmaps

# A map whose minimum is above this share of its maximum is flat (our choice: such a
# map has no background at the threshold at which attacks leave the object alone).
FLAT_ABOVE = 0.5


def flat(heatmaps):
    """Whether each heatmap is bright everywhere, and so says nothing.

    A map is flat when its minimum is above half its maximum (our choice). What is
    measured of a flat map is good for no reason: nothing moves it, so that its
    consistency is high and its sensitivity low, and no pixel is background to attack.

    Lower is better. The range is 0..1, the mean over a data set the share of flat maps.

    Args:
        heatmaps: Array `(B, h, w)`, non-negative, as the explainer computes them:
            before any minimum is subtracted, and before they are laid on an image of
            which
            the model may not see all.

    Returns:
        Float32 array `(B,)`, 1 for a flat map and 0 for another, NaN for an all-zero
        map.

    Raises:
        ValueError: Heatmaps are not as described.

    Example:

    >>> flat([[[0.6, 1.0]], [[0.4, 1.0]]])
    array([1., 0.], dtype=float32)
    """
    heatmaps = check_heatmaps(heatmaps)
    low, high = heatmaps.min(axis=(1, 2)), heatmaps.max(axis=(1, 2))
    return np.where(high > 0.0, low > FLAT_ABOVE * high, np.nan).astype("float32")


def entropy(heatmaps):
    """Shannon entropy of each heatmap, taken for a distribution over its pixels.

    `-sum_k p_k log(p_k) / log(N)` with `p = map / sum(map)` over its N pixels (the
    division by log N, so that maps of other sizes compare better, is our choice).
    A uniform map has 1, one with a single pixel above zero 0. Neither the scale of a
    map nor the place of its values matters.

    Lower is more concise, which is better where explanations should be; that a map is
    concise does not say that it is right. The range is 0..1.

    Args:
        heatmaps: Array `(B, h, w)`, as for `flat`.

    Returns:
        Float32 array `(B,)`, NaN for an all-zero map, which is no distribution. A map
        of one pixel is uniform.

    Raises:
        ValueError: Heatmaps are not as described.

    Example:

    >>> entropy([[[0.5, 0.5, 0.0, 0.0]], [[1.0, 1.0, 1.0, 1.0]]])
    array([0.5, 1. ], dtype=float32)

    Reference:
        [Bhatt et al., 2020](https://arxiv.org/abs/2005.00631), the entropy of an
        explanation as its complexity
    """
    heatmaps = check_heatmaps(heatmaps)
    values = heatmaps.reshape(len(heatmaps), -1)
    # Of the largest value, so that no sum overflows or underflows.
    peak = values.max(axis=1, keepdims=True)
    values = np.divide(values, peak, out=np.zeros_like(values), where=peak > 0.0)
    total = values.sum(axis=1, keepdims=True)
    shares = np.divide(values, total, out=np.zeros_like(values), where=total > 0.0)
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0.0)
    count = values.shape[1]
    found = -(shares * logs).sum(axis=1) / np.log(count) if count > 1 else 1.0
    # A uniform map may miss 1 by a rounding, one of a single pixel have -0.
    found = np.clip(found, 0.0, 1.0) + 0.0
    return np.where(peak[:, 0] > 0.0, found, np.nan).astype("float32")
