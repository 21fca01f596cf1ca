"""Whether heatmaps lie on the object, told from boxes or masks."""

import numpy as np

from keras_xcons import checks
from keras_xcons.metrics.truth import check_heatmaps, object_pixels

# Whose rule says what a hit of the pointing game is.
POINTING_PROTOCOLS = ("keras_xcons", "torchray")


def pointing_game(
    heatmaps, boxes=None, masks=None, tolerance=15, protocol="keras_xcons"
):
    """Whether the maximum of each heatmap hits the object.

    A hit is a maximum from which a pixel of the object is no more than `tolerance`
    pixels away, from centre to centre. Of several equal maxima the first counts, row
    by row. An all-zero map is a miss, and so is any map of an image without an
    object.

    Higher is better. The range is 0..1, the mean over a data set its accuracy.

    Args:
        heatmaps: Array `(B, H, W)`, non-negative, at the size of the images, as
            the tolerance is in its pixels.
        boxes: Array `(B, N, 4)`, `ymin, xmin, ymax, xmax` in 0..1. Boxes without
            area are padding. Of several boxes any may be hit.
        masks: Array `(B, H, W, 1)` of 1 on the object and 0 elsewhere. Give either
            boxes or masks.
        tolerance: Distance in pixels, 0 or more. Defaults to 15.
        protocol: `"torchray"` takes a hit for one only where the distance is below the
            tolerance, as TorchRay's `PointingGame` does, for figures to be put beside
            those of that benchmark (with a tolerance of 0 nothing hits). What remains
            ours: which pixels a box covers, the first of equal maxima, an all-zero map
            is a miss, and the mean over images, not over classes. Defaults to
            `"keras_xcons"`, no more than the tolerance away.

    Returns:
        Float32 array `(B,)`, 1 for a hit and 0 for a miss.

    Raises:
        ValueError: Heatmaps, boxes or masks are not as described, or neither or
            both of boxes and masks are given, `tolerance` is negative, or `protocol`
            is unknown.

    Example:

    >>> heatmaps = np.zeros((1, 64, 64))
    >>> heatmaps[0, 10, 40] = 1.0
    >>> pointing_game(heatmaps, boxes=[[[0.5, 0.5, 1.0, 1.0]]])
    array([0.], dtype=float32)
    >>> pointing_game(heatmaps, boxes=[[[0.5, 0.5, 1.0, 1.0]]], tolerance=22)
    array([1.], dtype=float32)

    Reference:
        [Zhang et al., 2016](https://arxiv.org/abs/1608.00507), section 4.2
    """
    if protocol not in POINTING_PROTOCOLS:
        raise ValueError(checks.unknown("protocol", protocol, POINTING_PROTOCOLS))
    heatmaps = check_heatmaps(heatmaps)
    objects = object_pixels(heatmaps.shape, boxes, masks)
    checks.within("tolerance", tolerance, 0, checks.LARGEST_SIDE)
    size, height, width = heatmaps.shape
    flat = heatmaps.reshape(size, -1)
    row, column = np.divmod(flat.argmax(axis=1)[:, None], width)
    squared_rows = (np.arange(height) - row) ** 2
    squared_columns = (np.arange(width) - column) ** 2
    squared = squared_rows[:, :, None] + squared_columns[:, None, :]
    near = squared < tolerance**2 if protocol == "torchray" else squared <= tolerance**2
    hit = np.any(objects & near, axis=(1, 2))
    return (hit & (flat.max(axis=1) > 0)).astype("float32")


def energy_pointing_game(heatmaps, boxes=None, masks=None):
    """Share of each heatmap that lies on the object.

    The sum of the heatmap over the object's pixels, divided by its sum over all
    pixels; of several boxes over their union. An all-zero map has 0, and counts:
    this is not Content Heatmap, which leaves such images out.

    Higher is better. The range is 0..1; a uniform map scores the share of the image
    that the object covers, which is chance.

    Args:
        heatmaps: Array `(B, H, W)`, non-negative.
        boxes: Array `(B, N, 4)`, `ymin, xmin, ymax, xmax` in 0..1. Boxes without
            area are padding.
        masks: Array `(B, H, W, 1)` of 1 on the object and 0 elsewhere. Give either
            boxes or masks.

    Returns:
        Float32 array `(B,)` in 0..1.

    Raises:
        ValueError: Heatmaps, boxes or masks are not as described, or neither or
            both of boxes and masks are given.

    Example:

    >>> heatmaps = np.array([[[0.2, 0.0], [0.2, 0.6]]])
    >>> energy_pointing_game(heatmaps, boxes=[[[0.5, 0.0, 1.0, 1.0]]])
    array([0.8], dtype=float32)

    Reference:
        [Wang et al., 2019](https://arxiv.org/abs/1910.01279), section 4.3
    """
    return _share_on_object(heatmaps, boxes, masks, empty=0.0)


def content_heatmap(heatmaps, boxes=None, masks=None):
    """Share of each heatmap that lies on the object, where there is a heatmap.

    As `energy_pointing_game`, but an all-zero map is left out: NaN.

    Higher is better. The range is 0..1; a uniform map scores the share of the image
    that the object covers, which is chance.

    Args:
        heatmaps: Array `(B, H, W)`, non-negative, of the true class.
        boxes: Array `(B, N, 4)`, `ymin, xmin, ymax, xmax` in 0..1. Boxes without
            area are padding; of several boxes their union counts.
        masks: Array `(B, H, W, 1)` of 1 on the object and 0 elsewhere. Give either
            boxes or masks.

    Returns:
        Float32 array `(B,)` in 0..1, NaN for an all-zero map.

    Raises:
        ValueError: Heatmaps, boxes or masks are not as described, or neither or
            both of boxes and masks are given.

    Example:

    >>> heatmaps = np.array([[[0.2, 0.0], [0.2, 0.6]], [[0.0, 0.0], [0.0, 0.0]]])
    >>> content_heatmap(heatmaps, boxes=[[[0.5, 0.0, 1.0, 1.0]]] * 2)
    array([0.8, nan], dtype=float32)

    Reference:
        [Pillai et al., 2022](https://arxiv.org/abs/2110.00527), Content Heatmap
    """
    return _share_on_object(heatmaps, boxes, masks, empty=np.nan)


def _share_on_object(heatmaps, boxes, masks, empty):
    """Sum on the object over sum, `empty` for an all-zero map."""
    heatmaps = check_heatmaps(heatmaps)
    objects = object_pixels(heatmaps.shape, boxes, masks)
    inside = np.sum(heatmaps, axis=(1, 2), where=objects)
    total = np.sum(heatmaps, axis=(1, 2))
    share = np.divide(inside, total, out=np.full_like(total, empty), where=total > 0)
    return share.astype("float32")
