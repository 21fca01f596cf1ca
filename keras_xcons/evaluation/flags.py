"""Figures that heatmaps which say nothing make look good, and their flag."""

import numpy as np

# Share of images with flat maps above which a figure is flagged (our choice).
MOST_FLAT = 0.1
FLAG = "flat maps"


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


def flagged(metric, rows):
    """Whether a figure says nothing, as it is made of maps that do.

    Args:
        metric: `Metric`.
        rows: As in `share_of_flat`.

    Returns:
        A bool.
    """
    share = share_of_flat(rows)
    return metric.inflated and share is not None and share > MOST_FLAT


def note(name, metrics, rows):
    """What a reader has to know of a model with flagged figures, or `None`.

    Args:
        name: Name of the model.
        metrics: Sequence of `Metric`, those of the report.
        rows: As in `share_of_flat`.

    Returns:
        A sentence, or `None`.
    """
    labels = [metric.label for metric in metrics if flagged(metric, rows)]
    if not labels:
        return None
    return (
        f"{100 * share_of_flat(rows):.0f} % of the heatmaps of {name} are flat (their "
        "minimum is above half their maximum), and nothing moves a flat map: what is "
        f"flagged of it says nothing ({', '.join(labels)}), and is not called better."
    )
