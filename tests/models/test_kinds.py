"""A closed form, and logits under an activation, only where they are sure to hold."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from keras_xcons.explainers import explain
from keras_xcons.models import split
from keras_xcons.models.kinds import activation_of, exactly, is_activation

IMAGES = np.random.default_rng(0).uniform(0, 255, (4, 12, 12, 3)).astype("float32")
LABELS = [0, 1, 2, 0]


class GeM(layers.GlobalAveragePooling2D):
    def call(self, inputs):
        return ops.mean(inputs**3 + 1e-3, axis=(1, 2)) ** (1 / 3)


class Cosine(layers.Dense):
    def call(self, inputs):
        kernel = ops.convert_to_tensor(self.kernel)
        return 5.0 * ops.matmul(ops.normalize(inputs), ops.normalize(kernel, axis=0))


class TwiceTheKernel(layers.Dense):
    @property
    def kernel(self):
        return super().kernel * ops.square(super().kernel)


class Plain(layers.Dense):
    """Only made in another way."""

    def __init__(self, units=3, **kwargs):
        super().__init__(units, **kwargs)


class Squaring(layers.Dropout):
    def call(self, inputs, training=None):
        return inputs**2


class Doubling(layers.Identity):
    def __call__(self, inputs, **kwargs):
        return super().__call__(inputs * inputs, **kwargs)


def replaced(layer):
    """A layer whose instance has another `call`."""
    call = layer.call
    layer.call = lambda inputs, **kwargs: call(inputs**2, **kwargs)
    return layer


POOLING = layers.GlobalAveragePooling2D
NOT_CLOSED = {
    "pooling": lambda: [GeM(), layers.Dense(3)],
    "cosine": lambda: [POOLING(), Cosine(3)],
    "kernel": lambda: [POOLING(), TwiceTheKernel(3)],
    "dropout": lambda: [POOLING(), Squaring(0.5), layers.Dense(3)],
    "replaced dense": lambda: [POOLING(), replaced(layers.Dense(3))],
    "replaced pooling": lambda: [replaced(POOLING()), layers.Dense(3)],
    "spectral": lambda: [POOLING(), layers.SpectralNormalization(layers.Dense(3))],
    "activation layer": lambda: [
        POOLING(),
        layers.Dense(3, activation=layers.LeakyReLU(0.1)),
    ],
    "partial": lambda: [
        POOLING(),
        layers.Dense(3, activation=functools.partial(ops.leaky_relu, negative_slope=2)),
    ],
    "named linear": lambda: [POOLING(), layers.Dense(3, activation=linear)],
}
CLOSED = {
    "subclass": lambda: [POOLING(), Plain()],
    "keepdims": lambda: [POOLING(keepdims=True), layers.Flatten(), layers.Dense(3)],
    "constraint": lambda: [
        POOLING(),
        layers.Dense(3, kernel_constraint="max_norm", kernel_regularizer="l2"),
    ],
    "lora": lambda: [POOLING(), layers.Dense(3, lora_rank=2)],
}


def linear(scores):
    """No linear activation, for all its name."""
    return scores**3


def reference(features, head, labels):
    """Grad-CAM++ by its formula in float64, of gradients from a tape."""
    x = features = tf.constant(features)
    with tf.GradientTape() as tape:
        tape.watch(features)
        for layer in head:
            x = layer(x)
        score = tf.gather(x, labels, batch_dims=1)
    a = np.asarray(features, "float64")
    g = np.asarray(tape.gradient(score, features), "float64")
    g = g / np.abs(x).max(axis=1)[:, None, None, None]
    denominator = 2 * g**2 + a.sum((1, 2), keepdims=True) * g**3
    alpha = np.where(denominator == 0, 0, g**2 / np.where(denominator, denominator, 1))
    weights = (alpha * np.maximum(g, 0)).sum((1, 2), keepdims=True)
    maps = np.maximum((weights * a).sum(-1), 0)
    return maps / maps.max((1, 2), keepdims=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", [*NOT_CLOSED, *CLOSED])
def test_maps_are_those_of_the_head_as_it_computes(kind, dtype):
    keras.utils.set_random_seed(2)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        inputs = keras.Input((12, 12, 3))
        x = layers.Rescaling(1 / 255)(inputs)
        x = features = layers.Conv2D(6, 3, strides=2, activation="relu")(x)
        head = (NOT_CLOSED | CLOSED)[kind]()
        for layer in head:
            x = layer(x)
    finally:
        keras.config.set_dtype_policy(before)
    if kind == "lora":
        head[-1].lora_kernel_b.assign(np.ones((2, 3)))
    model = keras.Model(inputs, x)
    view = split(model)
    assert view.closed_form == (kind in CLOSED)
    maps = explain(view, IMAGES, LABELS, resize=False)
    a = keras.Model(inputs, features)(IMAGES)
    np.testing.assert_allclose(maps, reference(a, head, LABELS), atol=2e-5)


class Bounded(layers.Dense):
    def call(self, inputs):
        return ops.softmax(super().call(inputs))


class Weighted(layers.Dense):
    """Calls the softmax of its parent, on other scores."""

    def call(self, inputs):
        return super().call(2.0 * inputs)


class Custom(layers.Layer):
    def call(self, inputs):
        return ops.sigmoid(inputs[:, :3])


class Head(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3, activation="softmax")

    def call(self, inputs):
        return self.dense(ops.mean(inputs, axis=(1, 2)))


ENDINGS = {
    "Bounded": lambda: [Bounded(3)],
    "Weighted": lambda: [Weighted(3, activation="softmax")],
    "Custom": lambda: [Custom()],
    "Lambda": lambda: [layers.Dense(3), layers.Lambda(lambda x: ops.softmax(3 * x))],
    "Activation": lambda: [
        layers.Dense(3),
        layers.Activation(lambda x: tf.sigmoid(-x)),
    ],
    "SpectralNormalization": lambda: [
        layers.SpectralNormalization(layers.Dense(3, activation="softmax"))
    ],
}


@pytest.mark.parametrize("name", ENDINGS)
def test_a_bounded_ending_in_another_layer_is_refused_by_name(name):
    inputs = keras.Input((12, 12, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(inputs))
    for layer in ENDINGS[name]():
        x = layer(x)
    with pytest.raises(ValueError, match=f"ends in {name} .*logits cannot be read"):
        split(keras.Model(inputs, x))


def test_a_bounded_ending_of_a_subclassed_head_is_refused():
    with pytest.raises(ValueError, match="ends in Head .* softmax, whose logits"):
        split((layers.Conv2D(4, 3), Head()), input_shape=(12, 12, 3))


@pytest.mark.parametrize(
    "function",
    [tf.nn.softmax, layers.Softmax(), ops.softmax, tf.sigmoid, tf.nn.log_softmax],
)
def test_bounded_activations_are_known_by_what_they_compute(function):
    inputs = keras.Input((12, 12, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(inputs))
    dense = layers.Dense(3, activation=function)
    for ending in ([dense], [layers.Dense(3), layers.Activation(function)]):
        y = x
        for layer in ending:
            y = layer(y)
        view = split(keras.Model(inputs, y))
        _, logits, outputs = view(IMAGES)
        np.testing.assert_allclose(function(logits), outputs, atol=1e-6)
        assert view.closed_form


def test_names_what_it_knows():
    dense = layers.Dense(3, activation="softmax")
    assert exactly(dense, layers.Dense)
    assert exactly(Plain(), layers.Dense)
    assert not exactly(Cosine(3), layers.Dense)
    assert not exactly(Doubling(), layers.Identity)
    assert not exactly(replaced(layers.Dense(3)), layers.Dense)
    assert activation_of(dense) == "softmax"
    assert activation_of(layers.Flatten()) == "linear"
    assert activation_of(layers.Dense(3, activation="relu")) is None
    assert is_activation(layers.Softmax(), ("softmax",))
    assert not is_activation(layers.Softmax(axis=0), ("softmax",))
    assert not is_activation(dense, ("softmax",))
