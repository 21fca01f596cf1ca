"""Whether heatmaps lie on the object, told from boxes or masks."""

import numpy as np

# Boxes that were scaled in float32 may miss the edge of an image by a rounding.
_ROUNDING = 1e-5


def pointing_game(heatmaps, boxes=None, masks=None, tolerance=15):
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

    Returns:
        Float32 array `(B,)`, 1 for a hit and 0 for a miss.

    Raises:
        ValueError: Heatmaps, boxes or masks are not as described, or neither or
            both of boxes and masks are given, or `tolerance` is negative.

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
    heatmaps = _checked_heatmaps(heatmaps)
    objects = _object_pixels(heatmaps.shape, boxes, masks)
    if not tolerance >= 0:
        raise ValueError(
            "`tolerance` must be a number of pixels, 0 or more. Received: "
            f"tolerance={tolerance!r}"
        )
    size, height, width = heatmaps.shape
    flat = heatmaps.reshape(size, -1)
    row, column = np.divmod(flat.argmax(axis=1)[:, None], width)
    squared_rows = (np.arange(height) - row) ** 2
    squared_columns = (np.arange(width) - column) ** 2
    squared = squared_rows[:, :, None] + squared_columns[:, None, :]
    hit = np.any(objects & (squared <= tolerance**2), axis=(1, 2))
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
    heatmaps = _checked_heatmaps(heatmaps)
    objects = _object_pixels(heatmaps.shape, boxes, masks)
    inside = np.sum(heatmaps, axis=(1, 2), where=objects)
    total = np.sum(heatmaps, axis=(1, 2))
    share = np.divide(inside, total, out=np.zeros_like(total), where=total > 0)
    return share.astype("float32")


def _checked_heatmaps(heatmaps):
    heatmaps = np.asarray(heatmaps, "float64")
    if heatmaps.ndim != 3 or 0 in heatmaps.shape:
        raise ValueError(
            "`heatmaps` must be one or more maps of shape (batch, height, width). "
            f"Received: heatmaps of shape {heatmaps.shape}"
        )
    low, high = heatmaps.min(), heatmaps.max()
    if not (low >= 0.0 and high < np.inf):  # not(...) so that NaN is caught as well
        raise ValueError(
            "`heatmaps` must be finite and non-negative. Received: heatmaps with "
            f"minimum {low} and maximum {high}"
        )
    return heatmaps


def _object_pixels(shape, boxes, masks):
    """Boolean array `(B, H, W)`, true on the pixels of the object."""
    if (boxes is None) == (masks is None):
        given = "neither" if boxes is None else "both"
        raise ValueError(
            f"Give either `boxes` or `masks`, one of the two. Received: {given}"
        )
    return _from_masks(shape, masks) if boxes is None else _from_boxes(shape, boxes)


def _from_masks(shape, masks):
    masks = np.asarray(masks)
    if masks.shape != (*shape, 1):
        raise ValueError(
            f"`masks` must have the shape {(*shape, 1)} that fits the heatmaps. "
            f"Received: masks of shape {masks.shape}"
        )
    objects = masks[..., 0] == 1
    if not np.all(objects | (masks[..., 0] == 0)):
        raise ValueError(
            "`masks` must be 1 on the object and 0 elsewhere. Received: masks with "
            f"minimum {masks.min()} and maximum {masks.max()}"
        )
    return objects


def _from_boxes(shape, boxes):
    boxes = np.asarray(boxes, "float64")
    size, height, width = shape
    if boxes.ndim != 3 or boxes.shape[0] != size or boxes.shape[2] != 4:
        raise ValueError(
            f"`boxes` must have the shape ({size}, boxes, 4) that fits the heatmaps. "
            f"Received: boxes of shape {boxes.shape}"
        )
    start, stop = boxes[..., :2], boxes[..., 2:]
    within = np.all((boxes >= -_ROUNDING) & (boxes <= 1.0 + _ROUNDING), axis=-1)
    wrong = ~(within & np.all(start <= stop, axis=-1))
    if wrong.any():
        raise ValueError(
            "`boxes` must be ymin, xmin, ymax, xmax within 0..1, no minimum above its "
            f"maximum. Received: boxes with {boxes[wrong][0].tolist()}"
        )
    # The pixels whose centres a box covers, and at least one in each direction.
    sides = np.array([height, width])
    first = np.minimum(np.floor(start * sides + 0.5), sides - 1)[..., None]
    last = np.maximum(np.floor(stop * sides + 0.5)[..., None], first + 1)
    rows, columns = np.arange(height), np.arange(width)
    in_rows = (rows >= first[:, :, 0]) & (rows < last[:, :, 0])
    in_columns = (columns >= first[:, :, 1]) & (columns < last[:, :, 1])
    padding = np.any(start == stop, axis=-1)
    in_rows &= ~padding[..., None]
    counts = np.einsum("bnh,bnw->bhw", in_rows.astype("f4"), in_columns.astype("f4"))
    return counts > 0
