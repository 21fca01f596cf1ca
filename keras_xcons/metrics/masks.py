"""Heatmaps against masks, pixel by pixel: PxAP and IoU AUC."""

import numpy as np

from keras_xcons.data import arguments
from keras_xcons.metrics.truth import check_heatmaps, check_masks

# Bins of a histogram of scores, or thresholds: those of 8-bit maps (our choice).
_BINS = 256


def pixel_histograms(heatmaps, masks, bins=_BINS):
    """How often each score occurs on the object of an image and off it.

    The score of a pixel is its share of the heatmap's maximum. What `pxap` takes,
    summed or averaged over images.

    Args:
        heatmaps: Array `(B, H, W)`, non-negative.
        masks: Array `(B, H, W, 1)` of 1 on the object and 0 elsewhere.
        bins: Number of bins of equal width over 0..1, 1 or more; the last one holds
            the score 1. Defaults to 256 (our choice).

    Returns:
        Float32 array `(B, 2, bins)`, numbers of pixels on the object and off it. All
        pixels of an all-zero map are in the first bin.

    Raises:
        ValueError: Heatmaps, masks or `bins` are not as described.

    Example:

    >>> heatmaps = np.array([[[0.1, 0.4, 0.5, 1.0]]])
    >>> pixel_histograms(heatmaps, masks=[[[[0], [0], [1], [1]]]], bins=2)
    array([[[0., 2.],
            [2., 0.]]], dtype=float32)

    Reference:
        [Choe et al., 2020](https://arxiv.org/abs/2001.07437), section 4.1
    """
    bins = _checked_count("bins", bins)
    heatmaps, objects = _checked(heatmaps, masks)
    places = np.minimum(np.floor(_scores(heatmaps) * bins), bins - 1)
    return _histograms(places, objects, bins).astype("float32")


def pxap(histograms):
    """PxAP: area under the precision-recall curve of the pixels of a data set.

    The sum of `(R_t - R_(t-1)) P_t` over thresholds t on the score, one at the lower
    edge of each bin, from the highest to the lowest: R_t is the share of the objects'
    pixels that score at least t, P_t the share of the pixels that score at least t
    which lie on an object, all over the pixels of all images together.

    Higher is better. The range is 0..1; scores that say nothing have the share of
    pixels that the objects cover.

    Args:
        histograms: Array `(..., 2, bins)`, the sum or the mean over images of what
            `pixel_histograms` returns.

    Returns:
        Float64 array `(...)`.

    Raises:
        ValueError: Histograms are not as described, or there is one without a pixel
            on an object.

    Example:

    >>> float(pxap([[0.0, 2.0], [2.0, 0.0]]))
    1.0

    Reference:
        [Choe et al., 2020](https://arxiv.org/abs/2001.07437), section 4.1
    """
    histograms = np.asarray(histograms, "float64")
    if histograms.ndim < 2 or histograms.shape[-2] != 2 or 0 in histograms.shape:
        raise ValueError(
            "`histograms` must have the shape (..., 2, bins). Received: histograms of "
            f"shape {histograms.shape}"
        )
    # Not(...) so that NaN is caught as well.
    if not (histograms.min() >= 0 and histograms[..., 0, :].sum(axis=-1).min() > 0):
        raise ValueError(
            "`histograms` must not be negative, and each must have pixels on an "
            f"object. Received: histograms with minimum {histograms.min()} and as few "
            f"as {histograms[..., 0, :].sum(axis=-1).min()} pixels on objects"
        )
    above = histograms[..., ::-1].cumsum(axis=-1)
    hits, predicted = above[..., 0, :], above.sum(axis=-2)
    precision = np.divide(hits, predicted, out=np.zeros_like(hits), where=hits > 0)
    gained = histograms[..., 0, ::-1]
    return np.sum(gained * precision, axis=-1) / hits[..., -1]


def iou_auc(heatmaps, masks, thresholds=_BINS):
    """Area under the curve of overlap with the mask over the threshold.

    The mean, over thresholds 0, 1/T ... (T - 1)/T of the heatmap's maximum, of the
    intersection over union (IoU) of the pixels above the threshold and those of the
    mask. The source names the metric; this definition is our choice.

    Higher is better. The range is 0..1; only a heatmap that is as large everywhere on
    the object and zero elsewhere has 1.

    Args:
        heatmaps: Array `(B, H, W)`, non-negative.
        masks: Array `(B, H, W, 1)` of 1 on the object and 0 elsewhere.
        thresholds: Number of thresholds T, 1 or more. Defaults to 256 (our choice).

    Returns:
        Float32 array `(B,)` in 0..1. 0 for an all-zero map and for an empty mask.

    Raises:
        ValueError: Heatmaps, masks or `thresholds` are not as described.

    Example:

    >>> iou_auc([[[0.0, 0.5, 1.0]]], masks=[[[[0], [1], [1]]]])
    array([0.75], dtype=float32)

    Reference:
        [Zhang et al., 2024](https://arxiv.org/abs/2407.19308), where it is named
    """
    thresholds = _checked_count("thresholds", thresholds)
    heatmaps, objects = _checked(heatmaps, masks)
    # A pixel in place p is above the first p thresholds.
    places = np.ceil(_scores(heatmaps) * thresholds)
    counts = _histograms(places, objects, thresholds + 1)
    above = counts[..., :0:-1].cumsum(axis=-1)
    hits, others = above[:, 0], above[:, 1]
    union = counts[:, 0].sum(axis=-1, keepdims=True) + others
    overlaps = np.divide(hits, union, out=np.zeros(hits.shape), where=hits > 0)
    return overlaps.mean(axis=-1).astype("float32")


def _checked(heatmaps, masks):
    heatmaps = check_heatmaps(heatmaps)
    return heatmaps, check_masks(masks, len(heatmaps), heatmaps.shape[1:])


def _checked_count(name, value):
    arguments.check_count(value, name)
    return value


def _scores(heatmaps):
    """Shares of each heatmap's maximum, 0 everywhere for an all-zero map."""
    maxima = heatmaps.max(axis=(1, 2), keepdims=True)
    return np.divide(heatmaps, maxima, out=np.zeros_like(heatmaps), where=maxima > 0)


def _histograms(places, objects, bins):
    """Counts `(B, 2, bins)` of the places 0..bins-1 on objects and off them."""
    size = len(places)
    rows = 2 * np.arange(size)[:, None, None] + ~objects
    combined = rows * bins + places.astype("int64")
    counts = np.bincount(combined.ravel(), minlength=size * 2 * bins)
    return counts.reshape(size, 2, bins)
