"""Reads a Dense layer before its final activation."""

import keras
from keras import ops


class Logits(keras.layers.Layer):
    """The linear part of a `Dense` layer, sharing its weights.

    A classifier that ends in `Dense(activation="softmax")` has no tensor that
    holds its logits. This layer computes them from the same kernel and bias,
    in the dtype of the layer it reads.

    Args:
        dense: A built `keras.layers.Dense`. Its activation is left out.

    Call arguments:
        inputs: Float tensor `(..., K)`.
    """

    def __init__(self, dense):
        # Beside the layer it reads, in one model, it needs a name of its own.
        super().__init__(dtype=dense.dtype_policy, name=f"{dense.name}__linear")
        self.dense = dense

    def call(self, inputs):
        logits = ops.matmul(inputs, self.dense.kernel)
        return ops.add(logits, self.dense.bias) if self.dense.use_bias else logits

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.dense.units)
