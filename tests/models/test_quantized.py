"""Models whose kernels are no numbers to be read any more."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers

from keras_xcons.explainers import explain
from keras_xcons.models import split

IMAGES = np.random.default_rng(0).uniform(0, 255, (4, 12, 12, 3)).astype("float32")
LABELS = [0, 1, 2, 3]
MODES = ["int8", "int4", "float8"]
POLICIES = ["float32", "mixed_bfloat16"]


def classifier(activation=None, dtype="float32"):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((12, 12, 3))
    x = layers.Rescaling(1 / 255, dtype=dtype)(inputs)
    x = layers.Conv2D(8, 3, activation="relu", dtype=dtype)(x)
    x = layers.GlobalAveragePooling2D(dtype=dtype)(x)
    scores = layers.Dense(4, activation=activation, dtype=dtype, name="scores")
    return keras.Model(inputs, scores(x))


def quantize(model, mode):
    with warnings.catch_warnings():
        # Of each layer that has no kernel to quantize.
        warnings.filterwarnings("ignore", message="Layer .* does not have a `quantize`")
        model.quantize(mode)


@pytest.mark.parametrize("activation", [None, "softmax"])
@pytest.mark.parametrize("dtype", POLICIES)
@pytest.mark.parametrize("mode", MODES)
def test_maps_are_those_of_the_kernel_that_is_meant(mode, dtype, activation):
    model = classifier(activation, dtype)
    before = explain(model, IMAGES, LABELS)
    assert split(model).closed_form
    quantize(model, mode)
    view = split(model)
    assert not view.closed_form
    _, logits, outputs = view(IMAGES)
    np.testing.assert_array_equal(outputs, model(IMAGES))
    if activation:
        np.testing.assert_allclose(keras.ops.softmax(logits), outputs, atol=4e-3)
    maps = explain(model, IMAGES, LABELS)
    # As far off as the mode is coarse; the raw integers would be off by 0.46.
    np.testing.assert_allclose(maps, before, atol=0.03)
    if mode == "int8" and dtype == "float32":
        # But for its logits, the unit of the scores, which activations of 8 bits make.
        dense = model.get_layer("scores")
        meant = np.asarray(dense._kernel) / np.asarray(dense.kernel_scale)
        plain = classifier(activation)
        plain.set_weights([*model.layers[2].get_weights(), meant, dense.bias])
        np.testing.assert_allclose(maps, explain(plain, IMAGES, LABELS), atol=1e-4)


@pytest.mark.parametrize("explainer", ["gradcam", "saliency", "scorecam"])
@pytest.mark.parametrize("dtype", POLICIES)
@pytest.mark.parametrize("mode", MODES)
def test_other_explainers(mode, dtype, explainer):
    model = classifier(dtype=dtype)
    before = explain(model, IMAGES, LABELS, explainer=explainer)
    quantize(model, mode)
    if mode == "float8" and explainer != "scorecam":
        with pytest.raises(ValueError, match=r"float8 .* Use .*'gradcam\+\+'"):
            explain(model, IMAGES, LABELS, explainer=explainer)
        return
    maps = explain(model, IMAGES, LABELS, explainer=explainer)
    np.testing.assert_allclose(maps, before, atol=0.1)


@pytest.mark.parametrize("activation", [None, "softmax"])
@pytest.mark.parametrize("mode", [None, "int8", "int4"])
def test_low_rank_adapters_count(mode, activation):
    model = classifier(activation)
    if mode:
        quantize(model, mode)
    dense = model.get_layer("scores")
    dense.enable_lora(2)
    before = explain(model, IMAGES, LABELS)
    added = np.random.default_rng(1).normal(size=(2, 4))
    dense.lora_kernel_b.assign(added)
    maps = explain(model, IMAGES, LABELS)
    assert np.abs(maps - before).max() > 0.1
    meant = classifier(activation)
    kernel = np.asarray(meant.get_layer("scores").kernel)
    kernel = kernel + np.asarray(dense.lora_kernel_a) @ added
    meant.get_layer("scores").kernel.assign(kernel)
    atol = {None: 1e-5, "int8": 0.02, "int4": 0.1}[mode]
    np.testing.assert_allclose(maps, explain(meant, IMAGES, LABELS), atol=atol)
    assert split(model).closed_form == (mode is None)
