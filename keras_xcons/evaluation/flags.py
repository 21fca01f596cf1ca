"""Figures that say nothing, by themselves or beside those of others, and their flag."""

import numpy as np

from keras_xcons.report import figures

# Share of images with flat maps, or without a gradient, above which a figure is
# flagged (our choice).
MOST = 0.1
# How far sums of probabilities may be from 1: they are clipped, or of half precision.
_SUM = 1e-3


def share_of_flat(rows):
    """The share of images whose heatmap is flat.

    Args:
        rows: Dict of what was measured of a model, see
            `keras_xcons.evaluation.suite.Measured`.

    Returns:
        A float, or `None` where no heatmap was looked at.
    """
    flat = rows.get("flat")
    flat = np.array([]) if flat is None else flat[~np.isnan(flat)]
    return float(flat.mean(dtype="float64")) if len(flat) else None


def hidden_probabilities(logits):
    """Whether what is taken for logits seems to be probabilities.

    Args:
        logits: Float array `(B, C)`.

    Returns:
        A bool: all lie in 0..1 and those of each image sum to 1, of several classes.

    Example:

    >>> hidden_probabilities(np.array([[0.25, 0.75], [1.0, 0.0]]))
    True
    """
    several = logits.shape[1] > 1
    within = np.all((logits >= 0.0) & (logits <= 1.0))
    return bool(several and within and np.all(np.abs(logits.sum(axis=1) - 1.0) <= _SUM))


def on_probabilities(name):
    """What a reader has to know of a model that seems to put out probabilities.

    Args:
        name: Name of the model.

    Returns:
        Two sentences.
    """
    return (
        f"The outputs of {name} are taken for logits and seem to be probabilities: "
        "they lie in 0..1 and sum to 1, so that figures made of probabilities "
        "(insertion, deletion, average drop, increase in confidence) are of a softmax "
        "of them. End the model in a `Dense` layer, or in a `Softmax` layer with "
        "nothing behind it."
    )


def flag(metric, rows, aligned=True):
    """Why a figure says nothing, or nothing beside those of other models.

    Args:
        metric: `Metric`.
        rows: As in `share_of_flat`.
        aligned: Whether the heatmaps are laid as those of the other models. Defaults
            to `True`.

    Returns:
        A string, empty where it does say something; several flags with a comma.

    Example:

    >>> flag(METRICS["pointing_game"], rows, aligned=False)
    'not aligned'
    """
    found = [figures.FLAT] if _inflated(metric, rows) else []
    if metric.attacked and unreached(rows):
        found.append(figures.UNREACHED)
    if metric.placed and not aligned:
        found.append(figures.UNALIGNED)
    return ", ".join(found)


def unreached(rows):
    """Whether too many images have no gradient that an attack could follow.

    Args:
        rows: As in `share_of_flat`.

    Returns:
        A bool, `False` where nothing was attacked.
    """
    still = rows.get("without_gradient")
    return still is not None and bool(still.mean(dtype="float64") > MOST)


def _inflated(metric, rows):
    share = share_of_flat(rows)
    return metric.inflated and share is not None and share > MOST


def note(name, metrics, rows):
    """What a reader has to know of a model whose flat maps flag figures, or `None`.

    Args:
        name: Name of the model.
        metrics: Sequence of `Metric`, those of the report.
        rows: As in `share_of_flat`.

    Returns:
        A sentence, or `None`.
    """
    labels = [metric.label for metric in metrics if _inflated(metric, rows)]
    if not labels:
        return None
    return (
        f"{100 * share_of_flat(rows):.0f} % of the heatmaps of {name} are flat (their "
        "minimum is above half their maximum), and nothing moves a flat map: what is "
        f"flagged of it says nothing ({', '.join(labels)}), and is not called better."
    )
