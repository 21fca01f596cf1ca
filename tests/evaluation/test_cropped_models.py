"""A model that crops its images is measured where the object is in them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_xcons as kx


@pytest.fixture(scope="module")
def model():
    """Sees the middle of the image, and takes brightness for evidence."""
    inputs = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 255)(layers.CenterCrop(16, 16)(inputs))
    x = layers.Conv2D(1, 1, kernel_initializer="ones", activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(2, kernel_initializer="ones")(x))


@pytest.fixture(scope="module")
def data():
    """A bright object in the corner of what the model sees."""
    images = np.full((4, 32, 32, 3), 20.0, "float32")
    images[:, 8:14, 8:14] = 255.0
    masks = np.zeros((4, 32, 32, 1), "uint8")
    masks[:, 8:14, 8:14] = 1
    return tf.data.Dataset.from_tensor_slices((images, [0, 1] * 2, masks)).batch(4)


@pytest.mark.parametrize("explainer", ["gradcam++", "gradcam", "saliency"])
def test_localisation(model, data, explainer):
    report = kx.evaluate(model, data, "localisation", explainer=explainer, gallery=2)
    (found,) = report.to_dict()["figures"].values()
    assert found["pointing_game"]["value"] == 1.0
    (view,) = report.samples[0].views.values()
    heatmap = np.asarray(view.heatmap)
    assert heatmap.shape == (32, 32)
    assert heatmap[:8].max() == 0.0 < heatmap[8:24, 8:24].max()
    # Gradients are the same everywhere that this model sees.
    assert explainer == "saliency" or found["energy_pointing_game"]["value"] > 0.6
