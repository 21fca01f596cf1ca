"""MaxBoxAcc and its V2, of how well boxes fit, and the baseline beside them."""

import numpy as np

from keras_xcons.checks import image_size
from keras_xcons.metrics.truth import check_shares

# Overlaps from which a box is a hit: MaxBoxAccV2 takes all three, MaxBoxAcc 0.5.
LEVELS = (0.3, 0.5, 0.7)

# Boxes in float32 may miss an overlap by a rounding.
_ROUNDING = 1e-6


def box_hits(overlaps, levels=LEVELS):
    """Whether boxes overlap enough with the object's.

    Args:
        overlaps: Array `(B, T)` in 0..1, of `box_overlaps` for MaxBoxAcc, of
            `component_overlaps` for MaxBoxAccV2.
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
    levels = check_shares("levels", levels)
    return overlaps[:, None] >= levels[:, None] - _ROUNDING


def max_box_acc(hits):
    """MaxBoxAcc: how often boxes hit, at the best threshold for the data set.

    The published figure takes the box around the largest component alone: hits made
    of the `box_overlaps` of `largest_boxes`, at the level 0.5.

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

    Every level has its own best threshold. The published figure takes the best match
    of all components, not of the largest: hits made of `component_overlaps`, at the
    levels 0.3, 0.5 and 0.7.

    Higher is better. The range is 0..1.

    Args:
        hits: Array `(..., L, T)`, the share of images hit at each level and
            threshold: the mean over images of what `box_hits` returns.

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
