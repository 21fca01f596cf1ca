"""What a training step is given."""

import dataclasses

import keras
import tensorflow as tf
from keras import ops

from keras_xcons.data import split_sample_ids, unlabelled_of
from keras_xcons.methods.losses import reduction_of
from keras_xcons.methods.passes import random_states


@dataclasses.dataclass(frozen=True)
class Batch:
    """The batch of a training step.

    Images without a label have class 0 and weight 0, so that the caller's loss is the
    mean, or sum, over the images with one.

    Attributes:
        images: Float32 tensor `(B, H, W, channels)` in 0..255, moved by the random
            layers of the classifier, where it has any.
        labels: Labels as the caller's loss takes them.
        sample_weight: Weights of the caller's loss, `(B,)` or `(B, 1)`, or `None`.
        given_weight: The caller's weights, with 1 for images without a label, or
            `None`: those of a term that needs no label.
        labelled: Boolean tensor `(B,)`, which images have a label, or `None` for all.
        ids: Sample ids, integer tensor `(B,)`, or `None`.
        states: States of the classifier's random numbers as the step begins, see
            `passes.random_states`.
        extra: Dict of what a method's `prepare` adds.
    """

    images: tf.Tensor
    labels: tf.Tensor
    sample_weight: tf.Tensor | None
    given_weight: tf.Tensor | None
    labelled: tf.Tensor | None
    ids: tf.Tensor | None
    states: list
    extra: dict = dataclasses.field(default_factory=dict)

    def having(self, **extra):
        """The batch with more in its `extra`."""
        return dataclasses.replace(self, extra={**self.extra, **extra})

    @property
    def size(self):
        """The number of images, a scalar."""
        return ops.shape(self.images)[0]

    @property
    def labels_given(self):
        """The number of images with a label, a scalar."""
        if self.labelled is None:
            return self.size
        return ops.sum(ops.cast(self.labelled, "int32"))


def batch_of(x, labels, sample_weight, trainer):
    """The batch of what `fit` gives a step.

    Args:
        x: Images, or a dict of them and what else the method takes.
        labels: Labels as the caller's loss takes them; of a method that takes
            unlabelled images, -1 for none.
        sample_weight: The caller's weights, or `None`.
        trainer: `keras_xcons.methods.TrainingMethod`.

    Returns:
        `Batch`.
    """
    images, ids = split_sample_ids(x)
    labelled, given = None, sample_weight
    if trainer.takes_unlabelled and tuple(labels.shape[1:]) in ((), (1,)):
        labels = ops.cast(labels, "int32") if labels.dtype == "bool" else labels
        labelled = ops.reshape(labels, (-1,)) >= 0
        labels = ops.maximum(labels, 0)
    more = unlabelled_of(x)
    if more is not None:
        count, others = ops.shape(images)[0], ops.shape(more)[0]
        images = ops.concatenate(
            [ops.cast(images, "float32"), ops.cast(more, "float32")]
        )
        labels = _extended(labels, others)
        if given is not None:
            given = _extended(given, others, 1.0)
        known = ops.ones((count,), "bool") if labelled is None else labelled
        labelled = _extended(known, others)
    if labelled is not None:
        # Keras learns from the sum of a loss that it does not reduce.
        sums = reduction_of(trainer.loss) in ("sum", "none", None)
        sample_weight, given = _weights(labelled, given, sums)
    return Batch(
        trainer.augment(ops.cast(images, "float32"), trainer.in_training_mode),
        labels,
        sample_weight,
        given,
        labelled,
        ids,
        random_states(trainer.classifier),
    )


def own_rows(outputs, labels):
    """Of the outputs for a batch, those for the images that came with labels."""
    count = ops.shape(labels)[0]
    return keras.tree.map_structure(lambda each: each[:count], outputs)


def _extended(values, count, value=0):
    """A tensor with `count` more rows of a value."""
    shape = (count, *values.shape[1:])
    return ops.concatenate([values, ops.full(shape, value, values.dtype)])


def _weights(labelled, given, sums):
    """Weights under which unlabelled images do not count, and those of all images."""
    share = ops.cast(labelled, "float32")
    if not sums:
        # Keras divides by the number of rows, here that of the images with a label.
        rows = ops.cast(ops.shape(share)[0], "float32")
        share = share * (rows / ops.maximum(ops.sum(share), 1.0))
    if given is None:
        return share, None
    given = ops.cast(given, "float32")
    like = (-1,) + (1,) * (len(given.shape) - 1)
    every = ops.where(ops.reshape(labelled, like), given, 1.0)
    return ops.reshape(share, like) * given, every
