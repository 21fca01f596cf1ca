"""Compiles what is asked of a model whose weights stay as they are."""

import keras
import tensorflow as tf

from keras_xcons.models.compiling import compiled

# Each function that is compiled holds a copy of the weights: of small models only.
_LARGEST = 64 * 2**20


def frozen(function, model, signature):
    """Compiles a function of images with a model's weights as constants.

    TensorFlow then folds batch normalisation into the convolutions before it, which
    saves a third of a forward pass of MobileNetV2. Weights of more than 64 MB stay
    variables, as every compiled function would hold a copy.

    Args:
        function: Function of tensors that calls `model` in inference.
        model: Built `keras.Model`. What becomes of its weights later is not seen.
        signature: `tf.TensorSpec` of each argument of the function.

    Returns:
        A concrete function.

    Example:

    >>> images = tf.TensorSpec((None, 64, 64, 3), tf.float32)
    >>> logits = frozen(lambda x: model(x, training=False), model, [images])
    """
    weights = [(weight, weight.numpy()) for weight in model.weights]
    size = sum(value.nbytes for _, value in weights)

    def constant(*arguments):
        values = [(weight, tf.constant(value)) for weight, value in weights]
        with keras.StatelessScope(values):
            return function(*arguments)

    return compiled(constant if size <= _LARGEST else function, signature)
