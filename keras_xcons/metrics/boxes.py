"""Boxes read off heatmaps, and how well they fit the boxes of the objects."""

import numpy as np

from keras_xcons.metrics.truth import (
    check_boxes,
    check_heatmaps,
    check_masks,
    check_one,
    check_shares,
    pixel_boxes,
)

# Shares of a heatmap's maximum at which it is cut: 0.00, 0.02 ... 0.98.
THRESHOLDS = tuple(step / 50 for step in range(50))

# Pairs of a component and a box compared at once, some 10 MB of memory: noise has
# tens of thousands of components.
_PAIRS = 2**17


def largest_boxes(heatmaps, thresholds=THRESHOLDS):
    """The box around the largest component of each heatmap, at every threshold.

    MaxBoxAcc reads one box off a heatmap, this one; MaxBoxAccV2 takes the boxes around
    all components, see `component_overlaps`.

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
    heatmaps = check_heatmaps(heatmaps)
    thresholds = check_shares("thresholds", thresholds)
    found = np.empty((len(heatmaps), len(thresholds), 4), "float32")
    for place, labels in enumerate(_labels(heatmaps, thresholds)):
        flat = labels.reshape(len(labels), -1)
        sizes = np.bincount(flat.ravel()).astype("int32")
        sizes[0] = 0
        inside = sizes[flat].argmax(axis=1)[:, None]
        largest = np.take_along_axis(flat, inside, axis=1)[..., None]
        largest[largest == 0] = -1  # An empty map has none.
        found[:, place] = pixel_boxes(labels == largest)
    return found


def component_overlaps(heatmaps, boxes=None, masks=None, thresholds=THRESHOLDS):
    """How well the component that fits best overlaps, at every threshold.

    MaxBoxAccV2 takes the best match of the boxes around all components of a heatmap,
    cut as in `largest_boxes`, with all boxes of the image's objects; MaxBoxAcc takes
    the largest component alone, the `box_overlaps` of `largest_boxes`, which are never
    higher. The overlap is the intersection over union (IoU) of areas.

    Higher is better. The range is 0..1.

    Args:
        heatmaps: Array `(B, H, W)`, non-negative.
        boxes: Array `(B, N, 4)`, `ymin, xmin, ymax, xmax` in 0..1. Boxes without
            area are padding.
        masks: Array `(B, h, w, 1)` of 1 on the object and 0 elsewhere, which stands
            for the box around it. Give either boxes or masks.
        thresholds: Sequence of T shares of the maximum, each in 0..1. Defaults to
            `THRESHOLDS`, 0.00 to 0.98 in steps of 0.02 (our choice).

    Returns:
        Float32 array `(B, T)`. 0 for an all-zero map and for an image without an
        object.

    Raises:
        ValueError: Heatmaps, boxes, masks or thresholds are not as described, or
            neither or both of `boxes` and `masks` are given.

    Example:

    >>> heatmaps = np.array([[[1.0, 0.0, 1.0, 1.0]]])
    >>> component_overlaps(heatmaps, [[[0.0, 0.0, 1.0, 0.25]]], thresholds=[0.5])
    array([[1.]], dtype=float32)

    Reference:
        [Choe et al., 2020](https://arxiv.org/abs/2007.04178), MaxBoxAccV2
    """
    heatmaps = check_heatmaps(heatmaps)
    truth = _checked_truth(boxes, masks, len(heatmaps))
    thresholds = check_shares("thresholds", thresholds)
    overlaps = np.zeros((len(heatmaps), len(thresholds)))
    step = max(1, _PAIRS // max(1, truth.shape[1]))
    for place, labels in enumerate(_labels(heatmaps, thresholds)):
        images, found = _component_boxes(labels)
        for start in range(0, len(found), step):
            owners = images[start : start + step]
            fits = _best_overlaps(found[start : start + step], truth[owners])
            np.maximum.at(overlaps[:, place], owners, fits)
    return overlaps.astype("float32")


def box_overlaps(found, boxes=None, masks=None):
    """How well boxes overlap with that of the object they fit best.

    The overlap is the intersection over union (IoU) of areas. With the boxes of
    `largest_boxes` it is what MaxBoxAcc takes; for MaxBoxAccV2 see
    `component_overlaps`.

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
    truth = _checked_truth(boxes, masks)
    found = np.asarray(found)
    same = found.shape[:1] == (1,)
    found = check_boxes(found, 1 if same else len(truth), "found")
    return _best_overlaps(found, truth[:, None]).astype("float32")


def _checked_truth(boxes, masks, size=None):
    check_one(boxes, masks)
    if boxes is None:
        return pixel_boxes(check_masks(masks, size))[:, None].astype("float64")
    return check_boxes(boxes, size)


def _labels(heatmaps, thresholds):
    """Yields the components at each threshold, numbered from 1 through the batch.

    The array `(B, H, W)` that it yields is 0 elsewhere, and always the same one.
    """
    from scipy import ndimage

    maxima = heatmaps.max(axis=(1, 2), keepdims=True)
    # Pixels of neighbouring images in the stack do not touch.
    touching = np.zeros((3, 3, 3), bool)
    touching[1] = True
    labels = np.empty(heatmaps.shape, "int32")
    for threshold in thresholds:
        above = (heatmaps >= threshold * maxima) & (maxima > 0.0)
        ndimage.label(above, touching, output=labels)
        yield labels


def _component_boxes(labels):
    """Each component's image, `(C,)`, and box, `(C, 4)`."""
    _, height, width = labels.shape
    # The ends of a component's runs of pixels within a row bound it, and are fewer
    # than its pixels. Firsts and lasts come in the same order.
    inside = labels > 0
    first, last = inside.copy(), inside.copy()
    first[..., 1:] &= ~inside[..., :-1]
    last[..., :-1] &= ~inside[..., 1:]
    starts = np.flatnonzero(first)
    left, right = starts % width, np.flatnonzero(last) % width + 1
    owners, rows = np.divmod(starts // width, height)
    components = labels.ravel()[starts] - 1
    count = components.max(initial=-1) + 1
    images = np.empty(count, "int64")
    images[components] = owners
    edges = np.zeros((4, count), "int64")
    edges[:2] = max(height, width)
    np.minimum.at(edges[0], components, rows)
    np.minimum.at(edges[1], components, left)
    np.maximum.at(edges[2], components, rows + 1)
    np.maximum.at(edges[3], components, right)
    # Rounded as `pixel_boxes` rounds, so that the same box has the same overlap.
    boxes = (edges.T / [height, width, height, width]).astype("float32")
    return images, boxes.astype("float64")


def _best_overlaps(found, truth):
    """The highest IoU of boxes `(..., 4)` with any of `(..., N, 4)`."""
    found = found[..., None, :]
    start = np.maximum(found[..., :2], truth[..., :2])
    stop = np.minimum(found[..., 2:], truth[..., 2:])
    shared = np.prod(np.maximum(stop - start, 0.0), axis=-1)
    union = _areas(found) + _areas(truth) - shared
    overlaps = np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)
    return overlaps.max(axis=-1, initial=0.0)


def _areas(boxes):
    return np.prod(boxes[..., 2:] - boxes[..., :2], axis=-1)
