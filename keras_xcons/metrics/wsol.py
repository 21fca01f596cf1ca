"""Hits of boxes as wsolevaluation counts them, for figures beside published ones."""

import numpy as np

from keras_xcons.metrics.boxes import THRESHOLDS
from keras_xcons.metrics.max_box_acc import LEVELS
from keras_xcons.metrics.truth import (
    check_boxes,
    check_heatmaps,
    check_masks,
    check_one,
    check_shares,
    pixel_boxes,
)

# Whose rules say which box a heatmap has and how it overlaps.
BOX_PROTOCOLS = ("keras_xcons", "wsolevaluation")


def wsol_hits(
    heatmaps,
    boxes=None,
    masks=None,
    thresholds=THRESHOLDS,
    levels=LEVELS,
    components="largest",
):
    """Whether boxes read off heatmaps hit the object, by wsolevaluation's rules.

    Their rules differ from those of `largest_boxes` and `component_overlaps`. A map is
    brought to 8 bits and cut strictly above `int(threshold * its maximum)`; a box is
    that around a contour of OpenCV's `findContours`, of holes as well; the largest
    contour is the one that encloses the largest area; its right and lower edges end at
    the last pixel; the overlap is that of boxes of whole pixels that include both
    edges; and a map without a contour has the box of the first pixel.

    What remains ours: how a heatmap is computed and laid on the image (they resize it
    by cubic splines and subtract its minimum then, `normalize="minmax"` subtracts it
    before a bilinear resize), the size of the image (theirs is 224 x 224), thresholds
    0.02 apart (theirs 0.01, in their code 0.001), and what is made of the hits:
    `max_box_acc` of all images is theirs, a report's figure is cross-fitted and has
    theirs beside it as the in-sample one.

    Args:
        heatmaps: Array `(B, H, W)` in 0..1, at the size of the images.
        boxes: Array `(B, N, 4)`, `ymin, xmin, ymax, xmax` in 0..1, brought to whole
            pixels by cutting off, as theirs. Boxes without area are padding.
        masks: Array `(B, H, W, 1)` of 1 on the object and 0 elsewhere, which stands
            for the box around it. Give either boxes or masks.
        thresholds: Sequence of T shares of the maximum, each in 0..1. Defaults to
            `THRESHOLDS`, 0.00 to 0.98 in steps of 0.02 (our choice).
        levels: Sequence of L overlaps in 0..1 from which a box is a hit. Defaults to
            `LEVELS`, 0.3, 0.5 and 0.7.
        components: `"largest"` for MaxBoxAcc, `"all"` for MaxBoxAccV2, where the box
            that fits best counts. Defaults to `"largest"`.

    Returns:
        Boolean array `(B, L, T)`, as `box_hits`. False for an image without an object.

    Raises:
        ImportError: OpenCV is not installed.
        ValueError: An argument is not as described.

    Example:

    >>> heatmaps = np.zeros((1, 8, 8))
    >>> heatmaps[0, 2:5, 2:5] = 1.0
    >>> box = [[[0.25, 0.25, 0.625, 0.625]]]
    >>> wsol_hits(heatmaps, box, thresholds=[0.5], levels=[0.5])
    array([[[ True]]])

    Reference:
        [Choe et al., 2020](https://arxiv.org/abs/2001.07437) and their code,
        `evaluation.py` of github.com/clovaai/wsolevaluation
    """
    check_opencv()
    if components not in ("largest", "all"):
        raise ValueError(
            "`components` must be 'largest' or 'all'. Received: "
            f"components={components!r}"
        )
    heatmaps = check_heatmaps(heatmaps)
    if heatmaps.max() > 1.0:
        raise ValueError(
            "`heatmaps` must be within 0..1. Received: heatmaps with maximum "
            f"{heatmaps.max()}"
        )
    thresholds = check_shares("thresholds", thresholds)
    levels = check_shares("levels", levels)
    truth = _whole_pixels(boxes, masks, heatmaps.shape)
    hits = np.zeros((len(heatmaps), len(levels), len(thresholds)), bool)
    for row, heatmap, known in zip(hits, heatmaps, truth, strict=True):
        if not len(known):
            continue
        levelled = (heatmap * 255).astype("uint8")
        cuts = (thresholds * levelled.max()).astype("int64")
        # Of 50 thresholds many cut an 8-bit map alike.
        for cut in np.unique(cuts):
            found = _boxes(levelled > cut, components)
            row[:, cuts == cut] = (_best(found, known) >= levels)[:, None]
    return hits


def check_opencv():
    """Refuses to go on without OpenCV, which wsolevaluation's rules are made of.

    Raises:
        ImportError: It is not installed.

    Example:

    >>> check_opencv()
    """
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "Boxes by wsolevaluation's rules need OpenCV: "
            "pip install 'keras-xcons[wsol]'. Received: protocol='wsolevaluation'"
        ) from error


def _whole_pixels(boxes, masks, shape):
    """Of each image the boxes of its objects, x0, y0, x1, y1 in whole pixels."""
    check_one(boxes, masks)
    if boxes is None:
        masks = check_masks(masks, shape[0])
        boxes = pixel_boxes(masks)[:, None].astype("float64")
    boxes = check_boxes(boxes, shape[0])
    height, width = shape[1:]
    # A box in float32 may miss the whole pixel that it was made of by a rounding.
    sides = np.array([width, height, width, height])
    pixels = np.floor(boxes[..., [1, 0, 3, 2]] * sides + 1e-3).astype("int64")
    area = np.all(boxes[..., :2] < boxes[..., 2:], axis=-1)
    return [each[kept] for each, kept in zip(pixels, area, strict=True)]


def _boxes(above, components):
    """The boxes of a map that has been cut, x0, y0, x1, y1 in whole pixels."""
    import cv2

    *_, contours, _ = cv2.findContours(
        above.astype("uint8"), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE
    )
    if not contours:
        return np.zeros((1, 4), "int64")
    if components == "largest":
        contours = [max(contours, key=cv2.contourArea)]
    found = np.array([cv2.boundingRect(contour) for contour in contours], "int64")
    found[:, 2:] += found[:, :2]
    height, width = above.shape
    found[:, 2:] = np.minimum(found[:, 2:], [width - 1, height - 1])
    return found


def _best(found, known):
    """The highest overlap of any box with any other, both edges included."""
    found = found[:, None]
    start = np.maximum(found[..., :2], known[..., :2])
    stop = np.minimum(found[..., 2:], known[..., 2:])
    shared = np.prod(np.maximum(stop - start + 1, 0), axis=-1)
    areas = (
        np.prod(box[..., 2:] - box[..., :2] + 1, axis=-1) for box in (found, known)
    )
    return (shared / (sum(areas) - shared)).max()
