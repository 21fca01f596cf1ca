"""The consistency of a batch, and the weights made of it."""

import tensorflow as tf
from keras import ops

from keras_xcons import consistency
from keras_xcons.methods.sample_table import mean_over_replicas


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


def batch_weights(values, warm, seed, options):
    """The weights of a batch, by the options' source and scale.

    Args:
        values: Float tensor `(B,)`, `1 - E` or the loss; NaN where nothing is known of
            a sample, which then has a neutral weight.
        warm: Boolean tensor, whether training is still warming up.
        seed: Int32 tensor `(2,)` to shuffle with.
        options: `XConsOptions`.

    Returns:
        Float32 tensor `(B,)`.
    """
    if options.sample_weights == "uniform":
        return ops.ones_like(values)
    if options.sample_weights == "shuffled":
        values = _shuffled(values, seed)
    weights = consistency.sample_weights(
        *(values, options.weight_scale, options.weight_floor, mean_over_replicas),
        effective_share=options.effective_share,
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
