"""Runs metrics over a data set: one pass a model, rows of one number an image."""

import dataclasses
import warnings

import keras
import numpy as np

from keras_xcons import explainers
from keras_xcons.evaluation import catalog, flags, groups
from keras_xcons.evaluation.background_bank import TooFewBackgrounds
from keras_xcons.evaluation.batch import Batch
from keras_xcons.evaluation.challenge_backgrounds import ChallengeBackgrounds
from keras_xcons.evaluation.gallery import Gallery
from keras_xcons.evaluation.options import EvaluationOptions
from keras_xcons.evaluation.probe import Probe
from keras_xcons.evaluation.reading import batches, inspect
from keras_xcons.models import split
from keras_xcons.models.offset import check_pixels

_GROUPS = {
    "classification": groups.classification,
    "localisation": groups.localisation,
    "faithfulness": groups.faithfulness,
    "consistency": groups.robustness,
    "robustness": groups.robustness,
    "complexity": groups.complexity,
}
# What plots show beside the rows that figures are made of.
_CURVES = {"insertion": "insertion_curve", "deletion": "deletion_curve"}
# What a reader is told of, whatever is measured.
_NOTED = {"empty_heatmap", "flat", "without_gradient"}


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a suite has measured of one model.

    Attributes:
        rows: Dict from the name of a row to a float32 array `(N,)` or `(N, ...)`,
            in the order of the data set; NaN where an image does not count.
        views: Dict from the place of an image of the gallery to its
            `keras_xcons.report.SampleView`.
        hidden_probabilities: Whether the logits seem to be probabilities.
    """

    rows: dict
    views: dict
    hidden_probabilities: bool = False


class Suite:
    """Metrics, ready to run over a data set that has been looked at.

    Args:
        dataset: `tf.data.Dataset` of batches, see
            `keras_xcons.evaluation.reading.parts`.
        views: Sequence of `ClassifierView` that will be measured.
        metrics: What `catalog.select` takes. Defaults to `"all"`.
        options: `EvaluationOptions`. Defaults to its defaults.
        multi_label: Whether labels are multi-hot, or `None` to tell it.
        backgrounds: Photographs for the background challenge in the place of the
            data set's own backgrounds: a folder, or a `tf.data.Dataset` of images.
        class_names: Sequence of the names of the classes, for the gallery. Defaults
            to their numbers.
        verbose: 1 to show progress bars. Defaults to 0.

    Attributes:
        facts: `DataFacts`.
        metrics: Tuple of the `Metric` that are measured.
        left_out: Dict from a reason to the names of the metrics left out for it.
        class_names: Tuple of the names of the classes.

    Raises:
        TypeError, ValueError: The data, the metrics or the backgrounds are not as
            described.
    """

    def __init__(
        self,
        dataset,
        views,
        metrics="all",
        options=None,
        multi_label=None,
        backgrounds=None,
        class_names=None,
        verbose=0,
    ):
        self.options = options or EvaluationOptions()
        self._dataset = dataset
        self._verbose = verbose
        chosen = catalog.select(metrics)
        for view in views:
            # Refused now, where an explainer is not for such a classifier.
            explainers.explainer_of(view, self.options.explainer)
        self.class_names = _class_names(class_names, views[0])
        self.facts = inspect(dataset, views, multi_label, verbose)
        _check_options(self.options, self.facts)
        self.metrics, self.left_out = catalog.split_by_needs(
            chosen, self.facts, views[0].num_classes
        )
        if not self.metrics:
            reasons = "; ".join(self.left_out)
            raise ValueError(
                f"Nothing is left to measure: {reasons}. Received: metrics={metrics!r}"
            )
        self._backgrounds = None
        if any(metric.group == "backgrounds" for metric in self.metrics):
            self._collect(backgrounds, "all" in catalog.as_list(metrics))
        elif backgrounds is not None:
            raise ValueError(
                "`backgrounds` are for the background challenge, which needs masks and "
                f"one label an image. Received: backgrounds with metrics={metrics!r} "
                f"and a data set with {self.facts.truth or 'no annotations'}"
            )
        self._gallery = Gallery(
            self.facts.num_images,
            self.class_names,
            self.facts.multi_label,
            self.options.gallery,
            self.options.seed,
        )

    def probe(self, view, training=False):
        """A `Probe` of a model, see there for the arguments."""
        return Probe(view, self.options, self.facts.multi_label, training)

    def measure(self, probe):
        """Measures a model over the data set.

        Args:
            probe: What `probe` has made of the model.

        Returns:
            `Measured`.

        Raises:
            ValueError: The data set gives other images than when it was looked at.
        """
        challenge = None
        if self._backgrounds:
            challenge = self._backgrounds.challenge(probe.logits)
        wanted = self._wanted()
        # Each once: two groups may share a function.
        running = dict.fromkeys(
            _GROUPS[m.group] for m in self.metrics if m.group in _GROUPS
        )
        explains = set(running) != {groups.classification}
        columns, views, seen, hidden = {}, {}, 0, False
        progress = keras.utils.Progbar(
            self.facts.num_images, verbose=self._verbose, unit_name="image"
        )
        for read in batches(self._dataset, self.facts):
            batch = Batch(
                probe, self.options, self.facts.multi_label, *read, seen, explains
            )
            if not seen and running:
                hidden = flags.hidden_probabilities(batch.logits.numpy())
                if hidden:
                    warnings.warn(
                        flags.on_probabilities(probe.view.model.name), stacklevel=4
                    )
            rows = {}
            for group in running:
                rows |= group(batch, wanted)
            if challenge:
                rows |= challenge(
                    batch.images, batch.labels, batch.where["masks"], batch.ids
                )
            if explains:
                rows["empty_heatmap"] = batch.empty
                rows["flat"] = batch.flat
            for name in rows.keys() & wanted:
                columns.setdefault(name, []).append(np.asarray(rows[name], "float32"))
            views |= self._gallery.views(batch)
            seen += len(batch.ids)
            progress.update(seen)
        rows = {name: np.concatenate(found) for name, found in columns.items()}
        return Measured(rows, self._gallery.settle(views), hidden)

    def samples(self, views):
        """The gallery, see `Gallery.samples`."""
        return self._gallery.samples(batches(self._dataset, self.facts), views)

    def notes(self):
        """What a reader has to know of the backgrounds, as sentences."""
        return self._backgrounds.notes() if self._backgrounds else []

    def _wanted(self):
        """Names of the rows that are kept."""
        wanted = {metric.rows for metric in self.metrics} | _NOTED
        wanted |= {row for name, row in _CURVES.items() if name in wanted}
        return wanted | {m.baseline for m in self.metrics if m.baseline}

    def _collect(self, photographs, optional):
        """Gathers backgrounds, or leaves the metrics out that need them."""
        try:
            self._backgrounds = ChallengeBackgrounds(
                self._dataset, self.facts, photographs, self.options
            )
        except TooFewBackgrounds as error:
            if photographs is not None or not optional:
                raise
            missing = [m.name for m in self.metrics if m.group == "backgrounds"]
            self.metrics = tuple(m for m in self.metrics if m.name not in missing)
            self.left_out[str(error)] = missing


def _check_options(options, facts):
    """Refuses what an image of this size or kind does not allow."""
    height, width, channels = facts.image_shape
    check_pixels(options.align, (height, width))
    if options.steps > height * width:
        raise ValueError(
            f"`steps` must be at most {height * width}, the pixels of an image. "
            f"Received: steps={options.steps}"
        )
    if options.gallery and channels not in (1, 3):
        raise ValueError(
            "The gallery shows images of 1 or 3 channels; pass gallery=0 for others. "
            f"Received: images of {channels} channels and gallery={options.gallery}"
        )


def _class_names(names, view):
    count = view.num_classes
    if names is None:
        return tuple(f"class {number}" for number in range(count))
    known = isinstance(names, list | tuple | np.ndarray)
    if not known or len(view.names(names)) != count:
        raise ValueError(
            f"`class_names` must be {count} names, as many as the model has classes. "
            f"Received: class_names={names!r}"
        )
    return view.names(names)


def measure(model, dataset, metrics="all", *, multi_label=None, verbose=0, **options):
    """Measures every image of a data set.

    Args:
        model: What `keras_xcons.models.split` takes.
        dataset: `tf.data.Dataset` of batches `(images, labels)`, or of
            `(images, labels, boxes)` or `(images, labels, masks)` as
            `keras_xcons.data.load` gives them with `annotations=True`.
        metrics: `"all"`, the name of a metric or of a group, or a sequence of names;
            see `keras_xcons.evaluation.METRICS`. Defaults to `"all"`.
        multi_label: Whether labels are multi-hot, or `None` to tell it. Defaults to
            `None`.
        verbose: 1 to show a progress bar. Defaults to 0.
        **options: See `EvaluationOptions`.

    Returns:
        Dict from the name of a metric to a float32 array `(N,)`, one number an
        image, NaN where an image does not count; `(N, ...)` of metrics that are no
        mean over images (MaxBoxAcc, PxAP, mean average precision), whose figure
        `METRICS[name].statistic` makes of them. Metrics that the data do not allow are
        not in it. It is what `keras_xcons.evaluation.across_runs` takes of each run.

    Raises:
        TypeError, ValueError: As `keras_xcons.evaluate`.

    Example:

    >>> test = keras_xcons.data.load(
    ...     "shapes", "original", image_size=64, batch_size=50, annotations=True
    ... )
    >>> values = measure(model, test, ["accuracy", "pointing_game"])
    >>> values["accuracy"].mean()
    """
    options = EvaluationOptions(gallery=0, **options)
    view = split(model, options.feature_layer, align=options.align)
    suite = Suite(dataset, [view], metrics, options, multi_label, verbose=verbose)
    rows = suite.measure(suite.probe(view)).rows
    return {metric.name: rows[metric.rows] for metric in suite.metrics}
