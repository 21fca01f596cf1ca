"""How few pixels a heatmap rests on."""

import numpy as np

from keras_xcons.metrics.truth import check_heatmaps


def gini(heatmaps):
    """Gini index of the values of each heatmap.

    `1 - 2 sum_k (c_k / sum(c)) (N - k + 1/2) / N` over the N values `c_1 <= ... <= c_N`
    of a map in ascending order. A uniform map has 0, one with a single pixel above zero
    `1 - 1/N`. Neither the scale of a map nor the place of its values matters.

    Higher is sparser, which is better where explanations should be concise. The range
    is 0..1.

    Args:
        heatmaps: Array `(B, H, W)`, non-negative.

    Returns:
        Float32 array `(B,)`, NaN for an all-zero map, which has no index.

    Raises:
        ValueError: Heatmaps are not as described.

    Example:

    >>> gini([[[0.0, 0.0, 0.0, 1.0]], [[0.5, 0.5, 0.5, 0.5]]])
    array([0.75, 0.  ], dtype=float32)

    Reference:
        [Hurley and Rickard, 2009](https://arxiv.org/abs/0811.4706), the index;
        [Chalasani et al., 2018](https://arxiv.org/abs/1810.06583), its use on
        explanations
    """
    heatmaps = check_heatmaps(heatmaps)
    values = np.sort(heatmaps.reshape(len(heatmaps), -1), axis=1)
    count = values.shape[1]
    shares = (count - np.arange(count) - 0.5) / count
    total = values.sum(axis=1)
    empty = np.full_like(total, np.nan)
    lower = np.divide(values @ shares, total, out=empty, where=total > 0)
    # A uniform map may miss 0 by a rounding.
    return np.maximum(1.0 - 2.0 * lower, 0.0).astype("float32")
