"""How true explanation networks are to a classifier, and how orthogonal."""

import numpy as np

from keras_xcons.xnn.evidence import significant


def figures_of(contributions, scores, logits, labels, classes):
    """The figures of `keras_xcons.XNN.evaluate`.

    Args:
        contributions: Float array `(N, C, n)`.
        scores: Float array `(N, C)`, those of the networks.
        logits: Float array `(N, classes of the classifier)`, those of the classifier.
        labels: Int array `(N,)`, or one-hot.
        classes: List of the C classes that have a network.

    Returns:
        Dict from names to floats, see there.

    Example:

    >>> figures_of(contributions, scores, logits, labels, [0, 3])["relative_rmse"]
    """
    own = logits[:, classes]
    errors = np.sqrt(((scores - own) ** 2).mean(axis=0))
    substituted = logits.copy()
    substituted[:, classes] = scores
    labels = labels.argmax(axis=1) if labels.ndim == 2 else labels
    best = own.argmax(axis=1)
    chosen = contributions[np.arange(len(best)), best]
    pairs = zip(own.T, scores.T, strict=True)
    apart = [_off_diagonal(each) for each in contributions.transpose(1, 0, 2)]
    return {
        "rmse": float(errors.mean()),
        "relative_rmse": float((errors / np.ptp(own, axis=0)).mean()),
        "correlation": float(np.mean([_correlation(*pair) for pair in pairs])),
        "accuracy": float((logits.argmax(axis=1) == labels).mean()),
        "substituted_accuracy": float((substituted.argmax(axis=1) == labels).mean()),
        "off_diagonal_correlation": float(np.nanmean(apart)),
        "significant_features": float(significant(chosen).sum(axis=1).mean()),
    }


def _correlation(one, two):
    if np.ptp(one) == 0.0 or np.ptp(two) == 0.0:
        return float("nan")
    return float(np.corrcoef(one.astype("float64"), two.astype("float64"))[0, 1])


def _off_diagonal(contributions):
    """Mean magnitude of the correlation of each two columns; NaN without a pair."""
    moving = contributions[:, np.ptp(contributions, axis=0) > 0.0].astype("float64")
    if moving.shape[1] < 2:
        return float("nan")
    found = np.abs(np.corrcoef(moving.T))
    return float(found[~np.eye(len(found), dtype=bool)].mean())
