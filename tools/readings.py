"""Localisation of the same heatmaps, read in several ways: what two tools share."""

import copy
import csv
import pathlib

import numpy as np

_ZOO = pathlib.Path(__file__).parents[1] / "zoo"
_BATCH = 16


def published(name, data_dir=None, count=None):
    """A published model with the test images that it was measured on.

    Args:
        name: Name of a published model.
        data_dir: Folder of data sets, or `None`.
        count: Number of test images, the first ones; all where there are fewer, or with
            `None`.

    Returns:
        `(model, recipe, dataset)`: `keras.Model`, `keras_xcons.recipes.Recipe`, and
        `tf.data.Dataset` of batches with annotations.
    """
    import keras_xcons as kx
    from keras_xcons import recipes

    recipe = recipes.read_recipe(_ZOO / name / "recipe.json")
    dataset = recipes.find_dataset(recipe.dataset, data_dir)
    model, known = kx.load(name), kx.data.info(dataset)
    size = known.splits[known.test_split]
    test = kx.data.load(
        *(dataset, f"{known.test_split}[:{min(count or size, size)}]"),
        image_size=model.input_shape[1:3],
        batch_size=_BATCH,
        annotations=True,
    )
    return model, recipe, test


def placed(batch, align="as loaded", normalize="max"):
    """Heatmaps of a batch, laid on the images.

    Args:
        batch: `keras_xcons.evaluation.batch.Batch`.
        align: See `keras_xcons.models.frame.Frame.aligned`; `"as loaded"` for what the
            model was loaded with.
        normalize: `"max"` or `"minmax"`.

    Returns:
        Float32 tensor `(B, H, W)` in 0..1.
    """
    from keras_xcons.explainers import shown_maps
    from keras_xcons.layers import scale_to_one

    maps, frame = batch.computed.maps, batch.probe.frame
    if normalize != "max":
        maps = scale_to_one(maps, normalize)
    if align != "as loaded":
        frame = frame.aligned(align)
    return frame.place(shown_maps(maps, batch.targets), batch.size)


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
