"""Runs metrics over a data set: one pass a model, rows of one number an image."""

import dataclasses

import keras
import numpy as np

from keras_xcons.evaluation import catalog, groups
from keras_xcons.evaluation.background_bank import BackgroundBank
from keras_xcons.evaluation.backgrounds import BackgroundChallenge
from keras_xcons.evaluation.batch import Batch
from keras_xcons.evaluation.gallery import Gallery
from keras_xcons.evaluation.options import EvaluationOptions
from keras_xcons.evaluation.probe import Probe
from keras_xcons.evaluation.reading import class_indices, fingerprint, inspect, parts
from keras_xcons.models import split

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


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a suite has measured of one model.

    Attributes:
        rows: Dict from the name of a row to a float32 array `(N,)` or `(N, ...)`,
            in the order of the data set; NaN where an image does not count.
        views: Dict from the place of an image of the gallery to its
            `keras_xcons.report.SampleView`.
    """

    rows: dict
    views: dict


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
        self.facts = inspect(dataset, views, multi_label, verbose)
        self.metrics, self.left_out = catalog.split_by_needs(
            chosen, self.facts, views[0].num_classes
        )
        if not self.metrics:
            reasons = "; ".join(self.left_out)
            raise ValueError(
                f"Nothing is left to measure: {reasons}. Received: metrics={metrics!r}"
            )
        self._bank = self._foreign = None
        if any(metric.group == "backgrounds" for metric in self.metrics):
            self._collect(backgrounds, views[0], metrics)
        self.class_names = _class_names(class_names, views[0].num_classes)
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
        challenge = self._challenge(probe)
        wanted = self._wanted()
        # Each once: two groups may share a function.
        running = dict.fromkeys(
            _GROUPS[m.group] for m in self.metrics if m.group in _GROUPS
        )
        columns, views, seen = {}, {}, 0
        progress = keras.utils.Progbar(
            self.facts.num_images, verbose=self._verbose, unit_name="image"
        )
        for images, labels, where in self._batches():
            batch = Batch(
                probe, self.options, self.facts.multi_label, images, labels, where, seen
            )
            rows = {}
            for group in running:
                rows |= group(batch, wanted)
            if challenge:
                rows |= challenge(
                    batch.images, batch.labels, batch.where["masks"], batch.ids
                )
            for name in rows.keys() & wanted:
                columns.setdefault(name, []).append(np.asarray(rows[name], "float32"))
            views |= self._gallery.views(batch)
            seen += len(batch.ids)
            progress.update(seen)
        rows = {name: np.concatenate(found) for name, found in columns.items()}
        return Measured(rows, self._gallery.settle(views))

    def samples(self, views):
        """The gallery, see `Gallery.samples`."""
        return self._gallery.samples(self._batches(), views)

    def background_notes(self):
        """What a reader of the background challenge has to know, as sentences."""
        if self._bank is None:
            return []
        strange = self._foreign is not None
        count = min(
            self.options.challenge_backgrounds, len(self._foreign or self._bank)
        )
        whose = "photographs" if strange else "backgrounds of other classes"
        notes = [
            f"Backgrounds were taken from {len(self._bank)} images of this data set, "
            "with their objects painted over; in the challenge each object has to "
            f"stand {count} {whose}."
        ]
        if strange:
            notes.append(
                f"Mixed-rand and the challenge use {len(self._foreign)} photographs "
                "that belong to no class, whole ones; the backgrounds of mixed-same "
                "have an object painted over, which BG-gap does not know of."
            )
        if self._bank.empty_classes:
            notes.append(
                f"{len(self._bank.empty_classes)} classes have no image from which a "
                "background could be taken."
            )
        return notes

    def _wanted(self):
        """Names of the rows that are kept."""
        wanted = {metric.rows for metric in self.metrics}
        wanted |= {row for name, row in _CURVES.items() if name in wanted}
        if "box_hits" in wanted:
            wanted.add("centre_hits")
        return wanted

    def _collect(self, backgrounds, view, metrics):
        """Gathers backgrounds, or leaves the metrics out that need them."""
        names = [metrics] if isinstance(metrics, str) else metrics
        options, classes = self.options, view.num_classes
        limit, seed = options.max_backgrounds, options.seed
        try:
            self._bank = BackgroundBank.from_dataset(
                self._masked(), classes, limit, seed
            )
        except ValueError as error:
            if backgrounds is not None or "all" not in names:
                raise
            missing = [m.name for m in self.metrics if m.group == "backgrounds"]
            self.metrics = tuple(m for m in self.metrics if m.name not in missing)
            self.left_out[str(error)] = missing
            return
        if backgrounds is not None:
            self._foreign = BackgroundBank.from_photographs(
                backgrounds, self.facts.image_size, classes, limit, seed
            )

    def _masked(self):
        """Batches `(images, labels, masks)` of the data set."""
        for images, labels, where in self._batches():
            yield images, class_indices(labels, False), where["masks"]

    def _batches(self):
        """The batches of the data set, the same ones each time or an error."""
        expected = iter(self.facts.fingerprints)
        for element in self._dataset:
            images, labels, where = parts(element)
            if fingerprint(images) != next(expected, None):
                raise ValueError(
                    "A data set to evaluate on must give the same images in the same "
                    "order each time it is read, without shuffling or augmentation. "
                    "Received: other images than at the first reading"
                )
            yield images, labels, where

    def _challenge(self, probe):
        if self._bank is None:
            return None
        return BackgroundChallenge(
            probe.logits,
            self._bank,
            self._foreign,
            self.options.challenge_backgrounds,
            self.options.seed,
        )


def _class_names(names, count):
    if names is None:
        return tuple(f"class {number}" for number in range(count))
    if len(names) != count:
        raise ValueError(
            f"`class_names` must be {count} names, as many as the model has classes. "
            f"Received: {len(names)} names"
        )
    return tuple(str(name) for name in names)


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
        image, NaN where an image does not count. Metrics that the data do not allow
        are not in it, nor are those that are no mean over images (MaxBoxAcc, PxAP,
        mean average precision); `keras_xcons.evaluate` has those.

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
    view = split(model, options.feature_layer)
    suite = Suite(dataset, [view], metrics, options, multi_label, verbose=verbose)
    rows = suite.measure(suite.probe(view)).rows
    return {m.name: rows[m.rows] for m in suite.metrics if rows[m.rows].ndim == 1}
