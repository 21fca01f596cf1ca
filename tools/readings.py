"""Localisation of the same heatmaps, read in several ways: what two tools share."""

import copy
import csv

import numpy as np


def measured(model, dataset, readings, **options):
    """Localisation by each way to read the maps, of one pass of the model.

    Args:
        model: What `keras_xcons.models.split` takes.
        dataset: `tf.data.Dataset` of batches with boxes or masks.
        readings: Dict from a name to a function of a
            `keras_xcons.evaluation.batch.Batch`, which makes heatmaps `(B, H, W)` of
            its maps as `computed`; the first is what the others are compared with.
        **options: See `keras_xcons.evaluation.EvaluationOptions`.

    Returns:
        List of dicts: `metric`, `reading`, the `figure`, and its `difference` to the
        first reading, `None` of the first.
    """
    from keras_xcons.evaluation import EvaluationOptions, compare, groups, summarize
    from keras_xcons.evaluation.batch import Batch
    from keras_xcons.evaluation.reading import batches
    from keras_xcons.evaluation.suite import Suite
    from keras_xcons.models import split

    options = EvaluationOptions(gallery=0, **options)
    view = split(model, options.feature_layer, align=options.align)
    suite = Suite(dataset, [view], "localisation", options)
    wanted = {metric.rows for metric in suite.metrics}
    probe, seen = suite.probe(view), 0
    columns = {name: {row: [] for row in wanted} for name in readings}
    for read in batches(dataset, suite.facts):
        batch = Batch(probe, options, suite.facts.multi_label, *read, seen)
        seen += len(batch.ids)
        _ = batch.computed  # Once for all readings.
        for name, heatmaps in readings.items():
            each = copy.copy(batch)
            each.heatmaps = heatmaps(batch)
            for row, values in groups.localisation(each, wanted).items():
                columns[name][row].append(np.asarray(values, "float32"))
    first, *_ = readings
    lines = []
    for metric in suite.metrics:
        rows = {name: np.concatenate(columns[name][metric.rows]) for name in readings}
        rest = (options.seed, metric.statistic, metric.range)
        for name, values in rows.items():
            other = None if name == first else compare(values, rows[first], *rest)
            lines.append(
                {
                    "metric": metric,
                    "reading": name,
                    "figure": summarize(values, *rest),
                    "difference": other,
                }
            )
    return lines


def write(found, path):
    """Writes what `measured` has found of models as CSV."""
    ends = ("value", "low", "high")
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        differences = (f"difference_{end}".replace("_value", "") for end in ends)
        writer.writerow(["model", "metric", "reading", *ends, "n", *differences])
        for model, lines in found.items():
            for line in lines:
                figure, other = line["figure"], line["difference"] or {}
                writer.writerow(
                    [model, line["metric"].name, line["reading"]]
                    + [figure[end] for end in (*ends, "n")]
                    + [other.get(end, "") for end in ends]
                )
