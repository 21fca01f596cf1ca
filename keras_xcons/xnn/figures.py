"""How true explanation networks are to a classifier, and how orthogonal."""

import numpy as np

from keras_xcons.xnn.evidence import significant

# Error of networks that are true to the scores, of the range of those (our choice).
_MOST = 0.05


def figures_of(contributions, scores, logits, belongs, classes):
    """The figures of `keras_xcons.XNN.evaluate`.

    Args:
        contributions: Float array `(N, C, n)`.
        scores: Float array `(N, C)`, those of the networks.
        logits: Float array `(N, classes of the classifier)`, those of the classifier.
        belongs: Boolean array `(N, classes of the classifier)`, those of each image.
        classes: List of the C classes that have a network.

    Returns:
        Dict from names to floats, see there.

    Example:

    >>> figures_of(contributions, scores, logits, belongs, [0, 3])["relative_rmse"]
    """
    own = logits[:, classes]
    errors = np.sqrt(((scores - own) ** 2).mean(axis=0))
    substituted = logits.copy()
    substituted[:, classes] = scores
    rows = np.arange(len(logits))
    best = own.argmax(axis=1)
    chosen = contributions[rows, best]
    ranges = np.ptp(own, axis=0)
    pairs = zip(own.T, scores.T, strict=True)
    apart = [_off_diagonal(each) for each in contributions.transpose(1, 0, 2)]
    return {
        "rmse": float(errors.mean()),
        "relative_rmse": _mean(errors[ranges > 0.0] / ranges[ranges > 0.0]),
        "correlation": _mean([_correlation(*pair) for pair in pairs]),
        "accuracy": float(belongs[rows, logits.argmax(axis=1)].mean()),
        "substituted_accuracy": float(belongs[rows, substituted.argmax(axis=1)].mean()),
        "off_diagonal_correlation": _mean(apart),
        "significant_features": float(significant(chosen).sum(axis=1).mean()),
    }


def doubts_of(figures):
    """What figures of `evaluate` say against the explanations.

    Args:
        figures: Dict of them.

    Returns:
        List of sentences, empty where the error is below 5 % of the range of the
        scores (our choice).
    """
    error = figures["relative_rmse"]
    if error is None or not error > _MOST:
        return []
    return [
        "The networks are not true to the classifier: their scores are off by "
        f"{100 * error:.1f} % of the range. Take more epochs or wider networks; a "
        "classifier that pools otherwise than by the mean may not allow more."
    ]


def _mean(values):
    """The mean of the values that are known; NaN of none."""
    known = np.asarray(values, "float64")
    known = known[~np.isnan(known)]
    return float(known.mean()) if len(known) else float("nan")


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
