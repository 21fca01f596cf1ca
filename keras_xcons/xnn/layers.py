"""The layers of XNN: one small network a class, all of them in one."""

import zlib

import keras
import numpy as np
from keras import ops

from keras_xcons import checks


def fingerprint_of(model, classes):
    """Four numbers that tell the weights of a model, and which classes are explained.

    Of the weights as float16, in which they are published, and small enough to be
    published so themselves.

    Args:
        model: `keras.Model`.
        classes: List of ints, in order.

    Returns:
        Float32 array `(4,)`, whole numbers in 0..255.

    Example:

    >>> fingerprint_of(model, [0, 3]).shape
    (4,)
    """
    found = zlib.crc32(np.asarray(classes, "int64").tobytes())
    for weights in model.get_weights():
        half = np.asarray(weights, "float16")
        found = zlib.crc32(np.ascontiguousarray(half).tobytes(), found)
    return np.frombuffer(found.to_bytes(4, "little"), "uint8").astype("float32")


def class_products(inputs, kernel):
    """The products of inputs with the kernel of each class.

    Args:
        inputs: Float tensor `(B, K)`, the same for all classes, or `(B, C, K)`.
        kernel: Float tensor `(C, K, U)`.

    Returns:
        Float tensor `(B, C, U)`.
    """
    # Not `einsum`, which turns the kernel around in each step: it is what is large.
    if len(inputs.shape) == 2:
        rows = ops.expand_dims(inputs, 0)
    else:
        rows = ops.transpose(inputs, (1, 0, 2))
    return ops.transpose(ops.matmul(rows, kernel), (1, 0, 2))


@keras.saving.register_keras_serializable("keras_xcons")
class ClassDense(keras.layers.Layer):
    """A `Dense` layer of its own for each class, all computed at once.

    Args:
        classes: Number of classes C.
        units: Number of outputs a class.
        activation: As for `keras.layers.Dense`. Defaults to `None`.
        **kwargs: `keras.layers.Layer` arguments.

    Attributes:
        limit: Largest magnitude of the weights that are drawn, once it is built: that
            of Glorot and Bengio for one class, however many there are.

    Call arguments:
        inputs: Float tensor `(B, K)`, the same for all classes, or `(B, C, K)`.

    Returns, when called:
        Float tensor `(B, C, units)`.

    Example:

    >>> ClassDense(3, 8, "relu")(np.ones((2, 16))).shape
    TensorShape([2, 3, 8])
    """

    def __init__(self, classes, units, activation=None, **kwargs):
        super().__init__(**kwargs)
        self.classes, self.units = classes, units
        self.activation = keras.activations.get(activation)

    def build(self, input_shape):
        width = input_shape[-1]
        self.limit = limit = float(np.sqrt(6.0 / (width + self.units)))
        self.kernel = self.add_weight(
            shape=(self.classes, width, self.units),
            initializer=keras.initializers.RandomUniform(-limit, limit),
            name="kernel",
        )
        self.bias = self.add_weight(
            shape=(self.classes, self.units), initializer="zeros", name="bias"
        )
        self.built = True

    def call(self, inputs):
        return self.activation(class_products(inputs, self.kernel) + self.bias)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.classes, self.units)

    def get_config(self):
        return {
            **super().get_config(),
            "classes": self.classes,
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
        }


@keras.saving.register_keras_serializable("keras_xcons")
class ExplanationNetworks(keras.layers.Layer):
    """The explanation networks of a classifier, carried in front of it.

    Images pass as they are. What the layer has of its own are the encoders E of each
    class, from the features Z of an image, the mean of the feature map over all
    places, to a few x-features, and the weights w and bias b that make the class's
    score of them: `ŷ = w · E(Z) + b`.

    Args:
        classes: List of ints, the classes that have a network.
        width: Number of features D.
        num_features: Number of x-features n of a class. Defaults to 5.
        hidden: List of the widths of the encoder's hidden layers. Defaults to
            `(100, 30)`.
        **kwargs: `keras.layers.Layer` arguments.

    Attributes:
        encoder: List of the `ClassDense` layers of E.
        output_layer: The `ClassDense` of w and b.
        fingerprint: Float32 variable `(4,)` that tells the weights of the classifier
            that the networks were fitted to, see `fingerprint_of`; 0 before.

    Call arguments:
        images: Tensor, returned as it is.

    Example:

    >>> networks = ExplanationNetworks([0, 3], width=64)
    >>> networks.x_features(np.ones((2, 64))).shape
    TensorShape([2, 2, 5])

    Reference:
        [Qi et al., 2017](https://arxiv.org/abs/1709.05360)
    """

    def __init__(self, classes, width, num_features=5, hidden=(100, 30), **kwargs):
        kwargs["dtype"] = "float32"
        super().__init__(**{"autocast": False, **kwargs})
        checks.positive_int("width", width)
        checks.positive_int("num_features", num_features)
        self.classes = [int(each) for each in classes]
        self.width, self.num_features = width, num_features
        self.hidden = [int(each) for each in hidden]
        count, units = len(self.classes), [*self.hidden, num_features]
        self.encoder = [
            ClassDense(count, each, "relu", dtype="float32", name=f"encoder_{number}")
            for number, each in enumerate(units)
        ]
        self.output_layer = ClassDense(count, 1, dtype="float32", name="score")
        for layer, each in zip(
            [*self.encoder, self.output_layer], [width, *units], strict=True
        ):
            layer.build((None, count, each))
        self.fingerprint = self.add_weight(
            shape=(4,), initializer="zeros", trainable=False, name="fingerprint"
        )
        self.built = True

    def x_features(self, features):
        """The x-features of images.

        Args:
            features: Float tensor `(B, D)`.

        Returns:
            Float32 tensor `(B, C, n)`, not negative.
        """
        found = ops.cast(features, "float32")
        for layer in self.encoder:
            found = layer(found)
        return found

    def contributions(self, x_features):
        """What x-features contribute to the scores.

        Args:
            x_features: Float32 tensor `(B, C, n)`.

        Returns:
            Float32 tensor `(B, C, n)`; their sum and the bias are the score.
        """
        return x_features * self.output_layer.kernel[:, :, 0]

    def scores(self, x_features):
        """The scores that the networks give.

        Args:
            x_features: Float32 tensor `(B, C, n)`.

        Returns:
            Float32 tensor `(B, C)`.
        """
        return self.output_layer(x_features)[:, :, 0]

    def call(self, images):
        return images

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "classes": self.classes,
            "width": self.width,
            "num_features": self.num_features,
            "hidden": self.hidden,
        }
