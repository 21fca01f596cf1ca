"""A batch of images and what a classifier says of it, computed when asked for."""

import functools
import typing

import numpy as np
import tensorflow as tf

from keras_xcons import attacks
from keras_xcons.evaluation.reading import class_indices
from keras_xcons.explainers import shown_maps
from keras_xcons.metrics import binary_accuracy, flat, has_object, top_k
from keras_xcons.models.frame import WHOLE


class Attacked(typing.NamedTuple):
    """Images with an attacked background, and what became of their explanation."""

    images: tf.Tensor
    maps: tf.Tensor
    logits: tf.Tensor
    consistency: np.ndarray


class Batch:
    """A batch under evaluation, shared by all metrics.

    Args:
        probe: `Probe` of the classifier.
        options: `EvaluationOptions`.
        multi_label: Whether labels are multi-hot.
        images: Float32 tensor `(B, H, W, channels)` in 0..255.
        labels: As the data set gives them.
        where: Dict of `"boxes"` or `"masks"`, or empty.
        first: Place of its first image in the data set.
        explains: Whether the heatmaps are asked for as well. Defaults to `True`.

    Attributes:
        labels: Int32 tensor `(B,)`, or float32 multi-hot `(B, C)`.
        ids: Int32 array `(B,)`, the place of each image in the data set.
    """

    def __init__(
        self, probe, options, multi_label, images, labels, where, first, explains=True
    ):
        self.probe = probe
        self.options = options
        self.multi_label = multi_label
        self.images = images
        self.labels = class_indices(labels, multi_label)
        self.where = where
        self._explains = explains
        self.ids = np.arange(first, first + len(images), dtype="int32")

    @property
    def size(self):
        """`(H, W)` of the images."""
        return tuple(self.images.shape[1:3])

    @functools.cached_property
    def targets(self):
        """`Targets`, the classes whose maps are measured."""
        return self.probe.targets(self.images, self.labels)

    @functools.cached_property
    def computed(self):
        """`Explained`, of which the maps are divided by their maximum alone."""
        return self.probe.computed(self.images, self.targets)

    @functools.cached_property
    def explained(self):
        """`Explained`: maps `(B, P, h, w)` and logits of the images."""
        return self.probe.normalized(self.computed)

    @functools.cached_property
    def logits(self):
        """Float32 logits `(B, C)`, out of the pass that makes the heatmaps, if any."""
        if not self._explains:
            return self.probe.logits(self.images)
        return tf.cast(self.explained.logits, tf.float32)

    @functools.cached_property
    def maps(self):
        """One map an image, float32 `(B, h, w)` as computed."""
        return shown_maps(self.explained.maps, self.targets)

    @functools.cached_property
    def heatmaps(self):
        """One map an image, float32 `(B, H, W)`, laid on the image."""
        return self.probe.frame.place(self.maps, self.size)

    def shown(self, heatmap):
        """One of the maps `(h, w)` as a picture, which stretches it, shows it."""
        if self.probe.frame.shifts:
            heatmap = self.probe.frame.place(heatmap[None], self.size)[0]
        return heatmap.numpy()

    @property
    def empty(self):
        """Float32 array `(B,)`: 1 where the heatmap is all zeros, NaN without one."""
        empty = self.maps.numpy().max(axis=(1, 2)) <= 0.0
        return only_where(self.explainable, empty)

    def spread(self, measure):
        """What a metric says of the spread of the maps, whatever they are scaled to.

        Args:
            measure: `keras_xcons.metrics.flat` or `entropy`.

        Returns:
            Float32 array `(B,)`: of the maps as computed, over what the model sees; of
            several classes their mean. NaN where all maps are all zeros.
        """
        maps = np.asarray(self.computed.maps)
        if self.probe.frame is WHOLE and self.probe.view.frame.moves:
            rows, columns = self.probe.view.frame.window(self.size).pixels(self.size)
            maps = maps[..., rows, columns]
        found = measure(maps.reshape(-1, *maps.shape[2:])).reshape(maps.shape[:2])
        counts = (np.asarray(self.targets.valid) > 0) & ~np.isnan(found)
        total = np.sum(found, axis=1, where=counts)
        number = counts.sum(axis=1)
        return np.where(number > 0, total / np.maximum(number, 1), np.nan)

    @property
    def flat(self):
        """Float32 array `(B,)`: 1 where the heatmap is flat, see `metrics.flat`."""
        return self.spread(flat)

    @functools.cached_property
    def explainable(self):
        """Boolean array `(B,)`: whether there is any class to explain."""
        return np.asarray(self.targets.valid).any(axis=1)

    @functools.cached_property
    def has_object(self):
        """Boolean array `(B,)`: whether it is known where the object is."""
        return has_object(**self.where)

    @functools.cached_property
    def loss_gradient(self):
        """Gradient of the loss with respect to the images, for attacks."""
        return self.probe.loss_gradient(self.images, self.labels)

    @property
    def without_gradient(self):
        """Float32 array `(B,)`: 1 where the gradient is zero or no number, 0 else."""
        finite, moving = attacks.moves(self.loss_gradient)
        return 1.0 - np.asarray(tf.logical_and(finite, moving), "float32")

    @functools.cached_property
    def background(self):
        """The pixels that the heatmap leaves, `(B, H, W, 1)`."""
        return self.probe.background(self.explained.maps, self.targets, self.size)

    @functools.cached_property
    def attacked(self):
        """`Attacked`, by one FGSM step on the background."""
        images = attacks.fgsm(
            self.images, self.loss_gradient, self.options.epsilon, self.background
        )
        maps, logits, _ = self.probe.explain(images, self.targets)
        consistency = self.probe.consistency(self.explained.maps, maps, self.targets)
        return Attacked(
            images, shown_maps(maps, self.targets), logits, np.asarray(consistency)
        )

    def right(self, logits):
        """How right predictions are, float32 `(B,)` in 0..1.

        1 where the predicted class is the label's and else 0; where several classes
        can be right, the share of classes that is told right.
        """
        logits, labels = np.asarray(logits, "float32"), np.asarray(self.labels)
        if self.multi_label:
            return binary_accuracy(logits, labels)
        return top_k(logits, labels)


def only_where(kept, values):
    """Rows in which the images that do not count are NaN.

    Args:
        kept: Boolean array `(B,)`.
        values: Array `(B, ...)`.

    Returns:
        Float32 array `(B, ...)`.
    """
    values = np.asarray(values, "float32")
    kept = kept.reshape(-1, *[1] * (values.ndim - 1))
    return np.where(kept, values, np.float32("nan"))
