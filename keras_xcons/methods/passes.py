"""The passes of a training step, and the means of what they tell.

A pass that learns runs the classifier as Keras would. A still pass leaves no trace: it
moves no statistics, and draws the dropout of the pass that learns.
"""

import keras
import tensorflow as tf
from keras import ops

from keras_xcons.explainers import Explained
from keras_xcons.methods.sample_table import sum_over_replicas


def logits_pass(view, images, training=False):
    """One forward pass without heatmaps.

    Args:
        view: `ClassifierView`.
        images: Float tensor `(B, H, W, channels)` in 0..255.
        training: Whether the classifier runs in training mode.

    Returns:
        `keras_xcons.explainers.Explained` whose `maps` are `None`.
    """
    _, logits, outputs = view(images, training=training)
    return Explained(None, logits, outputs)


def random_states(model):
    """The states of a model's random number generators, as they are now.

    Args:
        model: A `keras.Model`.

    Returns:
        List of `(variable, value)`, for `keras.StatelessScope`.
    """
    weights = {id(weight) for weight in model.weights}
    # Variables that are no weights: the seeds of dropout and its like.
    seeds = [v for v in model.non_trainable_variables if id(v) not in weights]
    return [(seed, seed.value * 1) for seed in seeds]


def has_weight(sample_weight, weights):
    """Which samples the caller's and the method's weights leave in the loss.

    Args:
        sample_weight: The caller's weights, `(B,)` or `(B, 1)`, or `None`.
        weights: The method's weights, float tensor `(B,)`.

    Returns:
        Boolean tensor `(B,)`.
    """
    weighs = weights != 0.0
    if sample_weight is not None:
        rows = ops.reshape(sample_weight, (ops.shape(weights)[0], -1))
        weighs = ops.logical_and(weighs, ops.any(rows != 0, axis=1))
    return weighs


def mean_of_known(values):
    """The share of a loss term that a replica adds: the mean over all replicas.

    Args:
        values: Float tensor `(B,)`, NaN where there is none. Those are left out, and
            have gradient 0.

    Returns:
        Scalar; 0 where nothing is known.
    """
    known = ops.isfinite(values)
    count = sum_over_replicas(ops.sum(ops.cast(known, "float32")))
    return ops.sum(ops.where(known, values, 0.0)) / ops.maximum(count, 1.0)


def known(values, *conditions):
    """Float32 values `(B,)`, NaN where any of the boolean conditions `(B,)` fails."""
    values = ops.cast(values, "float32")
    for condition in conditions:
        values = ops.where(condition, values, float("nan"))
    return values


def without_nan(gradient):
    """Zero where a scaled loss overflowed: one NaN would spoil all that follows."""
    return ops.where(ops.isnan(gradient), ops.zeros_like(gradient), gradient)


def when(condition, do, otherwise):
    """What one of two functions returns.

    Args:
        condition: Boolean scalar tensor, or `None` for `do` without a question.
        do: Function without arguments.
        otherwise: Function without arguments that returns the same structure.

    Returns:
        What that returned.
    """
    return do() if condition is None else tf.cond(condition, do, otherwise)


class MeanOfKnown(keras.metrics.Mean):
    """The mean of the values that are numbers; NaN where there is none.

    Args:
        name: Name of the metric.
    """

    def update_state(self, values, sample_weight=None):
        known = ops.isfinite(values)
        counts = ops.cast(known, "float32")
        if sample_weight is not None:
            # Of a column of weights, too.
            given = ops.reshape(ops.cast(sample_weight, "float32"), ops.shape(counts))
            counts = counts * given
        super().update_state(ops.where(known, values, 0.0), sample_weight=counts)

    def result(self):
        count = ops.convert_to_tensor(self.count)
        return ops.where(count > 0.0, super().result(), float("nan"))


def replicas():
    """The number of replicas that a step is spread over."""
    return tf.distribute.get_strategy().num_replicas_in_sync
