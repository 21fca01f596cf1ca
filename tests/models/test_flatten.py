import keras
import numpy as np
import pytest
from keras import layers

from keras_xcons.models.flatten import flatten, is_graph, unique_names

IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 16, 16, 3)).astype("float32")


def small_backbone(name="backbone"):
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Conv2D(6, 3, activation="relu", name="features")(x + 1.0)
    return keras.Model(inputs, x, name=name)


def nested_model():
    inner = keras.Sequential(
        [keras.Input((16, 16, 3)), layers.Rescaling(1 / 255), small_backbone()]
    )
    inputs = keras.Input((16, 16, 3))
    x = layers.GlobalAveragePooling2D()(inner(inputs))
    x = layers.Dropout(0.5)(x)
    return keras.Model(inputs, layers.Dense(3, name="conv")(x))


def test_inlines_two_levels_and_computes_the_same_bits():
    model = nested_model()
    flat = flatten(model)
    assert not any(isinstance(layer, keras.Model) for layer in flat.layers)
    assert len(flat.layers) > len(model.layers)
    np.testing.assert_array_equal(flat(IMAGES), model(IMAGES))


def test_shares_every_weight_and_makes_none():
    model = nested_model()
    flat = flatten(model)
    assert {id(v) for v in flat.variables} == {id(v) for v in model.variables}
    before = np.array(flat(IMAGES))
    model.layers[-1].bias.assign_add([1.0, 2.0, 3.0])
    np.testing.assert_allclose(flat(IMAGES) - before, [[1.0, 2.0, 3.0]] * 3, atol=1e-5)


def test_leaves_names_and_config_of_the_model_alone():
    model = nested_model()
    names = [layer.name for layer in model._flatten_layers()]
    config = model.to_json()
    flatten(model)
    assert [layer.name for layer in model._flatten_layers()] == names
    assert model.to_json() == config


@pytest.mark.parametrize("mode", [None, False, True])
def test_runs_nested_layers_in_the_mode_that_the_model_runs_them_in(mode):
    """`backbone(x, training=False)` is how Keras' guide fine-tunes."""
    backbone = small_backbone()
    inputs = keras.Input((16, 16, 3))
    features = backbone(inputs, training=False)
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(features))
    flat = flatten(model)
    expected = np.array(model(IMAGES, training=mode))
    np.testing.assert_array_equal(flat(IMAGES, training=mode), expected)


def test_inlines_a_backbone_that_is_called_twice():
    backbone = small_backbone()
    inputs = keras.Input((16, 16, 3))
    both = layers.add([backbone(inputs), backbone(255.0 - inputs)])
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(both))
    flat = flatten(model)
    assert len(flat.weights) == len(backbone.weights)
    np.testing.assert_array_equal(flat(IMAGES), model(IMAGES))


def test_takes_float_images_where_the_model_takes_bytes():
    inputs = keras.Input((16, 16, 3), dtype="uint8")
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(4, 3, name="conv")(x)
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(x))
    bytes_ = np.rint(IMAGES).astype("uint8")
    flat = flatten(model)
    assert flat.inputs[0].dtype == "float32"
    np.testing.assert_array_equal(flat(bytes_.astype("float32")), model(bytes_))


def test_a_subclass_with_its_own_call_is_no_graph():
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    class Named(keras.Model):
        pass

    inputs = keras.Input((4, 4, 1))
    outputs = layers.Flatten()(inputs)
    assert is_graph(keras.Model(inputs, outputs))
    assert is_graph(Named(inputs, outputs))
    assert is_graph(keras.Sequential([layers.Flatten()]))
    assert not is_graph(Own())
    assert not is_graph(layers.Flatten())


def test_unique_names_puts_names_back_after_an_error():
    twins = [layers.Flatten(name="a"), layers.Flatten(name="a")]
    with pytest.raises(RuntimeError, match="stop"), unique_names(twins):
        assert twins[0].name != twins[1].name
        raise RuntimeError("stop")
    assert [layer.name for layer in twins] == ["a", "a"]
