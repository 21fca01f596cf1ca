"""A tiny classifier of the shapes set, and little data."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_xcons import data

SIZE = 32


@pytest.fixture(scope="session")
def shapes():
    """`shapes(count, annotations=True)`: batches of 10 drawn images."""
    found = {}

    def load(count, annotations=True):
        key = count, annotations
        if key not in found:
            found[key] = data.load(
                "shapes",
                "train",
                image_size=SIZE,
                batch_size=10,
                annotations=annotations,
                num_samples=count,
            )
        return found[key]

    return load


@pytest.fixture(scope="session")
def arrays(shapes):
    """Images, labels and masks of 20 shapes."""
    parts = zip(*shapes(20), strict=True)
    return tuple(np.concatenate([part.numpy() for part in each]) for each in parts)


@pytest.fixture
def build():
    """`build(nested=False, policy="float32")`: a compiled classifier with dropout."""

    def build(nested=False, policy="float32", compiled=True):
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy)
        try:
            keras.utils.set_random_seed(5)
            model = _classifier(nested)
        finally:
            keras.config.set_dtype_policy(before)
        if compiled:
            model.compile("adam", loss(), metrics=["accuracy"])
        return model

    return build


def loss():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _classifier(nested):
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1, dtype="float32")(inputs)
    x = layers.Conv2D(4, 3, 2, activation="relu", name="stem")(x)
    x = layers.Conv2D(8, 3, activation="relu", name="features")(x)
    if nested:
        x = keras.Model(inputs, x, name="body")(inputs)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(10)(layers.Dropout(0.2)(x))
    return keras.Model(inputs, layers.Activation("linear", dtype="float32")(x))


@pytest.fixture
def events():
    """`events(folder)`: `{tag: {step: value}}` of all event files in a folder."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def read(folder):
        found = EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()
        return {
            tag: {
                event.step: tf.make_ndarray(event.tensor_proto)
                for event in found.Tensors(tag)
            }
            for tag in found.Tags()["tensors"]
        }

    return read
