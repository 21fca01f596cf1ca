import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_xcons import models
from keras_xcons.evaluation import frozen as module
from keras_xcons.evaluation.frozen import frozen

IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype("float32")
SIGNATURE = [tf.TensorSpec((None, 32, 32, 3), tf.float32)]


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return models.create("small_cnn", 4, (32, 32))


def compiled(model):
    return frozen(lambda images: model(images, training=False), model, SIGNATURE)


def test_a_frozen_model_answers_as_the_model_does(model):
    function = compiled(model)
    np.testing.assert_allclose(
        function(tf.constant(IMAGES)), model(IMAGES), rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(
        function(tf.constant(IMAGES[:1])), model(IMAGES[:1]), atol=1e-4
    )


def test_small_models_have_their_weights_in_the_graph(model, monkeypatch):
    assert compiled(model).graph.variables == ()
    monkeypatch.setattr(module, "_LARGEST", 1000)
    large = compiled(model)
    assert len(large.graph.variables) > 0
    np.testing.assert_allclose(large(tf.constant(IMAGES)), model(IMAGES), atol=1e-4)
