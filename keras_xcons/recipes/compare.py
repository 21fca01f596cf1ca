"""The job of `keras-xcons train`: runs from one start, evaluated side by side."""

import dataclasses
import shutil

import numpy as np

from keras_xcons import evaluation, explainers, models, plotting
from keras_xcons.files import files_together, write_json
from keras_xcons.methods import method_of, objective_class
from keras_xcons.recipes import ownership
from keras_xcons.recipes.compared import LABELS, meaning, summary, table
from keras_xcons.recipes.experiment import Experiment
from keras_xcons.recipes.progress import Progress
from keras_xcons.recipes.settings import identity

# Accuracy on objects in front of backgrounds of their class, less that in front of
# those of others.
_BACKGROUND_GAP = ("mixed_same", "mixed_rand")
_PICTURES = 6
HEATMAPS = (
    "Grad-CAM++ of the label, divided by the maximum; of a model with an explainer of "
    "its own by that"
)


def train(options, report=print):
    """Trains a classifier plainly and by other methods, evaluates all, writes it all.

    With pretrained weights a linear probe comes first, and every run starts from it.
    A run that was stopped goes on where it was when it is called again with the same
    options: finished runs are not repeated, the unfinished one continues after its
    last whole epoch.

    Written into `options.output`, together when all is done: `<run>.keras` for each
    run (`probe`, `plain`, and the name of each method), `metrics.json`, and
    `heatmaps.png`, the same images under each model. Until then what is finished lies
    in the folder `unfinished` there. Files of these names that this function has not
    written are refused.

    Args:
        options: `TrainOptions`.
        report: Function that is told each line for the user. Defaults to `print`.

    Returns:
        Dict of the written `metrics.json`.

    Raises:
        ValueError, TypeError, OSError: The data, weights or output folder will not
            do; found out before any training.

    Example:

    >>> metrics = train(TrainOptions(epochs=2, output="/tmp/run"))
    >>> metrics["runs"]["xcons"]["original"]["accuracy"]["value"]
    """
    if objective_class(options.model).in_stages:
        raise ValueError(
            "A classifier that is trained in stages is trained by a recipe and "
            f"tools/train_zoo.py. Received: model={options.model!r}"
        )
    experiment = Experiment(options)
    experiment.check_methods()
    methods = ("plain", *(name for name in options.methods if name != "plain"))
    runs = ("probe", *methods) if experiment.has_probe else methods
    written = [*(f"{run}.keras" for run in runs), "metrics.json", "heatmaps.png"]
    with ownership.job_folder(options.output, written, _is_metrics) as folder:
        experiment.check_data(report)
        metrics = _train(options, experiment, runs, folder, report)
    for line in ("", *meaning(metrics), "", *table(metrics)):
        report(line)
    report(f"\nWritten to {folder}: " + ", ".join(written))
    for line in summary(metrics):
        report(line)
    return metrics


def _train(options, experiment, runs, folder, report):
    progress = Progress(folder, identity(options, experiment.info), report)
    if progress.found:
        report(f"Continuing the unfinished run in {folder}")
    trained = {}
    for run in runs:
        report(f"\n{_heading(run)}: {_purpose(run)}")
        trained[run] = progress.resume(run, experiment.job(run))
        experiment.remember(run, trained[run])
        if run == "probe":
            experiment.start_from(trained[run])

    report("\nEvaluating")
    # A shift of the maps is no merit or fault of what they show.
    offsets = {run: experiment.calibrate(model) for run, model in trained.items()}
    values = {
        run: {
            split: _measure(experiment, model, split)
            for split in experiment.test_splits
        }
        for run, model in trained.items()
    }
    metrics = _metrics(options, experiment, values)
    metrics["offsets"] = {
        run: None if found is None else found.to_card()
        for run, found in offsets.items()
    }
    # Together, or the models of one run would for a while lie beside another's figures.
    with files_together(folder) as staging:
        for run in runs:
            shutil.copyfile(progress.path(run), staging / f"{run}.keras")
        write_json(staging / "metrics.json", metrics)
        _picture(experiment, trained, staging / "heatmaps.png")
    progress.done()
    return metrics


def _is_metrics(found):
    """Whether a JSON object is what `train` has written."""
    told = found.get("options")
    measured = {"runs", "background_gap", "minus_plain"} <= found.keys()
    return measured and isinstance(told, dict) and {"dataset", "seed"} <= told.keys()


def _purpose(run):
    if run == "probe":
        return "the last layer alone, on frozen features."
    method = method_of(run)
    if method.trainer.starts_from is None:
        return method.purpose
    return f"{method.purpose} It starts from the {method.trainer.starts_from} run."


def _heading(run):
    if run == "probe":
        return run
    return method_of(run).title


def _measure(experiment, model, split):
    return evaluation.measure(
        model,
        experiment.test_data(split),
        tuple(LABELS),
        multi_label=experiment.info.multi_label,
        verbose=1,
    )


def _metrics(options, experiment, values):
    """Everything measured, with what it was measured on and by."""
    first, second = _BACKGROUND_GAP
    gaps, gap_differences = {}, {}
    plain = values["plain"]
    for run, found in values.items():
        if first in found:
            # The images of both splits show the same objects, so the gap is paired.
            gaps[run] = evaluation.compare(
                found[first]["accuracy"],
                found[second]["accuracy"],
                options.seed,
                limits=evaluation.METRICS["accuracy"].range,
            )
            if run != "plain":
                pairs = [
                    each[first]["accuracy"] - each[second]["accuracy"]
                    for each in (found, plain)
                ]
                gap_differences[run] = evaluation.compare(
                    *pairs, options.seed, limits=(-1.0, 1.0)
                )
    return {
        "options": dataclasses.asdict(options),
        "splits": list(experiment.test_splits),
        "headings": {run: _heading(run) for run in values},
        # What has been trained before, where that is not the common start.
        "starts": {
            run: start
            for run in values
            if run != "probe" and (start := method_of(run).trainer.starts_from)
        },
        "runs": _summaries(values, options.seed),
        "background_gap": gaps,
        "gap_minus_plain": gap_differences,
        "minus_plain": {
            run: {
                split: {
                    name: evaluation.compare(
                        value,
                        plain[split][name],
                        options.seed,
                        limits=evaluation.METRICS[name].range,
                    )
                    for name, value in row.items()
                }
                for split, row in found.items()
            }
            for run, found in values.items()
            if run != "plain"
        },
        "heatmaps": HEATMAPS,
        "pointing_tolerance_pixels": evaluation.tolerance_at(
            (options.size, options.size)
        ),
        "interval": evaluation.INTERVAL,
        "seed": options.seed,
        **evaluation.provenance(),
    }


def _summaries(values, seed):
    return {
        run: {
            split: {
                name: evaluation.summarize(
                    row, seed, limits=evaluation.METRICS[name].range
                )
                for name, row in found.items()
            }
            for split, found in splits.items()
        }
        for run, splits in values.items()
    }


def _picture(experiment, trained, path):
    """Draws the same test images under every model."""
    images, labels, annotation = _samples(experiment)
    maps = {
        _heading(run): explainers.explain(model, images, labels)
        for run, model in trained.items()
    }
    names = experiment.info.class_names
    titles = [names[label] for label in labels]
    where = {} if annotation is None else {experiment.info.annotations: annotation}
    caption = "bright where a model looks for the class that is named: by Grad-CAM++"
    own = sorted(
        f"{_heading(run)} by its {name}"
        for run, model in trained.items()
        if (name := explainers.own_or_usual(model)) != "gradcam++"
    )
    caption = ", ".join([caption, *own])
    notes = None
    if not experiment.info.multi_label:
        notes = {
            _heading(run): [
                "right" if found == label else f"says {names[found]}"
                for found, label in zip(_predicted(model, images), labels, strict=True)
            ]
            for run, model in trained.items()
        }
    if where:
        caption += "; outlined: the object"
    given = {**where, "notes": notes, "caption": caption}
    plotting.save(plotting.comparison(images, maps, titles, **given), path)


def _predicted(model, images):
    logits = models.split(model, needs_features=False)(images)[1]
    return np.asarray(logits).argmax(axis=-1).tolist()


def _samples(experiment):
    """A few test images of different classes, from the hardest split."""
    images, labels, annotations = [], [], []
    for batch in experiment.test_data(experiment.test_splits[-1]).unbatch():
        label = batch[1].numpy()
        label = int(np.argmax(label)) if label.ndim else int(label)
        if label in labels:
            continue
        images.append(batch[0].numpy())
        labels.append(label)
        annotations += [part.numpy() for part in batch[2:]]
        if len(images) == _PICTURES:
            break
    return np.stack(images), labels, np.stack(annotations) if annotations else None
