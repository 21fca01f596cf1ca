import concurrent.futures

import keras
import numpy as np
import pytest
from keras import layers

from keras_xcons.models.flatten import flatten, is_graph, used

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
    operations = [used(each) for each in flat.operations]
    assert not any(isinstance(each, keras.Model) for each in operations)
    assert len(operations) > len(model.layers)
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


def connections(model):
    """How often each layer and operation below a model is noted to be called."""
    layers = model._flatten_layers()
    return {
        id(each): (len(each._inbound_nodes), len(each._outbound_nodes))
        for part in layers
        for each in (part, *getattr(part, "operations", []))
    }


def test_notes_nothing_on_the_layers_of_the_model():
    model = nested_model()
    before = connections(model)
    for _ in range(3):
        flatten(model)
    assert connections(model) == before


def test_threads_flatten_one_model_at_once():
    """Two layers of one name in it, which Keras accepts in no single model."""
    model = nested_model()
    names = [layer.name for layer in model._flatten_layers()]
    expected = np.array(model(IMAGES))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        flats = [pool.submit(flatten, model) for _ in range(12)]
    for flat in flats:
        np.testing.assert_array_equal(flat.result()(IMAGES), expected)
    assert [layer.name for layer in model._flatten_layers()] == names


def test_knows_the_shapes_of_a_backbone_on_images_of_another_size():
    backbone = keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(4, 3)])
    inputs = keras.Input((16, 16, 3))
    model = keras.Model(inputs, layers.Flatten()(backbone(inputs)))
    assert flatten(model).output_shape == (None, 14 * 14 * 4)
