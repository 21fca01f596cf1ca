"""A model of the zoo, from its recipe to figures that can be published."""

import pathlib

from keras_xcons import data, evaluation, models, zoo
from keras_xcons.methods import method_of, objective_class
from keras_xcons.recipes import ownership
from keras_xcons.recipes.calibrate import calibrate_trained
from keras_xcons.recipes.experiment import Experiment
from keras_xcons.recipes.following import Following
from keras_xcons.recipes.pretraining import pretrain
from keras_xcons.recipes.progress import Progress
from keras_xcons.recipes.recipe_format import PRETRAINING
from keras_xcons.recipes.settings import identity, settings_of


def find_dataset(name, data_dir):
    """Where a data set lies.

    Args:
        name: Its name.
        data_dir: Folder of data sets, or `None`.

    Returns:
        The folder of this name in it, a string, where there is one; else the name.
    """
    if data_dir is None:
        return name
    folder = pathlib.Path(data_dir) / name
    return str(folder) if folder.is_dir() else name


def train_by(recipe, output, report=print, **replaced):
    """Trains the model of a recipe.

    A run that was stopped goes on where it was when it is called again with the same
    recipe, data and folder, wherever the data lie; one that was finished is loaded.
    To train it anew, remove the folder.

    Args:
        recipe: `Recipe`.
        output: Folder for the run: models, checkpoints.
        report: Function that is told each line for the user. Defaults to `print`.
        **replaced: Options in the place of the recipe's: `dataset` for where it lies
            on this machine, or for another one; `pretrained` for a local file.

    Returns:
        The trained `keras.Model` as it is to be measured and published: in float32,
        whatever it was trained in.

    Raises:
        ValueError, TypeError, OSError: The data, the weights or the folder will not
            do; found out before any training.

    Example:

    >>> recipe = recipes.read_recipe("zoo/shapes_cnn/recipe.json")
    >>> model = train_by(recipe, "runs/shapes_cnn")
    """
    model, method = recipe.model, recipe.method["name"]
    if method == PRETRAINING:
        options = recipe.make_options(**replaced)
        return pretrain(options, output, report, model["arguments"])
    options = recipe.make_options(**replaced, output=str(output))
    if recipe.follows:
        return _follow(recipe, options, output, report)
    experiment = Experiment(
        options, model["arguments"], model.get("stages"), model.get("objective")
    )
    experiment.check_methods()
    # What is measured afterwards, and what is said of it, may change meanwhile.
    settings = {**identity(options, experiment.info), "model": model}
    runs = (*experiment.runs_before(method), method)
    written = [f"{run}.keras" for run in runs]
    with ownership.job_folder(output, written) as folder:
        progress = Progress(folder, settings, report, models=folder)
        return _train(method, experiment, progress, report)


def _follow(recipe, options, output, report):
    job, method = Following(options), recipe.method["name"]
    card = _card_of(options.model)
    told = recipe.model["architecture"], recipe.model["arguments"]
    if card is not None and (card["architecture"], card["arguments"]) != told:
        raise ValueError(
            f"The recipe is for the architecture {told[0]!r} with {told[1]}. Received: "
            f"starts_from={options.model!r}, {card['architecture']!r} with "
            f"{card['arguments']}"
        )
    _check_publishable(recipe, job)
    with ownership.job_folder(output, [f"{method}.keras"]) as folder:
        progress = Progress(folder, job.settings, report, models=folder)
        if progress.is_finished(method):
            report(f"Finished before, loaded from {progress.path(method).parent}")
        return job.run(progress, report).model


def _check_publishable(recipe, job):
    """Refuses, before any work, what could be fitted and not be published."""
    told = recipe.model["architecture"], recipe.model["arguments"]
    method = method_of(recipe.method["name"])
    model = job.explainer.model
    made = method.trainer.published_as(*told, recipe.method["options"])
    try:
        twin = models.create(
            made[0], len(job.info.class_names), model.input_shape[1:3], **made[1]
        )
    except ValueError as error:
        raise ValueError(
            f"A model of the architecture {told[0]!r} with {told[1]} cannot be "
            f"published by {method.name}: {error}"
        ) from error
    shapes = [[tuple(w.shape) for w in each.weights] for each in (model, twin)]
    if sorted(shapes[0]) != sorted(shapes[1]):
        raise ValueError(
            f"The recipe is for the architecture {told[0]!r} with {told[1]}, whose "
            "weights are of other shapes than those of the model. Received: "
            f"starts_from={job.options.model!r}"
        )


def _card_of(name_or_path):
    """The card of a model, `None` of a `.keras` file."""
    path = pathlib.Path(name_or_path)
    return None if path.suffix == ".keras" else zoo.info(name_or_path)


def _train(method, experiment, progress, report):
    train = experiment.job(method)
    if progress.is_finished(method):
        report(f"Finished before, loaded from {progress.path(method).parent}")
        return experiment.in_float32(progress.resume(method, train), method)
    if progress.found:
        report(f"Continuing the run in {progress.path(method).parent}")
    experiment.check_data(report)
    for run in experiment.runs_before(method):
        if run == "probe":
            report("The last layer alone, on frozen features")
            experiment.start_from(progress.resume(run, experiment.probe))
        else:
            report(f"Training, to start from: {run}")
            experiment.remember(run, progress.resume(run, experiment.job(run)))
    report(f"Training: {method}")
    return experiment.in_float32(progress.resume(method, train), method)


def calibrate_by(recipe, model, dataset=None):
    """Measures the offset of a trained model's heatmaps on training images.

    Args:
        recipe: `Recipe`.
        model: The trained `keras.Model`, which remembers the offset.
        dataset: Name or folder in the place of the recipe's data set.

    Returns:
        A `keras_xcons.explainers.Calibration`, of 200 images of the split "train",
        spread over it; `None` for maps of too few cells to be calibrated, and where
        the offset is in doubt.
    """
    return calibrate_trained(
        model,
        recipe.dataset if dataset is None else dataset,
        recipe.evaluation["explainer"],
    )


def measure_by(recipe, model, dataset=None):
    """Measures a trained model with the metrics of its recipe.

    Args:
        recipe: `Recipe`.
        model: The trained `keras.Model`.
        dataset: Name or folder in the place of the recipe's data set.

    Returns:
        Dict of plain values, the content of metrics.json: `figures` (each with
        `value`, `low`, `high`, `n` and `skipped`), `baselines`, `notes`, `left_out`,
        and what they were measured on and by.
    """
    dataset = recipe.dataset if dataset is None else dataset
    found = evaluation.evaluate(
        {"model": model},
        dataset,
        list(recipe.evaluation["metrics"]),
        split=data.info(dataset).test_split,
        explainer=recipe.evaluation["explainer"],
        gallery=0,
    ).to_dict()
    return {
        "figures": found["figures"]["model"],
        "baselines": found["baselines"],
        "notes": found["notes"],
        "left_out": found["left_out"],
        **found["provenance"],
    }


def publish_by(
    recipe,
    model,
    name,
    folder,
    metrics,
    run,
    pretraining=None,
    offset=None,
    **replaced,
):
    """Publishes the trained model of a recipe, in the place of an older one.

    Args:
        recipe: `Recipe`.
        model: The trained `keras.Model`.
        name: Name to publish it under.
        folder: Folder of the zoo.
        metrics: Dict as `measure_by` returns it.
        run: The folder that was the `output` of `train_by`. It knows the sha256 of
            the file of weights that the training began with, for the card.
        pretraining: What the weights started from, in words, where that was not what
            the recipe says. Defaults to the recipe's words.
        offset: What `calibrate_by` returned. Defaults to `None`: not measured.
        **replaced: As for `train_by`. A file of weights is named in the card.

    Returns:
        `pathlib.Path` of the published folder.

    Raises:
        ValueError: What `keras_xcons.zoo.publish` raises.
    """
    options, method = recipe.make_options(**replaced), recipe.method["name"]
    made = recipe.model["architecture"], recipe.model["arguments"]
    if method != PRETRAINING:
        made = method_of(method).trainer.published_as(*made, recipe.method["options"])
    architecture, arguments = made
    return zoo.publish(
        model,
        name,
        folder,
        architecture=architecture,
        arguments=objective_class(architecture).arguments_of(model, arguments),
        class_names=data.info(options.dataset).class_names,
        method=method,
        recipe=recipe.to_dict(),
        metrics=metrics,
        explainer=recipe.evaluation["explainer"],
        offset=offset,
        dataset=recipe.dataset,
        **{
            **recipe.card,
            "pretraining": _pretraining(
                pretraining or recipe.card["pretraining"], options, run
            ),
        },
        paper=None if method == PRETRAINING else method_of(method).paper,
        overwrite=True,
    )


def _pretraining(words, options, run):
    """What the weights were before, and the very file where there is one."""
    path = getattr(options, "pretrained", None)
    if path in (None, "imagenet"):
        return words
    # The file may have changed since.
    digest = settings_of(run)["pretrained"]
    return f"{words} ({pathlib.Path(path).name}, sha256 {digest[:12]}...)"
