"""Logits: read before the final activation, and of one output made two."""

import keras
from keras import ops


class Logits(keras.layers.Layer):
    """The linear part of a `Dense` layer, sharing its weights.

    A classifier that ends in `Dense(activation="softmax")` has no tensor that
    holds its logits. This layer computes what that layer does, in its dtype and with
    its quantized or low-rank kernel if it has one, before its activation.

    Args:
        dense: A built `keras.layers.Dense`. Its activation is left out.

    Call arguments:
        inputs: Float tensor `(..., K)`.
    """

    def __init__(self, dense):
        # The policy of the layer, without its quantization, which is in its `call`.
        mixed = dense.compute_dtype != dense.variable_dtype
        policy = f"mixed_{dense.compute_dtype}" if mixed else dense.compute_dtype
        # Beside the layer it reads, in one model, it needs a name of its own.
        super().__init__(dtype=policy, name=f"{dense.name}__linear")
        self.dense = dense

    def call(self, inputs):
        # The layer itself is not to be changed, not even for a moment; what shares
        # all that it has, at this moment, computes what it computes.
        linear = object.__new__(type(self.dense))
        vars(linear).update(vars(self.dense), activation=None)
        call = linear.quantized_call if linear.quantization_mode else linear.call
        return call(inputs)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.dense.units)


@keras.saving.register_keras_serializable("keras_xcons")
class BinaryLogits(keras.layers.Layer):
    """The logits (0, z) of the two classes that one logit z tells apart.

    Their softmax is what the sigmoid makes of z: class 1 has the probability
    `sigmoid(z)`, class 0 the rest.

    Args:
        **kwargs: `keras.layers.Layer` arguments.

    Call arguments:
        inputs: Float tensor `(B, 1)`.
    """

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "autocast": False})

    def call(self, inputs):
        return ops.concatenate([ops.zeros_like(inputs), inputs], axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 2)


def class_scores(logits, classes, binary=False):
    """The scores that explain classes.

    Args:
        logits: Float tensor `(B, C)`.
        classes: Integer tensor `(B, P)`.
        binary: Whether the logits are (0, z), of a model with one output. A class is
            then explained by its logit less that of the other: z for class 1, -z for
            class 0, whose own logit depends on nothing. Defaults to `False`.

    Returns:
        Float tensor `(B, P)`.

    Example:

    >>> class_scores(np.array([[0.0, 3.0]]), np.array([[0, 1]]), binary=True)
    array([[-3.,  3.]])
    """
    scores = ops.take_along_axis(logits, classes, axis=1)
    if binary:
        scores = scores - ops.take_along_axis(logits, 1 - classes, axis=1)
    return scores


def class_columns(kernel):
    """The weights of the score that explains each class, see `class_scores`.

    Args:
        kernel: Kernel of a last layer, float tensor `(K, C)`, or `(K, 1)` of a model
            with one output.

    Returns:
        Float tensor `(K, C)`; for one output `(K, 2)`, the kernel negated and as it is.
    """
    if kernel.shape[-1] == 1:
        return ops.concatenate([-kernel, kernel], axis=-1)
    return kernel
