import keras
import numpy as np
import pytest
from keras import layers


@pytest.fixture(scope="session")
def images():
    random = np.random.default_rng(0)
    return random.integers(0, 256, (4, 24, 24, 3)).astype("uint8")


@pytest.fixture(scope="session")
def build():
    """A function that builds a classifier of three classes with fixed weights."""
    return _build


def _build(
    dtype="float32",
    pooling=layers.GlobalAveragePooling2D,
    activation=None,
    nested=True,
    positive=True,
):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        keras.utils.set_random_seed(0)
        body = _body()
        inputs = keras.Input((24, 24, 3))
        x = body(inputs) if nested else body.call(inputs)
        # Nested, the last layer has the name of one in the body.
        scores = layers.Dense(
            3, activation=activation, name="conv" if nested else "scores"
        )
        outputs = scores(pooling()(x))
        outputs = layers.Activation("linear", dtype="float32")(outputs)
    finally:
        keras.config.set_dtype_policy(before)
    if positive:
        # Every score grows with every feature, so that no heatmap is empty.
        scores.kernel.assign(np.abs(scores.kernel) + 0.01)
    return keras.Model(inputs, outputs)


def _body():
    inputs = keras.Input((24, 24, 3))
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(6, 3, strides=2, activation="relu", name="conv")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Conv2D(8, 3, activation="relu", name="features")(x)
    return keras.Model(inputs, x, name="body")
