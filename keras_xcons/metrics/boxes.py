"""Boxes read off heatmaps, against the boxes of the objects: MaxBoxAcc."""

import numpy as np

from keras_xcons.checks import image_size
from keras_xcons.metrics.truth import (
    check_boxes,
    check_heatmaps,
    check_one,
    pixel_boxes,
    tight_boxes,
)

# Shares of a heatmap's maximum at which it is cut: 0.00, 0.02 ... 0.98.
THRESHOLDS = tuple(step / 50 for step in range(50))
# Overlaps from which a box is a hit: MaxBoxAccV2 takes all three, MaxBoxAcc 0.5.
LEVELS = (0.3, 0.5, 0.7)

# Boxes in float32 may miss an overlap by a rounding.
_ROUNDING = 1e-6


def largest_boxes(heatmaps, thresholds=THRESHOLDS):
    """The box around the largest component of each heatmap, at every threshold.

    A heatmap is cut at a share of its maximum; pixels at or above it that touch, by a
    side or a corner (8-connectivity, as the contours of Choe et al.), are one
    component. The largest has the most pixels; Choe et al. take the contour that
    encloses the largest area. Of several of one size that whose first pixel comes
    first, row by row, counts.

    Args:
        heatmaps: Array `(B, H, W)`, non-negative.
        thresholds: Sequence of T shares of the maximum, each in 0..1. Defaults to
            `THRESHOLDS`, 0.00 to 0.98 in steps of 0.02 (our choice).

    Returns:
        Float32 array `(B, T, 4)`, `ymin, xmin, ymax, xmax` in 0..1 at the outer edges
        of the component's outer pixels; zeros for an all-zero map.

    Raises:
        ValueError: Heatmaps or thresholds are not as described.

    Example:

    >>> heatmaps = np.array([[[0.4, 0.0, 0.8, 1.0]]])
    >>> largest_boxes(heatmaps, thresholds=[0.3, 0.9])
    array([[[0.  , 0.5 , 1.  , 1.  ],
            [0.  , 0.75, 1.  , 1.  ]]], dtype=float32)

    Reference:
        [Choe et al., 2020](https://arxiv.org/abs/2001.07437), section 4.1
    """
    from scipy import ndimage

    heatmaps = check_heatmaps(heatmaps)
    thresholds = _checked_shares("thresholds", thresholds)
    maxima = heatmaps.max(axis=(1, 2), keepdims=True)
    # Pixels of neighbouring images in the stack do not touch.
    touching = np.zeros((3, 3, 3), bool)
    touching[1] = True
    labels = np.empty(heatmaps.shape, "int32")
    flat = labels.reshape(len(labels), -1)
    found = np.empty((len(heatmaps), len(thresholds), 4), "float32")
    for place, threshold in enumerate(thresholds):
        above = (heatmaps >= threshold * maxima) & (maxima > 0.0)
        ndimage.label(above, touching, output=labels)
        sizes = np.bincount(flat.ravel()).astype("int32")
        sizes[0] = 0
        inside = sizes[flat].argmax(axis=1)[:, None]
        largest = np.take_along_axis(flat, inside, axis=1)[..., None]
        found[:, place] = pixel_boxes((labels == largest) & above)
    return found


def box_overlaps(found, boxes=None, masks=None):
    """How well boxes overlap with that of the object they fit best.

    The overlap is the intersection over union (IoU) of areas.

    Higher is better. The range is 0..1.

    Args:
        found: Array `(B, T, 4)`, T boxes an image as `largest_boxes` returns them, or
            `(1, T, 4)` for the same boxes in every image.
        boxes: Array `(B, N, 4)`, `ymin, xmin, ymax, xmax` in 0..1. Boxes without
            area are padding. Of several boxes the one that overlaps best counts.
        masks: Array `(B, H, W, 1)` of 1 on the object and 0 elsewhere, which stands
            for the box around it. Give either boxes or masks.

    Returns:
        Float32 array `(B, T)`. 0 for a box without area and for an image without an
        object.

    Raises:
        ValueError: `found`, boxes or masks are not as described, or neither or both
            of `boxes` and `masks` are given.

    Example:

    >>> found = [[[0.0, 0.0, 1.0, 1.0], [0.5, 0.5, 1.0, 1.0]]]
    >>> box_overlaps(found, boxes=[[[0.5, 0.0, 1.0, 1.0]]])
    array([[0.5, 0.5]], dtype=float32)

    Reference:
        [Choe et al., 2020](https://arxiv.org/abs/2001.07437), section 4.1
    """
    check_one(boxes, masks)
    truth = check_boxes(tight_boxes(masks) if boxes is None else boxes)
    found = np.asarray(found)
    same = found.shape[:1] == (1,)
    found = check_boxes(found, 1 if same else len(truth), "found")
    found, truth = found[:, :, None], truth[:, None]
    start = np.maximum(found[..., :2], truth[..., :2])
    stop = np.minimum(found[..., 2:], truth[..., 2:])
    shared = np.prod(np.maximum(stop - start, 0.0), axis=-1)
    union = _areas(found) + _areas(truth) - shared
    overlaps = np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)
    return overlaps.max(axis=-1, initial=0.0).astype("float32")


def box_hits(overlaps, levels=LEVELS):
    """Whether boxes overlap enough with the object's.

    Args:
        overlaps: Array `(B, T)` in 0..1, see `box_overlaps`.
        levels: Sequence of L overlaps in 0..1 from which a box is a hit. Defaults to
            `LEVELS`, 0.3, 0.5 and 0.7. A rounding of float32 below is a hit.

    Returns:
        Boolean array `(B, L, T)`.

    Raises:
        ValueError: `overlaps` are not of rank 2, or levels are not as described.

    Example:

    >>> box_hits([[0.4, 0.6]])
    array([[[ True,  True],
            [False,  True],
            [False, False]]])
    """
    overlaps = np.asarray(overlaps, "float64")
    if overlaps.ndim != 2:
        raise ValueError(
            "`overlaps` must have the shape (batch, thresholds). Received: overlaps "
            f"of shape {overlaps.shape}"
        )
    levels = _checked_shares("levels", levels)
    return overlaps[:, None] >= levels[:, None] - _ROUNDING


def max_box_acc(hits):
    """MaxBoxAcc: how often boxes hit, at the best threshold for the data set.

    Higher is better. The range is 0..1.

    Args:
        hits: Array `(..., T)`, the share of images hit at each threshold, for one
            level: the mean over images of what `box_hits` returns.

    Returns:
        Array `(...)`.

    Raises:
        ValueError: There is no threshold.

    Example:

    >>> float(max_box_acc([0.2, 0.6, 0.4]))
    0.6

    Reference:
        [Choe et al., 2020](https://arxiv.org/abs/2001.07437), section 4.1
    """
    hits = np.asarray(hits)
    if hits.ndim == 0 or hits.shape[-1] == 0:
        raise ValueError(
            "`hits` must have one or more thresholds on their last axis. Received: "
            f"hits of shape {hits.shape}"
        )
    return hits.max(axis=-1)


def max_box_acc_v2(hits):
    """MaxBoxAccV2: the mean of `max_box_acc` over levels of overlap.

    Every level has its own best threshold. Higher is better. The range is 0..1.

    Args:
        hits: Array `(..., L, T)`, the share of images hit at each level and
            threshold: the mean over images of what `box_hits` returns. The published
            figure takes the levels 0.3, 0.5 and 0.7.

    Returns:
        Array `(...)`.

    Raises:
        ValueError: There is no threshold, or no level.

    Example:

    >>> float(max_box_acc_v2([[0.5, 1.0], [0.5, 0.25], [0.0, 0.0]]))
    0.5

    Reference:
        [Choe et al., 2020](https://arxiv.org/abs/2007.04178), MaxBoxAccV2
    """
    best = max_box_acc(hits)
    if best.ndim == 0 or best.shape[-1] == 0:
        raise ValueError(
            "`hits` must have the shape (..., levels, thresholds). Received: hits of "
            f"shape {np.shape(hits)}"
        )
    return best.mean(axis=-1)


def centre_gaussian(height, width):
    """A heatmap that knows nothing of its image: a Gaussian at the centre.

    The baseline beside which MaxBoxAcc is read. Its standard deviation is a quarter of
    each side (our choice), so that it is isotropic in square images, which Choe et al.
    resize all images to, and fills others alike. As heatmaps are cut at shares of
    their maximum, the deviation decides only how finely the thresholds tell its boxes
    apart.

    Args:
        height: Height in pixels, 1 or more.
        width: Width in pixels, 1 or more.

    Returns:
        Float32 array `(height, width)` in 0..1 with a maximum of 1.

    Raises:
        ValueError: A side is not a positive int.

    Example:

    >>> centre_gaussian(1, 3).round(2)
    array([[0.41, 1.  , 0.41]], dtype=float32)

    Reference:
        [Choe et al., 2020](https://arxiv.org/abs/2001.07437), the centre-Gaussian
        baseline
    """
    height, width = image_size((height, width), "size")
    rows, columns = (
        ((np.arange(side) + 0.5) / side - 0.5) / 0.25 for side in (height, width)
    )
    heatmap = np.exp(-0.5 * (rows[:, None] ** 2 + columns**2))
    return (heatmap / heatmap.max()).astype("float32")


def _checked_shares(name, values):
    found = np.asarray(values, "float64")
    if found.ndim != 1 or not len(found) or not np.all((found >= 0) & (found <= 1)):
        raise ValueError(
            f"`{name}` must be one or more numbers within 0..1. Received: "
            f"{name}={values!r}"
        )
    return found


def _areas(boxes):
    return np.prod(boxes[..., 2:] - boxes[..., :2], axis=-1)
