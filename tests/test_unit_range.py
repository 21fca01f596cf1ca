"""Images in 0..1 for models that take 0..255 give a warning wherever they come in."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_xcons as kx
from keras_xcons import checks

WORDS = "within 0..1, and models take images in 0..255: multiply them by 255"
LABELS = np.arange(4) % 2


@pytest.fixture(scope="module")
def classifier():
    images = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(images))
    return keras.Model(images, keras.layers.Dense(2)(x))


@pytest.fixture(autouse=True)
def untold(monkeypatch):
    """What other tests have met is not known here."""
    monkeypatch.setattr(checks, "_told", set())


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(0, 1, (4, 8, 8, 3)).astype("float32")


def batches(images):
    return tf.data.Dataset.from_tensor_slices((images, LABELS)).batch(2)


def fit(model, x, y=None):
    trainer = kx.XConsModel(model)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trainer.compile("sgd", loss, run_eagerly=True)
    trainer.fit(x, y, batch_size=None if y is None else 2, shuffle=False, verbose=0)


ENTRANCES = {
    "explain": lambda model, images: kx.explain(model, images),
    "evaluate": lambda model, images: kx.evaluate(
        model, batches(images), "accuracy", verbose=0
    ),
    "fit of arrays": lambda model, images: fit(model, images, LABELS),
    "fit of a data set": lambda model, images: fit(model, batches(images)),
}


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_images_in_0_to_1_give_one_warning(entrance, classifier, images):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("default")
        for _ in range(2):
            ENTRANCES[entrance](classifier, images)
    assert [WORDS in str(one.message) for one in told] == [True]


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_images_in_0_to_255_give_none(entrance, classifier, images):
    ENTRANCES[entrance](classifier, np.round(images * 255))


@pytest.mark.parametrize(
    "values, warns",
    [
        ([0.0, 0.0], False),
        ([0.0, 1.0], False),
        ([1.0, 1.0], False),
        ([0.5, 1.5], False),
        ([0.0, 0.5], True),
        ([0.25, 1.0], True),
    ],
)
def test_a_black_image_is_no_image_in_0_to_1(values, warns):
    images = np.array(values, "float32").reshape(1, 1, 2, 1)
    if warns:
        with pytest.warns(UserWarning, match=WORDS):
            checks.image_batch(images)
    else:
        checks.image_batch(images)
