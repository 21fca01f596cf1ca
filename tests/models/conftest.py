"""What the tests of models share."""

import functools

import keras
import numpy as np
import pytest

from keras_xcons import models


@pytest.fixture(scope="session")
def random_images():
    """`random_images(size)`: two uint8 images of noise."""

    def make(size):
        rng = np.random.default_rng(0)
        return rng.integers(0, 256, (2, size, size, 3)).astype("uint8")

    return make


@pytest.fixture(scope="module")
def built():
    """`built(name, 64)`: an architecture for 5 classes, made once and not changed."""

    @functools.cache
    def build(architecture, size):
        keras.utils.set_random_seed(0)
        return models.create(architecture, num_classes=5, input_size=size)

    return build


@pytest.fixture(scope="session")
def outputs():
    """`outputs(model, "features", images)`: what a layer of a model returns."""

    def run(model, name, images):
        part = keras.Model(model.input, model.get_layer(name).output)
        return keras.ops.convert_to_numpy(part(images))

    return run


@pytest.fixture
def bfloat16():
    """The dtype policy mixed_bfloat16 while a test runs."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)
