"""The job of a method that follows a training: it explains a trained classifier."""

import dataclasses
import hashlib
import math

import numpy as np

from keras_xcons import data, evaluation, models, plotting
from keras_xcons.data.records import ON_BAD_RECORD
from keras_xcons.files import files_together, write_json
from keras_xcons.methods import method_of
from keras_xcons.options import Options, option, table
from keras_xcons.recipes import ownership, run_files
from keras_xcons.recipes.data_check import check_data
from keras_xcons.recipes.experiment import check_splits
from keras_xcons.recipes.opening import notes_on_names, open_model
from keras_xcons.recipes.options import (
    BAD_RECORD_HELP,
    DATASET_HELP,
    OfDataset,
    check_path,
    checked_methods,
    correlation_option,
    num_samples_option,
)
from keras_xcons.recipes.progress import Progress
from keras_xcons.recipes.settings import identity

_BATCH_SIZE = 32
_IMAGE_SIZE = 224
_PICTURES = 3


def _methods(value):
    found = checked_methods(value)
    if len(found) > 1 or any(method_of(name).follows is None for name in found):
        raise ValueError(
            "One method that follows a training is named, and by itself. Received: "
            f"methods={', '.join(found)}"
        )
    return found


def _model(value):
    if value is None:
        raise ValueError(
            "A method that follows a training takes a trained model: the name of a "
            "published one, a folder with a card, or a `.keras` file. Received: "
            "model=None"
        )
    return check_path("model")(value)


@table
class FollowOptions(OfDataset, Options):
    """What `keras-xcons train` takes of a method that follows a training.

    Raises:
        TypeError, ValueError: An option is not accepted.
    """

    dataset: str = option("shapes", DATASET_HELP, check=check_path("dataset"))
    model: str | None = option(
        None,
        "Trained classifier: a published model, a folder with a card, or a .keras "
        "file.",
        check=_model,
    )
    output: str = option(
        "xnn_run",
        "Folder for the model, figures and pictures.",
        check=check_path("output"),
    )
    num_samples: int | None = num_samples_option()
    correlation: float | None = correlation_option()
    on_bad_record: str = option("error", BAD_RECORD_HELP, choices=ON_BAD_RECORD)
    methods: dict = option(
        {"xnn": {}},
        "The method with its options, a dict of one dict.",
        check=_methods,
        told=False,
    )

    @property
    def method(self):
        """Name of the method."""
        return next(iter(self.methods))


class Following:
    """A trained classifier, data, and a method that explains it.

    Args:
        options: `FollowOptions`.

    Attributes:
        options: The `FollowOptions`.
        info: `keras_xcons.data.DatasetInfo` of the data.
        settings: Dict of plain values, all that the job depends on.
        explainer: The object of the method's class, before it is fitted.

    Raises:
        ValueError, TypeError, OSError: The model or the data set cannot be loaded,
            they do not fit each other, or the model is not for the method.
    """

    def __init__(self, options):
        self.options = options
        self.info = data.info(options.dataset)
        check_splits(self.info)
        model, names = open_model(options.model)
        view = models.split(model)
        if view.num_classes != len(self.info.class_names):
            raise ValueError(
                "The model must have the classes of the data set. Received: a model "
                f"with {view.num_classes} classes and {self.info.name!r} with "
                f"{len(self.info.class_names)}"
            )
        self.notes = notes_on_names(options.model, names, self.info.class_names)
        height, width = view.input_shape[:2]
        self._size = (height or _IMAGE_SIZE, width or _IMAGE_SIZE)
        digest = hashlib.sha256()
        for weights in model.get_weights():
            digest.update(np.ascontiguousarray(weights).tobytes())
        self.settings = {
            **identity(options, self.info),
            "model": digest.hexdigest(),
        }
        # Before any work, where an option is not for this model.
        self.explainer = self._made(model)

    def _made(self, model):
        method = self.options.method
        return method_of(method).trainer(model, **self.options.methods[method])

    def load(self, split):
        """The batched data set of a split, in order."""
        return self.options.read(split, image_size=self._size, batch_size=_BATCH_SIZE)

    def run(self, progress, report):
        """Fits the explanations, or loads those that are fitted.

        Args:
            progress: `Progress` of the job.
            report: Function that is told each line for the user.

        Returns:
            The object of the method's class.
        """
        method, splits = self.options.method, ("train", self.info.test_split)

        def fit(callbacks):
            del callbacks
            check_data(
                *(self.options.dataset, self.info, splits, report),
                self.options.on_bad_record,
            )
            report(f"{method_of(method).title}: {method_of(method).purpose}")
            history = self.explainer.fit(self.load("train"))
            return self.explainer.model, history

        return self._made(progress.resume(method, fit))


def follow(options, report=print):
    """Explains a trained classifier by a method that follows a training.

    Written into `options.output`, together when all is done: `<method>.keras`,
    `metrics.json`, and a picture for each of the first classes. A job that was
    stopped after the fit goes on there when it is called again with the same options.

    Args:
        options: `FollowOptions`.
        report: Function that is told each line for the user. Defaults to `print`.

    Returns:
        Dict of the written `metrics.json`.

    Raises:
        ValueError, TypeError, OSError: The model, the data or the output folder will
            not do; found out before any work.

    Example:

    >>> options = FollowOptions(model="shapes_cnn", methods={"xnn": {"epochs": 3}})
    >>> follow(options)["figures"]["relative_rmse"]
    """
    job, method = Following(options), options.method
    pictures = [f"{method}_{number + 1}.png" for number in range(_PICTURES)]
    written = [f"{method}.keras", "metrics.json", *pictures]
    for note in job.notes:
        report(note)
    with ownership.job_folder(options.output, written, _is_metrics) as folder:
        progress = Progress(folder, job.settings, report)
        explainer = job.run(progress, report)
        report("\nMeasuring")
        split = job.info.test_split
        figures = {
            # JSON knows no NaN, which stands for what is not defined.
            name: None if math.isnan(value) else value
            for name, value in explainer.evaluate(job.load(split)).items()
        }
        metrics = {
            "options": dataclasses.asdict(options),
            "split": split,
            "figures": figures,
            **evaluation.provenance(),
        }
        drawn = explainer.pictures(
            *(job.load(split), job.load("train"), job.info.class_names, _PICTURES)
        )
        with files_together(folder) as staging:
            run_files.save_model(explainer.model, staging / f"{method}.keras")
            write_json(staging / "metrics.json", metrics)
            for name, figure in zip(pictures, drawn, strict=False):
                plotting.save(figure, staging / name)
        # Of an earlier job of this folder, of another model.
        for name in pictures[len(drawn) :]:
            (folder / name).unlink(missing_ok=True)
        progress.done()
    told = [*written[:2], *pictures[: len(drawn)]]
    for name, value in figures.items():
        shown = "not defined" if value is None else f"{value:.4f}"
        report(f"{name.replace('_', ' '):26}{shown}")
    for line in explainer.doubts(figures):
        report(line)
    report(f"\nWritten to {folder}: " + ", ".join(told))
    return metrics


def _is_metrics(found):
    """Whether a JSON object is what `follow` has written."""
    told = found.get("options")
    measured = isinstance(found.get("figures"), dict)
    return measured and isinstance(told, dict) and {"dataset", "methods"} <= told.keys()
