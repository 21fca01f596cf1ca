"""Which metrics are asked for, and which of them a data set allows."""

import collections

from keras_xcons import checks
from keras_xcons.evaluation.metric_table import TABLE

METRICS = {metric.name: metric for metric in TABLE}
GROUPS = tuple(dict.fromkeys(metric.group for metric in TABLE))

_REASONS = {
    "truth": "the data set has neither boxes nor masks",
    "masks": "the data set has no masks",
    "one label": "an image of this data set can be of several classes",
    "several labels": "every image of this data set has one label",
    "a label": "no image of this data set has a label",
    "more than 5 classes": "the model has no more than 5 classes",
}


def as_list(names):
    """Names of metrics as a list, from one name or several.

    Raises:
        TypeError: They are no names.
        ValueError: There is none.
    """
    wanted = [names] if isinstance(names, str) else names
    if not isinstance(wanted, list | tuple | set | frozenset):
        raise TypeError(
            "Metrics are given by name, one or a sequence of them. Received: "
            f"metrics={names!r}"
        )
    if not wanted:
        raise ValueError(f"Give at least one metric. Received: metrics={names!r}")
    return list(wanted)


def select(names="all"):
    """The metrics that a caller asks for.

    Args:
        names: `"all"`, the name of a metric or of a group of them, or a sequence of
            such names.

    Returns:
        Tuple of `Metric`, in the order of the table.

    Raises:
        ValueError: A name is unknown, or none is given.

    Example:

    >>> [metric.name for metric in select(["consistency", "deletion"])]
    ['deletion', 'explanation_consistency']
    """
    wanted = as_list(names)
    accepted = ("all", *GROUPS, *METRICS)
    for name in wanted:
        if name not in accepted:
            raise ValueError(checks.unknown("metric", name, accepted))
    return tuple(
        metric
        for metric in TABLE
        if not {"all", metric.group, metric.name}.isdisjoint(wanted)
    )


def split_by_needs(chosen, facts, num_classes):
    """Tells what can be measured on a data set from what cannot.

    Args:
        chosen: Sequence of `Metric`.
        facts: `DataFacts`.
        num_classes: Number of classes of the model.

    Returns:
        `(possible, left_out)`: a tuple of `Metric`, and a dict from a reason to the
        names of the metrics that are left out for it.
    """
    met = {
        "truth": facts.truth is not None,
        "masks": facts.truth == "masks",
        "one label": not facts.multi_label,
        "several labels": facts.multi_label,
        "a label": sum(facts.class_counts) > 0,
        "more than 5 classes": num_classes > 5,
    }
    possible, left_out = [], collections.defaultdict(list)
    for metric in chosen:
        missing = [need for need in metric.needs if not met[need]]
        if missing:
            left_out[_REASONS[missing[0]]].append(metric.name)
        else:
            possible.append(metric)
    return tuple(possible), dict(left_out)
