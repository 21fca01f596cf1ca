"""Localisation of the same heatmaps, read in several ways, from one pass of a model.

    python tools/map_readings.py --models=resnet50_cub,vgg16_cub --dataset=DIR
    python tools/map_readings.py --models=shapes_cnn --dataset=shapes --images=200

Prints one Markdown table: each figure of maps divided by their maximum, of maps whose
minimum is subtracted first, and the paired difference, with intervals; and writes the
same as CSV. `measured` takes any other ways to read maps.
"""

import copy
import csv
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from absl import app, flags

_RESULTS = pathlib.Path(__file__).parent / "results"

_MODELS = flags.DEFINE_list("models", None, "Published models, one data set.")
_DATASET = flags.DEFINE_string("dataset", None, "Data set, by name or folder.")
_SPLIT = flags.DEFINE_string("split", "test", "Its split.")
_SIZE = flags.DEFINE_integer("image_size", None, "Default: what the model takes.")
_IMAGES = flags.DEFINE_integer("images", None, "Images to take. Default: all.")
_OUTPUT = flags.DEFINE_string(
    "output", str(_RESULTS / "map_readings.csv"), "CSV file to write."
)


def max_scaled(batch):
    """Heatmaps `(B, H, W)` of a batch, divided by their maximum."""
    from keras_xcons.evaluation.probe import shown_maps

    return batch.probe.frame.place(
        shown_maps(batch.computed.maps, batch.targets), batch.size
    )


def minmax_scaled(batch):
    """Heatmaps `(B, H, W)` of a batch, their minimum subtracted first."""
    from keras_xcons.evaluation.probe import shown_maps
    from keras_xcons.layers import scale_to_one

    maps = scale_to_one(batch.computed.maps, "minmax")
    return batch.probe.frame.place(shown_maps(maps, batch.targets), batch.size)


READINGS = {"max": max_scaled, "minmax": minmax_scaled}


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


def table(found):
    """Lines of Markdown, one a model, metric and reading.

    Args:
        found: Dict from the name of a model to what `measured` returns.

    Yields:
        Strings.
    """
    yield "| model | metric | reading | figure | difference to the first | n |"
    yield "|---|---|---|---|---|---|"
    for model, lines in found.items():
        for line in lines:
            cells = (model, line["metric"].label, line["reading"])
            told = (_told(line["figure"]), _told(line["difference"], "+"))
            yield f"| {' | '.join(cells + told)} | {line['figure']['n']:,} |"


def _told(figure, sign=""):
    """A figure in percent with its interval."""
    if figure is None:
        return ""
    names = ("value", "low", "high")
    value, low, high = (f"{100 * figure[name]:{sign}.1f}" for name in names)
    return f"{value} [{low}, {high}]"


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


def main(argv):
    """Measures and prints."""
    del argv
    import keras_xcons as kx

    found = {}
    for name in _MODELS.value:
        model = kx.load(name)
        size = _SIZE.value or model.input_shape[1:3]
        dataset = kx.data.load(
            *(_DATASET.value, _SPLIT.value),
            image_size=size,
            batch_size=16,
            annotations=True,
        )
        if _IMAGES.value:
            dataset = dataset.unbatch().take(_IMAGES.value).batch(16)
        found[name] = measured(model, dataset, READINGS)
        write(found, _OUTPUT.value)
    print("\n".join(table(found)))


if __name__ == "__main__":
    flags.mark_flags_as_required(["models", "dataset"])
    app.run(main)
