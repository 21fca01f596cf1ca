"""The parts of a training step: targets, consistency, weights.

Functions of tensors and options; what they do to a model leaves no trace in it.
"""

import keras
import tensorflow as tf
from keras import ops

from keras_xcons import consistency
from keras_xcons.explainers import explained_pass
from keras_xcons.training.sample_table import mean_over_replicas, sum_over_replicas


def random_states(model):
    """The states of a model's random number generators, as they are now.

    Args:
        model: A `keras.Model`.

    Returns:
        List of `(variable, value)`, for `still_pass`.
    """
    weights = {id(weight) for weight in model.weights}
    # Variables that are no weights: the seeds of dropout and its like.
    seeds = [v for v in model.non_trainable_variables if id(v) not in weights]
    return [(seed, seed.value * 1) for seed in seeds]


def still_pass(view, images, classes, training, states):
    """One explained forward pass that updates no variable.

    Moving statistics of batch normalisation stay as they are, and with the states
    from before another pass, dropout draws the same mask as it did there.

    Args:
        view: `ClassifierView`.
        images: Float tensor `(B, H, W, channels)` in 0..255.
        classes: Integer tensor `(B, P)`.
        training: Whether the classifier runs in training mode.
        states: What `random_states` returned.

    Returns:
        `Explained(maps, logits, outputs)`.
    """
    with keras.StatelessScope(state_mapping=states):
        return explained_pass(view, images, classes, training)


def consistency_of(clean, other, targets, options):
    """E of a batch, `(B,)` float32 in 0..1, from a clean and an attacked pass.

    NaN for an image without a class or a map, of which nothing can be said.
    """
    value = consistency.explanation_consistency(
        clean.maps, other.maps, targets.valid, options.measure
    )
    if options.agreement is None:
        return value
    agreement = consistency.prediction_agreement(
        clean.logits, other.logits, options.agreement, options.multi_label
    )
    known = ops.isfinite(value)
    # Not NaN times the agreement, whose gradient would be NaN as well.
    return ops.where(known, ops.where(known, value, 0.0) * agreement, float("nan"))


def known(values, *conditions):
    """Float32 values `(B,)`, NaN where any of the boolean conditions `(B,)` fails."""
    values = ops.cast(values, "float32")
    for condition in conditions:
        values = ops.where(condition, values, float("nan"))
    return values


def lost_consistency(survival):
    """The share of a loss term that a replica adds: the mean of `1 - E` over all.

    Args:
        survival: E of the replica's samples, float tensor `(B,)`, NaN where it is
            missing. Those are left out, and have gradient 0.

    Returns:
        Scalar.
    """
    known = ops.isfinite(survival)
    count = sum_over_replicas(ops.sum(ops.cast(known, "float32")))
    lost = ops.sum(ops.where(known, 1.0 - survival, 0.0))
    return lost / ops.maximum(count, 1.0)


class MeanOfKnown(keras.metrics.Mean):
    """The mean of the values that are numbers; NaN where there is none.

    Args:
        name: Name of the metric.
    """

    def update_state(self, values, sample_weight=None):
        known = ops.isfinite(values)
        counts = ops.cast(known, "float32")
        if sample_weight is not None:
            counts = counts * ops.cast(sample_weight, "float32")
        super().update_state(ops.where(known, values, 0.0), sample_weight=counts)

    def result(self):
        count = ops.convert_to_tensor(self.count)
        return ops.where(count > 0.0, super().result(), float("nan"))


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


def batch_weights(values, warm, seed, options):
    """The weights of a batch, by the options' scale and control.

    Args:
        values: Float tensor `(B,)`, `1 - E` or what a control puts in its place; NaN
            where nothing is known of a sample, which then has a neutral weight.
        warm: Boolean tensor, whether training is still warming up.
        seed: Int32 tensor `(2,)` to shuffle with.
        options: `XConsOptions`.

    Returns:
        Float32 tensor `(B,)`.
    """
    if options.control in ("uniform", "adversarial"):
        return ops.ones_like(values)
    if options.control == "shuffled":
        values = _shuffled(values, seed)
    weights = consistency.sample_weights(
        values, options.weight_scale, options.weight_floor, mean_over_replicas
    )
    return ops.where(warm, ops.ones_like(weights), weights)


def _shuffled(values, seed):
    """The known values in another order; what is missing stays where it is."""
    missing = ops.cast(ops.logical_not(ops.isfinite(values)), "float32")
    noise = tf.random.stateless_uniform(ops.shape(values), seed)
    # Both begin with the places of the known values.
    count = ops.cast(ops.shape(values)[0], "float32")
    takers = ops.argsort(missing * count + ops.cumsum(ops.ones_like(values)))
    givers = ops.argsort(2.0 * missing + noise)
    return ops.take(ops.take(values, givers), ops.argsort(takers))
