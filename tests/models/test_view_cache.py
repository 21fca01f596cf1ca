import concurrent.futures
import copy
import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_xcons import evaluate
from keras_xcons.explainers import explain
from keras_xcons.models import split
from keras_xcons.models.view import SplitOptions
from keras_xcons.models.view_cache import cache_of

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype("uint8")


@keras.saving.register_keras_serializable("tests_memory")
class Counting(layers.Layer):
    calls = 0
    sign = 1.0

    def call(self, inputs):
        self.calls += 1
        return inputs * self.sign


def classifier(mean=None, variance=None):
    """A nested model with two layers of one name."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((16, 16, 3))
    x = layers.Normalization(mean=mean, variance=variance)(inputs)
    x = layers.Rescaling([1.0, 1.0, 1.0], name="scale")(x)
    x = layers.Conv2D(4, 3, name="conv")(x)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.ReLU(name="relu")(layers.Conv2D(6, 3, name="twin")(x))
    body = keras.Model(inputs, x, name="body")
    inputs = keras.Input((16, 16, 3))
    x = layers.Dropout(0.5, name="drop")(layers.GlobalMaxPooling2D()(body(inputs)))
    x = Counting(name="counting")(x)
    x = layers.Dense(5, activation="relu", name="twin")(x)
    return keras.Model(inputs, layers.Dense(3, name="scores")(x))


def connections(*models):
    """How often layers are noted to be called, and what they feed."""
    found = [each for model in models for each in model._flatten_layers()]
    return [(len(each._inbound_nodes), len(each._outbound_nodes)) for each in found]


def test_explaining_in_a_loop_leaves_nothing_and_compiles_once():
    model = classifier()
    before = connections(model)
    counting = model.get_layer("counting")
    maps = [explain(model, IMAGES)]
    called = counting.calls
    maps += [explain(model, IMAGES) for _ in range(39)]
    maps += [explain(model, IMAGES[:1])]
    assert connections(model) == before
    np.testing.assert_array_equal(maps[0], maps[-2])
    # In Python, a layer is called while TensorFlow compiles it.
    assert counting.calls == called


def test_explaining_many_models_does_not_look_like_compiling_in_vain(caplog):
    for _ in range(6):
        explain(classifier(), IMAGES)
    assert "retracing" not in caplog.text


@pytest.mark.parametrize("explainer", ["gradcam", "saliency"])
def test_no_explainer_leaves_anything_behind(explainer):
    model = classifier()
    before = connections(model)
    for _ in range(3):
        explain(model, IMAGES, explainer=explainer)
    assert connections(model) == before
    assert len(split(model).explainers) == 1


def test_evaluating_in_a_loop_leaves_nothing():
    model = classifier()
    dataset = tf.data.Dataset.from_tensor_slices((IMAGES, [0, 1])).batch(2)
    before = connections(model)
    for _ in range(3):
        evaluate(model, dataset, ["accuracy", "consistency"], gallery=0, verbose=0)
    assert connections(model) == before


def test_a_pair_is_joined_once():
    body = keras.Sequential([keras.Input((16, 16, 3)), layers.Conv2D(4, 3)])
    head = keras.Sequential([layers.GlobalAveragePooling2D(), layers.Dense(3)])
    view = split((body, head))
    before = connections(body, head)
    for _ in range(3):
        explain((body, head), IMAGES)
    assert connections(body, head) == before
    assert split((body, head)) is view
    other = keras.Sequential([layers.GlobalMaxPooling2D(), layers.Dense(3)])
    assert split((body, other)) is not view
    assert split((body, head)) is view


def test_a_model_and_its_views_are_freed_together():
    model = classifier()
    explain(model, IMAGES)
    explain(model, IMAGES, explainer="gradcam", feature_layer="conv")
    alive = [weakref.ref(model), weakref.ref(split(model))]
    del model
    gc.collect()
    assert [each() for each in alive] == [None, None]


def test_remembers_each_feature_layer_and_forgets_the_oldest():
    model = classifier()
    latest = split(model)
    cache = cache_of(model)
    assert cache.get(SplitOptions()) is latest
    assert split(model, "conv") is split(model, "conv") is not latest
    for number in range(20):
        cache.put(number, "another")
    assert cache.get(SplitOptions()) is None
    assert cache.get(19) == "another"
    assert split(model) is not latest
    assert split(latest) is latest


def test_changed_weights_are_seen():
    model = classifier()
    view = split(model)
    explain(model, IMAGES)
    for variable in model.weights:
        variable.assign(variable + 0.1)
    assert split(model) is view
    fresh = split(keras.models.clone_model(model))
    fresh.model.set_weights(model.get_weights())
    np.testing.assert_allclose(explain(model, IMAGES), explain(fresh, IMAGES))


def body_layer(name):
    return lambda model: model.get_layer("body").get_layer(name)


CHANGES = {
    "attribute": lambda model: setattr(model.get_layer("counting"), "sign", -1.0),
    "item": lambda model: body_layer("scale")(model).scale.__setitem__(0, -3.0),
    "trainable": lambda model: setattr(model.layers[1], "trainable", False),
    "rate": lambda model: setattr(model.get_layer("drop"), "rate", 0.1),
    "activation": lambda model: setattr(
        model.get_layer("twin"), "activation", keras.activations.elu
    ),
    "slope": lambda model: setattr(body_layer("relu")(model), "negative_slope", 0.5),
    "adapt": lambda model: model.get_layer("body").layers[1].adapt(IMAGES * 1.0),
    "lora": lambda model: model.get_layer("scores").enable_lora(2),
    "dtype": lambda model: setattr(
        model.get_layer("scores"), "dtype_policy", "mixed_bfloat16"
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("given", ["model", "view"])
def test_a_changed_model_is_split_anew(change, given):
    model = classifier(*[] if change == "adapt" else [[0.0] * 3, [1e4] * 3])
    view = split(model)
    before = explain(model, IMAGES)
    CHANGES[change](model)
    after = split(model if given == "model" else view)
    assert after is not view
    assert after is split(model)
    _, logits, outputs = after(IMAGES)
    np.testing.assert_array_equal(outputs, model(IMAGES))
    if change in ("activation", "attribute", "item", "slope", "adapt"):
        assert np.any(explain(view, IMAGES) != before)


def test_a_layer_added_to_a_sequential_model_is_seen():
    model = keras.Sequential([keras.Input((16, 16, 3)), layers.Conv2D(4, 3)])
    for layer in (layers.GlobalAveragePooling2D(), layers.Dense(3)):
        model.add(layer)
    assert split(model).num_classes == 3
    model.add(layers.Dense(2))
    assert split(model).num_classes == 2


def test_a_copy_has_a_memory_of_its_own():
    model = classifier()
    view = split(model)
    other = copy.copy(model)
    assert split(other).model is other
    assert split(model) is view


def test_saving_knows_nothing_of_it(tmp_path):
    model = classifier()
    model.save(tmp_path / "before.keras")
    explain(model, IMAGES)
    model.save(tmp_path / "after.keras")
    sizes = [
        (tmp_path / name).stat().st_size for name in ("before.keras", "after.keras")
    ]
    assert sizes[0] == sizes[1]
    loaded = keras.saving.load_model(tmp_path / "after.keras")
    np.testing.assert_array_equal(explain(loaded, IMAGES), explain(model, IMAGES))


def test_threads_explain_one_nested_model():
    model = classifier()
    expected = explain(keras.models.clone_model(model), IMAGES)
    names = [layer.name for layer in model._flatten_layers()]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        done = [
            pool.submit(explain, model, IMAGES, feature_layer=name)
            for name in (None, "conv", None, "norm") * 3
        ]
        maps = [each.result() for each in done]
    assert all(each.shape == expected.shape for each in maps)
    for first in range(4):
        for each in maps[first + 4 :: 4]:
            np.testing.assert_array_equal(each, maps[first])
    assert [layer.name for layer in model._flatten_layers()] == names
