"""Evaluates one or several classifiers and makes a report."""

import contextlib
import dataclasses
import gc
import os

import tensorflow as tf

from keras_xcons import checks, data, explainers
from keras_xcons.data.pipeline_errors import plain_errors
from keras_xcons.data.records import check_on_bad_record
from keras_xcons.evaluation import catalog, report_data
from keras_xcons.evaluation.options import EvaluationOptions
from keras_xcons.evaluation.suite import Suite
from keras_xcons.models import split as split_model
from keras_xcons.report import Report

_BATCH_SIZE = 16
_IMAGE_SIZE = 224


@explainers.refuses_method
def evaluate(
    model,
    dataset,
    metrics="all",
    *,
    split=None,
    image_size=None,
    batch_size=None,
    backgrounds=None,
    class_names=None,
    multi_label=None,
    notes=(),
    on_bad_record="error",
    verbose=1,
    **options,
):
    """Measures classifiers and their explanations, and makes a report.

    Every figure comes with the number of its images and a 95 % interval over
    images, see `keras_xcons.evaluation.summarize`, and for several models with the
    paired difference to the first of them. The same call gives the same numbers.

    Args:
        model: What `keras_xcons.models.split` takes: a Keras classifier, nested or
            not, a pair `(backbone, head)`, a training model of this package. Or a
            dict from a name to such a model, to compare them; differences are to
            the first.
        dataset: `tf.data.Dataset` of batches `(images, labels)`, `(images, labels,
            boxes)` or `(images, labels, masks)`, as `keras_xcons.data.load` gives
            them: images `(B, H, W, channels)` in 0..255, integer labels `(B,)` or
            multi-hot `(B, C)`, or 0 and 1 of shape `(B,)` or `(B, 1)` for a model with
            one output, which tells two classes apart; boxes `(B, N, 4)` as `ymin,
            xmin, ymax, xmax` in 0..1, masks `(B, H, W, 1)` of 1 on the object and 0
            elsewhere. Or the
            name or folder of a data set, which is then loaded with its boxes or
            masks. Metrics that the data do not allow are left out, and the report
            says so.
        metrics: `"all"`, the name of a metric or of a group (`"classification"`,
            `"localisation"`, `"faithfulness"`, `"consistency"`, `"robustness"`,
            `"complexity"`, `"backgrounds"`), or a sequence of such names; see
            `keras_xcons.evaluation.METRICS`. Defaults to `"all"`.
        split: Split of a data set given by name or folder. Defaults to `"test"`, or
            the split that stands for it.
        image_size: Size to load a data set at. Defaults to that of the model's
            input, or 224 where it takes any.
        batch_size: Images computed at a time, for a data set given by name or
            folder. Defaults to 16.
        backgrounds: Photographs onto which the background challenge puts objects,
            in the place of backgrounds of the data set's other classes: a folder of
            images, a TFDS directory, or a `tf.data.Dataset` of images.
        class_names: Sequence of the names of the classes. Defaults to those of the
            data set.
        multi_label: Whether labels are multi-hot. Defaults to what the data set or
            its labels tell. Without effect on a model with one output.
        notes: Sequence of sentences to put into the report, as its reader has to know
            them.
        on_bad_record: `"error"` or `"skip"`, what is done about images of a data set
            given by name or folder that cannot be read: they are named and end the
            evaluation, or are left out, which the report says. Defaults to `"error"`.
        verbose: 0 for silence, 1 for progress bars. Defaults to 1.
        **options: See `EvaluationOptions`: the explainer, which class is
            explained, strengths, steps, the size of the gallery, the seed.

    Returns:
        A `keras_xcons.report.Report`.

    Raises:
        TypeError, ValueError: An argument, or an image, label, box or mask of the
            data set, is not as described; or a label is none that the model has. Of
            all this is told before any model runs.
        FileNotFoundError: The folder of a data set does not exist.

    Example:

    >>> model = keras_xcons.load("shapes_cnn")
    >>> report = keras_xcons.evaluate(model, "shapes", ["accuracy", "localisation"])
    >>> report.to_dict()["figures"]["shapes_cnn"]["pointing_game"]["n"]
    1000
    >>> report.to_html("report.html")
    """
    known = {field.name for field in dataclasses.fields(EvaluationOptions)}
    for name in options:
        if name not in known:
            raise TypeError(checks.unknown("option", name, known))
    options = EvaluationOptions(**options)
    if isinstance(notes, str) or not all(isinstance(note, str) for note in notes or ()):
        raise TypeError(
            "`notes` must be a list or tuple of sentences. Received: "
            f"notes={checks.shown(notes)}"
        )
    notes = tuple(notes or ())
    check_on_bad_record(on_bad_record)
    catalog.select(metrics)  # Refused now: to load a data set may take long.
    views = _views(model, options)
    source = _Source(
        dataset,
        split,
        image_size,
        batch_size,
        next(iter(views.values())),
        on_bad_record,
    )
    if verbose:
        print("Reading the data set", flush=True)
    with source.errors_named():
        suite = Suite(
            source.dataset,
            tuple(views.values()),
            metrics,
            options,
            source.multi_label if multi_label is None else multi_label,
            backgrounds,
            source.class_names if class_names is None else class_names,
            verbose,
        )
    measured = {}
    for name, view in views.items():
        if verbose:
            print(f"Evaluating {name}", flush=True)
        measured[name] = suite.measure(suite.probe(view))
        # What was compiled for a model holds on to itself, and to much memory.
        gc.collect()
    samples = suite.samples({name: found.views for name, found in measured.items()})
    notes = (*notes, *source.notes)
    found = report_data.report_data(
        suite, views, measured, source.name, source.split, notes
    )
    return Report(found, samples)


def _views(model, options):
    """Dict of the view of each model by name."""
    models = model if isinstance(model, dict) else {None: model}
    if not models:
        raise ValueError("Give at least one model. Received: model={}")
    views = {}
    for name, each in models.items():
        try:
            view = split_model(each, options.feature_layer, align=options.align)
        except (TypeError, ValueError) as error:
            if isinstance(model, list | tuple):
                hint = "To compare models, give a dict from a name to each."
                raise type(error)(f"{hint} {error}") from error
            raise
        name = str(view.model.name if name is None else name)
        if name in views or name == report_data.CENTRE:
            raise ValueError(
                "Every model needs a name of its own. Received: the name "
                f"{name!r} {'twice' if name in views else 'of the baseline'}"
            )
        views[name] = view
    return views


class _Source:
    """The data set of an evaluation: given as it is, or loaded by name."""

    def __init__(self, dataset, split, image_size, batch_size, view, on_bad_record):
        self.dataset, self.split = dataset, split
        self.notes, self._place = (), None
        # Read after "on", in the title of a report.
        self.name = "a data set of the caller"
        self.class_names = self.multi_label = None
        if isinstance(dataset, str | os.PathLike):
            self._load(dataset, split, image_size, batch_size, view, on_bad_record)
            return
        for name, value in (
            ("split", split),
            ("image_size", image_size),
            ("batch_size", batch_size),
        ):
            if value is not None:
                raise ValueError(
                    f"`{name}` is for a data set given by its name or folder. "
                    f"Received: {name}={value!r} with a dataset of type "
                    f"{type(dataset).__name__}"
                )

    @contextlib.contextmanager
    def errors_named(self):
        """Says which images it is that a pipeline fails at."""
        try:
            yield
        except tf.errors.OpError as error:
            if self._place is not None:
                data.verify(self._place, self.split)
            with plain_errors():
                raise error

    def _load(self, name, split, image_size, batch_size, view, on_bad_record):
        info = data.info(name)
        if len(view.names(info.class_names)) != view.num_classes:
            raise ValueError(
                f"The model has {view.num_classes} classes, and the data set "
                f"{info.name!r} has {len(info.class_names)}. Received: dataset={name!r}"
            )
        self.split = info.test_split if split is None else split
        if self.split is None:
            raise ValueError(
                f"The data set {info.name!r} has no split beside 'train': name one. "
                f"Received: split={split!r}"
            )
        if batch_size is None:
            batch_size = _BATCH_SIZE
        if image_size is None:
            height, width = view.input_shape[:2]
            image_size = _IMAGE_SIZE if height is None else (height, width)
        self._place = name
        if on_bad_record == "skip":
            found = data.verify(name, self.split, on_bad_record="skip")
            self.notes = (f"Left out: {found.told}.",) if found.told else ()
        self.name, self.class_names = info.name, info.class_names
        self.multi_label = info.multi_label
        self.dataset = data.load(
            name,
            self.split,
            image_size=image_size,
            batch_size=batch_size,
            on_bad_record=on_bad_record,
            annotations=info.annotations is not None,
        )
