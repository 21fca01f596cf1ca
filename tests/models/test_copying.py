import keras
import numpy as np

from keras_xcons.models import copy_model, create
from keras_xcons.models.batch_norm import freeze_batch_norm


def test_a_copy_computes_the_same_and_shares_nothing():
    images = np.random.default_rng(0).uniform(0, 255, (3, 16, 16, 3))
    normalization = keras.layers.Normalization()
    inside = keras.Sequential([keras.Input((16, 16, 3)), normalization])
    model = keras.Sequential([keras.Input((16, 16, 3)), inside])
    normalization.adapt(images)
    copy = copy_model(model)
    np.testing.assert_array_equal(copy(images), model(images))
    assert abs(float(np.mean(copy(images)))) < 0.1
    before = model.get_weights()
    copy.set_weights([weight + 1 for weight in before])
    for one, two in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, two)


def test_frozen_layers_and_dtypes_stay():
    with_policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = create("resnet50", 2, 32)
    finally:
        keras.config.set_dtype_policy(with_policy)
    freeze_batch_norm(model)
    copy = copy_model(model)
    assert [one.trainable for one in copy.layers] == [
        one.trainable for one in model.layers
    ]
    assert copy.layers[-5].compute_dtype == "bfloat16"
    images = np.full((1, 32, 32, 3), 100.0)
    np.testing.assert_array_equal(copy(images), model(images))


def test_layers_and_weights_can_be_replaced():
    model = create("small_cnn", 3, 16, width=2)

    def wider(layer):
        if layer.name == "logits":
            return keras.layers.Dense(4, name="logits")
        return type(layer).from_config(layer.get_config())

    weights = [*model.get_weights()[:-2], np.ones((8, 4)), np.zeros(4)]
    copy = copy_model(model, wider, weights)
    np.testing.assert_array_equal(copy.get_layer("logits").kernel, np.ones((8, 4)))
    first = model.get_layer("block1_conv").kernel
    np.testing.assert_array_equal(copy.get_layer("block1_conv").kernel, first)
