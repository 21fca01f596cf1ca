"""COMET's network: its parts, its mask as a heatmap, and what Keras does with it."""

import keras
import numpy as np
import pytest

import keras_xcons as kx
from keras_xcons.comet import (
    Selection,
    comet_classifier,
    comet_view,
    default_selector,
    is_comet,
)
from tests.comet.comets import SIZE, data, predictor, selector, trained


def test_what_is_selected_and_what_is_left():
    layer = Selection(selector())
    images = data()[0][:2]
    layer(images)
    layer.fill.assign([10.0, 20.0, 30.0])
    masks = np.full((2, SIZE, SIZE, 1), 0.25, "float32")
    selected, rest = map(np.array, layer.selected_and_rest(images, masks))
    fill = np.array([10.0, 20.0, 30.0])
    np.testing.assert_allclose(selected, 0.25 * images + 0.75 * fill, rtol=1e-5)
    np.testing.assert_allclose(rest, 0.75 * images + 0.25 * fill, rtol=1e-5)


def test_the_fill_is_the_mean_of_what_was_seen():
    trainer, _ = trained(epochs=2)
    selection = comet_view(trainer.classifier).selection
    mean = data()[0].mean(axis=(0, 1, 2))
    np.testing.assert_allclose(selection.fill, mean, rtol=1e-4)
    assert float(selection.noticed) == 48.0


def test_the_classifier_sees_what_is_selected():
    model = comet_classifier(predictor(), selector())
    parts, images = comet_view(model), data()[0]
    masks = parts.selection.laid_over(parts.selection.masks(images), images)
    selected, _ = parts.selection.selected_and_rest(images, masks)
    np.testing.assert_allclose(
        model(images), parts.predictor(selected), rtol=1e-5, atol=1e-6
    )


def test_its_own_explainer_is_the_mask():
    model = comet_classifier(predictor(), selector())
    images = data()[0][:4]
    small = np.array(comet_view(model).selection.selector(images))[..., 0]
    np.testing.assert_allclose(
        kx.explain(model, images, resize=False), small, rtol=1e-5
    )
    found = kx.explain(model, images)
    assert found.shape == (4, SIZE, SIZE)
    np.testing.assert_array_equal(found, kx.explain(model, images, [0, 1, 2, 3]))
    other = kx.explain(model, images, explainer="gradcam++")
    assert not np.allclose(found, other)
    # A mask of little says so: it is not divided by its maximum.
    last = comet_view(model).selection.selector.layers[-1]
    kernel, bias = last.get_weights()
    last.set_weights([kernel * 0.0, bias * 0.0 - 2.0])
    np.testing.assert_allclose(kx.explain(model, images), 1 / (1 + np.e**2), rtol=1e-5)


def test_others_have_no_selection():
    model = predictor()
    assert not is_comet(model) and is_comet(comet_classifier(model, selector()))
    with pytest.raises(ValueError, match="is no COMET classifier"):
        kx.explain(model, data()[0], explainer="selection")


BACKBONES = {
    "mobilenet_v2": ({"alpha": 0.35}, (12, 12)),
    "resnet18": ({}, (12, 12)),
    "small_cnn": ({"width": 4}, (24, 24)),
}


@pytest.mark.parametrize("backbone", BACKBONES)
def test_default_selectors(backbone):
    """The backbone's own weights, and masks of the finer of its two features."""
    arguments, grid = BACKBONES[backbone]
    model = kx.models.create(backbone, 5, 96, **arguments)
    made = default_selector(model, channels=8)
    assert made.output_shape == (None, *grid, 1)
    images = np.random.default_rng(0).uniform(0, 255, (2, 96, 96, 3)).astype("float32")
    features = keras.Model(made.input, made.get_layer("features").output)
    expected = keras.Model(model.input, model.get_layer("features").output)
    np.testing.assert_allclose(features(images), expected(images), rtol=1e-4, atol=1e-5)
    shared = {id(each) for each in model.weights} & {id(each) for each in made.weights}
    assert not shared


def test_the_backbone_of_a_nested_classifier():
    inner = keras.applications.MobileNetV2(
        (64, 64, 3), 0.35, include_top=False, weights=None
    )
    model = keras.Sequential(
        [
            keras.Input((64, 64, 3)),
            keras.layers.Rescaling(1 / 127.5, offset=-1),
            inner,
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4),
        ]
    )
    assert default_selector(model).output_shape == (None, 8, 8, 1)


def test_images_of_any_size():
    images = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, 2, padding="same", activation="relu")(images)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = comet_classifier(keras.Model(images, keras.layers.Dense(3)(x)))
    for size in (16, 24):
        shown = np.zeros((2, size, size, 3), "float32")
        assert model.predict(shown, verbose=0).shape == (2, 3)
        assert kx.explain(model, shown).shape == (2, size, size)


def test_it_is_saved_copied_and_created_again(tmp_path):
    trainer, _ = trained(kx.models.create("small_cnn", 5, SIZE, width=4))
    images = data()[0]
    logits, masks = np.array(trainer(images)), kx.explain(trainer, images)
    trainer.classifier.save(tmp_path / "model.keras")
    arguments = {"backbone": "small_cnn", "backbone_arguments": {"width": 4}}
    created = kx.models.create("comet", 5, SIZE, **arguments)
    created.set_weights(trainer.classifier.get_weights())
    for model in (
        keras.saving.load_model(tmp_path / "model.keras"),
        kx.models.copy_model(trainer.classifier),
        created,
    ):
        np.testing.assert_allclose(model(images), logits, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(kx.explain(model, images), masks, rtol=1e-5)


def test_its_architecture_refuses_what_it_cannot_build():
    with pytest.raises(ValueError, match="Unknown backbone"):
        kx.models.create("comet", 5, 32, backbone="protopnet")
    with pytest.raises(TypeError, match="Unknown backbone argument"):
        kx.models.create(
            "comet", 5, 32, backbone="small_cnn", backbone_arguments={"alpha": 1}
        )
    with pytest.raises(TypeError, match="must be a dict"):
        kx.models.create("comet", 5, 32, backbone_arguments=3)
