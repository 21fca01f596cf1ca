"""Training models of classifiers that Keras cannot save or load as they are."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from keras_xcons import XConsModel
from keras_xcons.models import split

IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype("float32")


class Head(keras.Model):
    def __init__(self, classes=3, **kwargs):
        super().__init__(**kwargs)
        self.scores = [layers.Dense(classes)]

    def call(self, inputs):
        return self.scores[0](ops.mean(inputs, axis=(1, 2)))


class Silent(keras.Model):
    """Does not tell how it was made."""

    def __init__(self, scores, **kwargs):
        super().__init__(**kwargs)
        self.scores = scores

    def call(self, inputs):
        return self.scores(ops.mean(inputs, axis=(1, 2)))


def trainer(head):
    pair = layers.Conv2D(4, 3), head
    model = XConsModel(split(pair, input_shape=(8, 8, 3)))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def test_a_pair_whose_head_does_not_tell_how_it_was_made(tmp_path):
    model = trainer(Silent(layers.Dense(3)))
    with pytest.raises(ValueError, match="as Silent .*`get_config`.*weights alone"):
        model.save(tmp_path / "trainer.keras")
    model.save_weights(tmp_path / "trainer.weights.h5")
    other = trainer(Silent(layers.Dense(3)))
    other.load_weights(tmp_path / "trainer.weights.h5")
    np.testing.assert_array_equal(other(IMAGES), model(IMAGES))


class Unknown(Head):
    """Never registered."""

    def get_config(self):
        return keras.Model.get_config(self)


def test_a_pair_whose_head_keras_does_not_know(tmp_path):
    model = trainer(Unknown())
    model.save(tmp_path / "trainer.keras")
    with pytest.raises(ValueError) as error:
        keras.saving.load_model(tmp_path / "trainer.keras")
    message = str(error.value)
    assert "holds a Unknown" in message and "register_keras_serializable" in message
    assert "\n" not in message
    known = {"Unknown": Unknown}
    loaded = keras.saving.load_model(tmp_path / "trainer.keras", custom_objects=known)
    np.testing.assert_allclose(loaded(IMAGES), model(IMAGES), rtol=1e-6)


def test_keeps_the_grid_of_tokens(tmp_path):
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 2, strides=(4, 2))(inputs)
    x = layers.Permute((2, 1))(layers.Permute((2, 1))(layers.Reshape((-1, 4))(x)))
    x = layers.LayerNormalization(name="norm")(x)
    x = layers.Attention()([x, x])
    scores = layers.Dense(3)(layers.GlobalAveragePooling1D()(x))
    model = keras.Model(inputs, scores)
    for grid in (None, (2, 4)):
        first = XConsModel(model, feature_layer="norm", token_grid=grid)
        assert first.view(tf.constant(IMAGES))[0].shape == (2, 2, 4, 4)
        first.save(tmp_path / "trainer.keras")
        loaded = keras.saving.load_model(tmp_path / "trainer.keras")
        assert loaded.view.asked == first.view.asked
        assert loaded.view(tf.constant(IMAGES))[0].shape == (2, 2, 4, 4)
