"""Measures the explanations of a model while it trains."""

import keras
import numpy as np
import tensorflow as tf

from keras_xcons import plotting
from keras_xcons.callbacks.tensorboard_writer import TensorBoardWriter, drawn
from keras_xcons.data import arguments
from keras_xcons.evaluation.catalog import METRICS
from keras_xcons.evaluation.options import EvaluationOptions
from keras_xcons.evaluation.statistics import value_of
from keras_xcons.evaluation.suite import Suite
from keras_xcons.methods import TrainingMethod
from keras_xcons.models import split

_CONSISTENCY = "explanation_consistency"
_METRICS = (_CONSISTENCY, "pointing_game", "energy_pointing_game", "flat")
_BATCH_SIZE = 32


class ExplanationMonitor(keras.callbacks.Callback):
    """Measures explanations on fixed data at the end of epochs.

    The figures go into the epoch's logs, so that the history of `fit` has them, and
    `EarlyStopping`, `ModelCheckpoint` and `FigureLogger` see them: put those behind
    it in the list of callbacks. With a `log_dir` TensorBoard shows them over the
    epochs, together with the distribution of the explanation consistency and with
    the heatmaps of a few images, the same ones in every epoch.

    It does not change the training: weights and random numbers are the same with
    and without it.

    Args:
        dataset: `tf.data.Dataset` of batches `(images, labels)`, `(images, labels,
            boxes)` or `(images, labels, masks)` in a fixed order, as
            `keras_xcons.data.load` gives them with `annotations=True`, or a tuple of
            such arrays.
        log_dir: Folder for TensorBoard, or `None` to write nothing. Defaults to
            `None`.
        every: Number of epochs from one measurement to the next. Defaults to 1.
        pictures: Number of images whose heatmaps TensorBoard shows; 0 for none.
            Defaults to 8.
        prefix: Put before the name of each figure, such as `"val_"`. Defaults to
            `""`.
        metrics: Names of metrics or groups of them, see
            `keras_xcons.evaluation.METRICS`. Defaults to the explanation
            consistency, the share of flat heatmaps, of which it says nothing, and,
            where the data have boxes or masks, both pointing games.
        multi_label: Whether labels are multi-hot, or `None` to tell it from the
            data. Defaults to `None`.
        class_names: Sequence of names of the classes, for the pictures.
        **options: See `keras_xcons.evaluation.EvaluationOptions`.

    Raises:
        ImportError: `log_dir` is given, and TensorBoard is not installed.
        ValueError: An argument is not as described; from `fit`, before the first
            epoch, if the model cannot be split or the data do not fit it or lack
            what a metric that is named needs, or every metric of a group that is;
            at the end of an epoch, if the logs already have a figure of the same
            name.

    Example:

    >>> validation = keras_xcons.data.load(
    ...     "shapes", "original", image_size=64, batch_size=50, annotations=True
    ... )
    >>> monitor = ExplanationMonitor(validation, log_dir="logs", prefix="val_")
    >>> best = keras.callbacks.ModelCheckpoint(
    ...     "best.keras", monitor="val_pointing_game", mode="max", save_best_only=True
    ... )
    >>> model.fit(train, epochs=10, callbacks=[monitor, best])

    Logs: `<prefix><metric>`, the mean over the images that count; a figure for which
    no image counts is left out of the epoch's logs.
    """

    def __init__(
        self,
        dataset,
        log_dir=None,
        every=1,
        pictures=8,
        prefix="",
        metrics=None,
        multi_label=None,
        class_names=None,
        **options,
    ):
        super().__init__()
        arguments.check_count(every, "every")
        if pictures != 0:
            arguments.check_count(pictures, "pictures")
        if isinstance(dataset, tuple):
            dataset = tf.data.Dataset.from_tensor_slices(dataset).batch(_BATCH_SIZE)
        shown = 0 if log_dir is None else pictures
        self._options = EvaluationOptions(gallery=shown, **options)
        self._dataset = dataset
        self._every = every
        self._prefix = prefix
        self._metrics = metrics
        self._multi_label = multi_label
        self._class_names = class_names
        self._tensorboard = None if log_dir is None else TensorBoardWriter(log_dir)
        self._measured_model = self._alignment = None

    def on_train_begin(self, logs=None):
        model = self.model
        # The view of a training model has the feature layer that it trains for.
        model = model.view if isinstance(model, TrainingMethod) else model
        options = self._options
        view = split(model, options.feature_layer, align=options.align)
        # Another model, or its offset was measured since the last fit.
        same = self._measured_model is self.model
        if same and self._alignment == view.alignment:
            return
        self._suite = Suite(
            self._dataset,
            (view,),
            _METRICS if self._metrics is None else self._metrics,
            self._options,
            self._multi_label,
            class_names=self._class_names,
        )
        self._refuse_left_out()
        self._probe = self._suite.probe(view, training=True)
        self._samples = None
        self._measured_model, self._alignment = self.model, view.alignment

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self._every:
            return
        measured = self._suite.measure(self._probe)
        figures = self._figures(measured.rows)
        if logs is not None:
            twice = sorted(figures.keys() & logs.keys())
            if twice:
                raise ValueError(
                    "The logs already have figures of the monitor's names: give the "
                    f"monitor another `prefix`. Received: prefix={self._prefix!r} with "
                    f"{', '.join(twice)} in the logs"
                )
            logs.update(figures)
        if self._tensorboard:
            self._write(epoch, figures, measured)

    def on_train_end(self, logs=None):
        if self._tensorboard:
            self._tensorboard.close()

    def _refuse_left_out(self):
        """Refuses what was asked for by name and cannot be measured.

        A group is refused if none of its metrics can be measured.
        """
        named = self._metrics or ()
        named = {named} if isinstance(named, str) else set(named)
        measured = {metric.group for metric in self._suite.metrics}
        for reason, names in self._suite.left_out.items():
            groups = dict.fromkeys(METRICS[name].group for name in names)
            lost = [group for group in groups if group not in measured] + list(names)
            missing = [name for name in lost if name in named]
            if missing:
                raise ValueError(
                    f"A metric cannot be measured: {reason}. Received: metrics with "
                    f"{', '.join(missing)}"
                )

    def _figures(self, rows):
        """Dict of the figures by their names in the logs."""
        figures = {}
        for metric in self._suite.metrics:
            value = value_of(rows[metric.rows], self._options.seed, metric.statistic)
            if value is not None:
                figures[self._prefix + metric.name] = value
        return figures

    def _write(self, epoch, figures, measured):
        consistency = measured.rows.get(_CONSISTENCY, np.array([]))
        consistency = consistency[~np.isnan(consistency)]
        histograms, pictures = {}, {}
        if len(consistency):
            histograms[f"{self._prefix}{_CONSISTENCY}_histogram"] = consistency
        if measured.views:
            pictures[f"{self._prefix}heatmaps"] = self._picture(measured.views)
        self._tensorboard.write(epoch, figures, histograms, pictures)

    def _picture(self, views):
        """The heatmaps of the fixed images on them, with the truth outlined."""
        if self._samples is None:
            self._samples = self._suite.samples({"": views})
        samples = self._samples
        views = [views[sample.index] for sample in samples]
        boxes = masks = None
        if samples[0].boxes is not None:
            # Batches may be padded to different numbers of boxes.
            most = max(len(sample.boxes) for sample in samples)
            boxes = np.zeros((len(samples), most, 4), "float32")
            for padded, sample in zip(boxes, samples, strict=True):
                padded[: len(sample.boxes)] = sample.boxes
        if samples[0].mask is not None:
            masks = np.stack([sample.mask for sample in samples])[..., None]
        figure = plotting.plot(
            np.stack([sample.image for sample in samples]),
            np.stack([view.heatmap for view in views]),
            [_title(*pair) for pair in zip(samples, views, strict=True)],
            boxes,
            masks,
        )
        return drawn(figure)


def _title(sample, view):
    """The label, and E where the image has one."""
    if view.consistency is None or np.isnan(view.consistency):
        return sample.label
    return f"{sample.label}: E {view.consistency:.2f}"
