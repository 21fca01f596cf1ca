import keras
import numpy as np
import pytest

from keras_xcons.layers import Logits

FEATURES = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")


@pytest.mark.parametrize("use_bias", [True, False])
def test_is_the_linear_part_and_shares_its_weights(use_bias):
    dense = keras.layers.Dense(3, activation="softmax", use_bias=use_bias)
    dense.build((None, 5))
    if use_bias:
        dense.bias.assign([1.0, -1.0, 0.5])
    layer = Logits(dense)
    logits = np.array(layer(FEATURES))
    bias = np.array(dense.bias) if use_bias else 0.0
    np.testing.assert_allclose(logits, FEATURES @ dense.kernel + bias, atol=1e-6)
    np.testing.assert_allclose(keras.ops.softmax(logits), dense(FEATURES), atol=1e-6)
    assert [id(w) for w in layer.weights] == [id(w) for w in dense.weights]


def test_computes_in_the_dtype_of_its_layer():
    dense = keras.layers.Dense(3, activation="softmax", dtype="mixed_bfloat16")
    dense.build((None, 5))
    assert Logits(dense)(FEATURES).dtype == "bfloat16"
    symbolic = Logits(dense)(keras.Input((5,)))
    assert symbolic.shape == (None, 3)
