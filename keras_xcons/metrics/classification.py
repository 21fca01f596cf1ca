"""Whether a classifier is right."""

import numpy as np

from keras_xcons.checks import class_labels, shown

# Rows of counts that are worked on at a time, which bounds the memory.
_CHUNK = 100


def top_k(logits, labels, k=1):
    """Whether the label is among the k classes with the largest logits.

    Of equal logits that of the lower class comes first, so that k=1 is right where
    `np.argmax` is the label.

    Higher is better. The range is 0..1, the mean over a data set its top-k accuracy.

    Args:
        logits: Array `(B, C)`, or any scores in their order.
        labels: Integers `(B,)` in 0..C-1.
        k: Number of classes that may hold the label, within 1..C. Defaults to 1.

    Returns:
        Float32 array `(B,)`, 1 where the label is among them and 0 elsewhere.

    Raises:
        ValueError: Wrong shapes, labels outside 0..C-1, a logit that is NaN, or `k`
            outside 1..C.

    Example:

    >>> top_k([[0.1, 0.7, 0.2], [0.5, 0.4, 0.1]], labels=[2, 2], k=2)
    array([1., 0.], dtype=float32)
    """
    logits = _checked_scores("logits", logits)
    size, classes = logits.shape
    labels = class_labels(labels, size, classes)[:, None]
    if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= classes:
        raise ValueError(
            f"`k` must be an int within 1..{classes}, the number of classes. "
            f"Received: k={shown(k)}"
        )
    own = np.take_along_axis(logits, labels, axis=1)
    ahead = (logits > own) | ((logits == own) & (np.arange(classes) < labels))
    return (ahead.sum(axis=1) < k).astype("float32")


def binary_accuracy(logits, labels):
    """Share of classes that are told right, where an image can be of several.

    A class is told to be in the image where its logit is above 0, a probability of
    one half.

    Higher is better. The range is 0..1.

    Args:
        logits: Array `(B, C)`.
        labels: Array `(B, C)` of 1 for the classes in an image and 0 for the others.

    Returns:
        Float32 array `(B,)`.

    Raises:
        ValueError: Wrong shapes, labels other than 0 and 1, or a logit that is NaN.

    Example:

    >>> binary_accuracy([[2.0, -1.0, 0.5, -3.0]], [[1, 0, 0, 0]])
    array([0.75], dtype=float32)
    """
    logits = _checked_scores("logits", logits)
    labels = _checked_hot(labels, logits.shape)
    return np.mean((logits > 0) == labels, axis=1).astype("float32")


def mean_average_precision(scores, labels, counts=None):
    """Mean over classes of the average precision (mAP).

    The average precision of a class is the sum of `(R_t - R_(t-1)) P_t` over the scores
    t that occur, from the highest to the lowest: precision and recall of the images
    with at least that score. It is not interpolated, and images with equal scores
    come together, as in scikit-learn's `average_precision_score`. Classes without a
    positive image are left out of the mean.

    Higher is better. The range is 0..1.

    Args:
        scores: Array `(N, C)`, logits or any scores in their order.
        labels: Array `(N, C)` of 1 for the classes in an image and 0 for the others.
        counts: Array `(..., N)`, how often each image counts, 0 or more: one row for
            each resample of a bootstrap. Defaults to `None`, every image once.

    Returns:
        Float64 array `(...)`; without `counts` a number. NaN for a row of counts
        under which no class has a positive image.

    Raises:
        ValueError: Wrong shapes, labels other than 0 and 1, a score that is NaN,
            counts that are negative or not finite, or no positive image at all.

    Example:

    >>> scores = np.array([[0.9], [0.8], [0.7]])
    >>> float(mean_average_precision(scores, [[1], [0], [1]]).round(4))
    0.8333
    """
    scores = _checked_scores("scores", scores)
    labels = _checked_hot(labels, scores.shape)
    if not labels.any():
        raise ValueError(
            "`labels` must have a positive image in one or more classes. Received: "
            "labels that are all 0"
        )
    counts = _checked_counts(counts, len(scores))
    rows = counts.reshape(-1, len(scores))
    found = [
        _mean_over_classes(scores, labels, rows[start : start + _CHUNK])
        for start in range(0, len(rows), _CHUNK)
    ]
    return np.concatenate(found).reshape(counts.shape[:-1])[()]


def _mean_over_classes(scores, labels, counts):
    total, classes = np.zeros(len(counts)), np.zeros(len(counts))
    for column in np.flatnonzero(labels.any(axis=0)):
        precision, positives = _average_precision(
            scores[:, column], labels[:, column], counts
        )
        total += precision
        classes += positives > 0
    empty = np.full_like(total, np.nan)
    return np.divide(total, classes, out=empty, where=classes > 0)


def _average_precision(scores, labels, counts):
    """Average precision of one class, 0 without a positive, and its positives."""
    order = np.argsort(-scores, kind="stable")
    scores, labels, counts = scores[order], labels[order], counts[:, order]
    hits = np.flatnonzero(labels)
    # The last image of those with the same score as each positive one.
    last = np.searchsorted(-scores, -scores[hits], side="right") - 1
    gained = counts[:, hits]
    found = np.cumsum(gained, axis=1)
    found = found[:, np.searchsorted(hits, last, side="right") - 1]
    retrieved = np.cumsum(counts, axis=1)[:, last]
    precision = np.divide(found, retrieved, out=np.zeros_like(found), where=found > 0)
    positives = gained.sum(axis=1)
    summed = np.sum(gained * precision, axis=1)
    average = np.divide(
        summed, positives, out=np.zeros_like(summed), where=positives > 0
    )
    return average, positives


def _checked_scores(name, scores):
    scores = np.asarray(scores, "float64")
    if scores.ndim != 2 or 0 in scores.shape:
        raise ValueError(
            f"`{name}` must have the shape (images, classes), one or more of each. "
            f"Received: {name} of shape {scores.shape}"
        )
    if np.isnan(scores).any():
        raise ValueError(
            f"`{name}` must be numbers. Received: {name} with NaN in "
            f"{int(np.isnan(scores).any(axis=1).sum())} of {len(scores)} images"
        )
    return scores


def _checked_hot(labels, shape):
    labels = np.asarray(labels)
    if labels.shape != shape:
        raise ValueError(
            f"`labels` must have the shape {shape}, one for each image and class. "
            f"Received: labels of shape {labels.shape}"
        )
    if not np.all((labels == 0) | (labels == 1)):
        raise ValueError(
            "Multi-hot `labels` must be 0 or 1. Received: labels with minimum "
            f"{labels.min()} and maximum {labels.max()}"
        )
    return labels == 1


def _checked_counts(counts, size):
    counts = np.ones(size) if counts is None else np.asarray(counts, "float64")
    if counts.ndim == 0 or 0 in counts.shape or counts.shape[-1] != size:
        raise ValueError(
            f"`counts` must have the shape (..., {size}), one for each image. "
            f"Received: counts of shape {counts.shape}"
        )
    if not (counts.min() >= 0 and counts.max() < np.inf):
        raise ValueError(
            "`counts` must be finite, 0 or more. Received: counts with minimum "
            f"{counts.min()} and maximum {counts.max()}"
        )
    return counts
