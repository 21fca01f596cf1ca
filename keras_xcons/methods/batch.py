"""What a training step is given."""

import dataclasses

import tensorflow as tf
from keras import ops


@dataclasses.dataclass(frozen=True)
class Batch:
    """The batch of a training step.

    Attributes:
        images: Float32 tensor `(B, H, W, channels)` in 0..255, moved by the random
            layers of the classifier, where it has any.
        labels: Labels as the caller's loss takes them.
        sample_weight: The caller's weights, `(B,)` or `(B, 1)`, or `None`.
        ids: Sample ids, integer tensor `(B,)`, or `None`.
        labelled: Boolean tensor `(B,)`, which images have a label; those without are
            of class 0 and weight 0 in `labels` and `sample_weight`. `None` where all
            have one.
        extra: Dict of what came with the images.
        states: States of the classifier's random numbers as the step begins, see
            `passes.random_states`.
    """

    images: tf.Tensor
    labels: tf.Tensor
    sample_weight: tf.Tensor | None
    ids: tf.Tensor | None
    labelled: tf.Tensor | None
    extra: dict
    states: list

    @property
    def size(self):
        """The number of images, a scalar."""
        return ops.shape(self.images)[0]
