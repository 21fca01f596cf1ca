"""What a report holds: figures, differences, curves and what they rest on."""

import dataclasses

import numpy as np

from keras_xcons import explainers
from keras_xcons.evaluation import alignment, flags, statistics
from keras_xcons.evaluation.provenance import provenance
from keras_xcons.metrics import LEVELS

CENTRE = "centre Gaussian"
_BINS = 20
_BOXES = {"max_box_acc", "max_box_acc_v2"}
_TORCHRAY = "; protocol: TorchRay's, a hit is below the tolerance."
# Below so many images an interval is a rough one.
_FEW = 30


def report_data(suite, views, measured, dataset, split, notes=()):
    """The data of a report.

    Args:
        suite: `Suite` that has measured.
        views: Dict from the name of a model to its `ClassifierView`.
        measured: Dict from the name of a model to its `Measured`.
        dataset: Name of the data set.
        split: Name of its split, or `None`.
        notes: Sentences to put before the report's own.

    Returns:
        Dict of plain values, see `keras_xcons.report.Report`.
    """
    facts, options = suite.facts, suite.options
    left_out = {reason: list(names) for reason, names in suite.left_out.items()}
    metrics, figures = [], {name: {} for name in measured}
    laid = [
        alignment.alignment(name, view, options, facts) for name, view in views.items()
    ]
    still = alignment.unaligned(laid)
    for metric in suite.metrics:
        found = {
            name: statistics.summarize(
                each.rows[metric.rows], options.seed, metric.statistic, metric.range
            )
            for name, each in measured.items()
        }
        if None in found.values():
            reason = "no image of this data set can take part"
            left_out.setdefault(reason, []).append(metric.name)
            continue
        metrics.append(metric)
        for name, figure in found.items():
            flag = flags.flag(metric, measured[name].rows, name not in still)
            figures[name][metric.name] = {**figure, "flag": flag} if flag else figure
    return {
        "title": _title(measured, dataset, split),
        "models": [_model(views[each.name], each) for each in laid],
        "metrics": [metric.card() for metric in metrics],
        "figures": figures,
        "baselines": _baselines(metrics, measured, options.seed),
        "differences": _differences(metrics, measured, figures, options.seed),
        "left_out": [
            {"metrics": names, "reason": reason} for reason, names in left_out.items()
        ],
        "notes": [*notes, *_notes(suite, measured, metrics, laid)],
        "curves": _curves(measured),
        "provenance": {
            "dataset": dataset,
            "split": split,
            "images": facts.num_images,
            "classes": len(facts.class_counts),
            "seed": options.seed,
            "interval": statistics.INTERVAL,
            "heatmaps": ", ".join(
                [_heatmaps(options, views.values()), alignment.described(laid)]
            ),
            "image_size": list(facts.image_size),
            "multi_label": facts.multi_label,
            "options": dataclasses.asdict(options),
            **provenance(),
        },
    }


def _title(measured, dataset, split):
    where = dataset if split is None else f"{dataset}, {split}"
    return f"{', '.join(measured)} on {where}"


def _model(view, laid):
    return {
        "name": laid.name,
        "parameters": view.model.count_params(),
        "feature_layer": view.feature_layer,
        "closed_form": view.closed_form,
        "offset": [round(pixels, 2) for pixels in laid.offset],
    }


def _heatmaps(options, views):
    whose = {"label": "the label", "predicted": "the predicted class"}
    names = {explainers.own_or_usual(view.model, options.explainer) for view in views}
    name = " or ".join(
        "Grad-CAM++" if name == "gradcam++" else name for name in sorted(names)
    )
    scaled = {
        "max": "divided by the maximum",
        "minmax": "minimum subtracted, then divided by the maximum",
    }
    return f"{name} of {whose[options.explained]}, {scaled[options.normalize]}"


def _differences(metrics, measured, figures, seed):
    """Paired differences of every model to the first, by metric."""
    first, *others = measured
    return {
        name: {
            metric.name: _difference(metric, measured, figures, name, first, seed)
            for metric in metrics
        }
        for name in others
    }


def _difference(metric, measured, figures, name, first, seed):
    figure = statistics.compare(
        measured[name].rows[metric.rows],
        measured[first].rows[metric.rows],
        seed,
        metric.statistic,
        metric.range,
    )
    if figure is None:
        return None
    better = None
    flagged = any("flag" in figures[each][metric.name] for each in (name, first))
    # Differences that are all alike and have no limits have no interval.
    known = figure["low"] is not None and not flagged
    if known and (figure["low"] > 0.0 or figure["high"] < 0.0):
        rises = figure["low"] > 0.0
        better = name if rises == (metric.direction == "higher") else first
    return {**figure, "better": better}


def _baselines(metrics, measured, seed):
    """What a map without knowledge of the image has, by metric."""
    rows = next(iter(measured.values())).rows
    return {
        metric.name: {
            CENTRE: statistics.summarize(
                rows[metric.baseline], seed, metric.statistic, metric.range
            )
        }
        for metric in metrics
        if metric.baseline
    }


def _curves(measured):
    """What plots show, a mean over images at each point."""
    curves = {}
    for name in ("insertion", "deletion"):
        found = _means(measured, f"{name}_curve")
        if found:
            steps = len(next(iter(found.values())))
            curves[name] = {"x": np.linspace(0.0, 1.0, steps).tolist(), "y": found}
    middle = LEVELS.index(0.5)
    hits = _means(measured, "box_hits", middle)
    if hits:
        first = next(iter(measured))
        centre = _means({CENTRE: measured[first]}, "centre_hits", middle)
        count = len(next(iter(hits.values())))
        curves["max_box_acc"] = {"x": (np.arange(count) / count).tolist()}
        curves["max_box_acc"]["y"] = hits | centre
    values = {
        name: found.rows["explanation_consistency"]
        for name, found in measured.items()
        if "explanation_consistency" in found.rows
    }
    if values:
        edges = np.linspace(0.0, 1.0, _BINS + 1)
        counts = {
            name: np.histogram(row[~np.isnan(row)], edges)[0].tolist()
            for name, row in values.items()
        }
        curves["consistency"] = {"edges": edges.tolist(), "counts": counts}
    return curves


def _means(measured, row, level=None):
    """Mean of a row over the images that count, by model."""
    found = {}
    for name, each in measured.items():
        values = each.rows.get(row)
        if values is None:
            continue
        values = values if level is None else values[:, level]
        kept = ~np.isnan(values).any(axis=1)
        if kept.any():
            found[name] = values[kept].mean(axis=0, dtype="float64").tolist()
    return found


def _notes(suite, measured, metrics, laid):
    """What a reader of the figures has to know."""
    facts, options = suite.facts, suite.options
    notes = []
    empty = sum(count == 0 for count in facts.class_counts)
    if empty:
        notes.append(
            f"{empty} of {len(facts.class_counts)} classes have no image in this data "
            "set; the figures say nothing of them."
        )
    if facts.without_object:
        what = "box with an area" if facts.truth == "boxes" else "object in their mask"
        notes.append(
            f"{facts.without_object} of {facts.num_images} images have no {what}; "
            "localisation leaves them out."
        )
    if facts.weighted:
        notes.append("The sample weights of the data set are not used.")
    names = {metric.name for metric in suite.metrics}
    if "pointing_game" in names:
        tolerance = options.tolerance_for(facts.image_size)
        height, width = facts.image_size
        notes.append(
            f"The pointing game has a tolerance of {tolerance:g} pixels, on images of "
            f"{height} × {width}"
            + ("." if options.pointing_protocol == "keras_xcons" else _TORCHRAY)
        )
    if options.box_protocol != "keras_xcons" and names & _BOXES:
        notes.append(
            "MaxBoxAcc and V2 read boxes off heatmaps by the protocol of "
            f"{options.box_protocol}; its own figure is the in-sample one."
        )
    if "max_box_acc" in names and facts.truth == "masks":
        notes.append("MaxBoxAcc takes the box around each mask for the truth.")
    if any(metric.placed for metric in metrics):
        found = alignment.note(laid), alignment.outdated_note(laid)
        notes += [each for each in found if each]
    for name, found in measured.items():
        if found.hidden_probabilities:
            notes.append(flags.on_probabilities(name))
        flat = flags.note(name, metrics, found.rows)
        if flat:
            notes.append(flat)
        empty = int(np.nansum(found.rows.get("empty_heatmap", 0.0)))
        if empty:
            notes.append(
                f"{empty} of {facts.num_images} heatmaps of {name} are empty: they "
                "have no E, their whole image is background, and their pixels rank row "
                "by row."
            )
        still = int(found.rows.get("without_gradient", np.zeros(1)).sum())
        if still:
            notes.append(
                f"No attack reaches {still} of {facts.num_images} images of {name}: "
                "their gradient is zero or no number, as behind a saturated ending or "
                "in half precision. Their accuracy under attack and their E say "
                "nothing of robustness"
                + (
                    ": these figures are flagged, and not called better."
                    if flags.unreached(found.rows)
                    else "."
                )
            )
    if facts.num_images < _FEW:
        notes.append(
            f"The intervals are rough, for want of images ({facts.num_images}): what "
            "none of them shows, they cannot know of."
        )
    if options.gallery:
        notes.append(
            "The images shown were drawn at random, up to a third of them from those "
            f"that {next(iter(measured))} gets wrong."
        )
    if names & _BOXES:
        notes.append(
            "MaxBoxAcc is cross-fitted: the threshold is chosen on one half of the "
            "images and measured on the other. The in-sample figure beside it, at the "
            "best threshold on the very images, is that of papers, and too high."
        )
    return notes + suite.notes()
