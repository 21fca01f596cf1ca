import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_xcons.explainers import explain, names
from keras_xcons.models import split
from tests import families

EXPLAINERS = sorted(set(names()) - families.EXPLAINERS)
KINDS = {
    "flat": {"nested": False},
    "nested": {},
    "bfloat16": {"dtype": "mixed_bfloat16"},
    "softmax_float16": {"dtype": "mixed_float16", "activation": "softmax"},
}


@pytest.fixture(scope="module", params=KINDS)
def view(request, build):
    return split(build(**KINDS[request.param]))


@pytest.fixture(scope="module")
def model(build):
    return build()


@pytest.mark.parametrize("explainer", EXPLAINERS)
def test_every_explainer_explains_every_kind_of_model(explainer, view, images):
    maps = explain(view, images, explainer=explainer)
    assert isinstance(maps, np.ndarray)
    assert maps.dtype == np.float32
    assert maps.shape == (4, 24, 24)
    assert np.all(np.isfinite(maps))
    assert maps.min() >= 0.0
    assert np.all(maps.max(axis=(1, 2)) > 0.5)
    assert maps.max() <= 1.0
    assert np.all(maps.std(axis=(1, 2)) > 0.0)


@pytest.mark.parametrize("explainer", EXPLAINERS)
def test_explains_the_predicted_class_and_others(explainer, build, images):
    view = split(build(positive=False, nested=False))
    predicted = np.argmax(view.model(images), axis=-1)
    maps = explain(view, images, explainer=explainer)
    given = explain(view, images, predicted, explainer=explainer)
    np.testing.assert_array_equal(maps, given)
    other = explain(view, images, (predicted + 1) % 3, explainer=explainer)
    assert np.any(np.abs(maps - other) > 1e-3)


@pytest.mark.parametrize("explainer", EXPLAINERS)
def test_maps_do_not_depend_on_the_batch(explainer, model, images):
    together = explain(model, images, [0, 1, 2, 0], explainer=explainer)
    parts = explain(model, images, [0, 1, 2, 0], explainer=explainer, batch_size=3)
    np.testing.assert_allclose(together, parts, atol=1e-5)


@pytest.mark.parametrize("explainer", ["gradcam++", "smoothgrad"])
def test_repeats_itself(explainer, model, images):
    first = explain(model, images[:2], explainer=explainer)
    np.testing.assert_array_equal(
        first, explain(model, images[:2], explainer=explainer)
    )


def test_resizes_or_leaves_the_resolution_of_the_features(model, images):
    maps = explain(model, images, resize=False)
    assert maps.shape == (4, 9, 9)
    np.testing.assert_allclose(maps.max(axis=(1, 2)), 1.0)
    resized = tf.image.resize(maps[..., None], (24, 24))[..., 0]
    np.testing.assert_allclose(explain(model, images), resized, atol=1e-6)
    assert explain(model, images, explainer="saliency", resize=False).shape == (
        4,
        24,
        24,
    )


def test_takes_a_named_layer_and_float_images(model, images):
    maps = explain(model, images, feature_layer="conv", resize=False)
    assert maps.shape == (4, 11, 11)
    from_float = explain(model, tf.constant(images, "float32"))
    np.testing.assert_array_equal(from_float, explain(model, images))


@pytest.mark.parametrize("explainer", EXPLAINERS)
def test_minmax_subtracts_the_minimum_of_the_map_as_computed(explainer, model, images):
    maps = explain(model, images, explainer=explainer, resize=False)
    low = maps.min(axis=(1, 2), keepdims=True)
    # Some pixel has no gradient.
    assert low.max() > 0.0 or explainer in ("saliency", "smoothgrad")
    found = explain(
        model, images, explainer=explainer, resize=False, normalize="minmax"
    )
    np.testing.assert_allclose(found, (maps - low) / (1.0 - low), atol=1e-5)


def test_refuses_an_unknown_scaling(model, images):
    with pytest.raises(ValueError, match="minmax.*Received: normalize='mean'"):
        explain(model, images, normalize="mean")


def test_names_its_names():
    assert names() == (
        "gradcam",
        "gradcam++",
        "layercam",
        "prototypes",
        "saliency",
        "scorecam",
        "selection",
        "smoothgrad",
        "xnn",
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x / 2.0 - 100.0, r"within 0\.\.255.*minimum -"),
        (lambda x: x * 2.0, r"within 0\.\.255.*maximum 510"),
        (lambda x: np.where(x > 200, np.nan, x), "finite.*minimum nan"),
        (lambda x: np.where(x > 200, np.inf, x), "finite.*maximum inf"),
        (lambda x: x[0], r"rank 4.*\(24, 24, 3\)"),
        (lambda x: x[..., :1], r"\(24, 24, 3\).*shape \(4, 24, 24, 1\)"),
        (lambda x: x[:, :20], r"\(24, 24, 3\).*shape \(4, 20, 24, 3\)"),
        (lambda x: x[:0], r"one or more images.*\(0, 24, 24, 3\)"),
    ],
)
def test_refuses_wrong_images(change, message, model, images):
    images = images.astype("float64")
    images[0, 0, 0] = 255.0
    with pytest.raises(ValueError, match=message):
        explain(model, change(images))


@pytest.mark.parametrize("dtype", ["U", "object", "bool", "complex64"])
def test_refuses_images_that_are_no_numbers(dtype, model, images):
    with pytest.raises(TypeError, match="must be numbers, uint8 or float"):
        explain(model, images.astype(dtype))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 2, 3], r"within 0\.\.2.*maximum 3"),
        ([0, 1, 2, -1], r"within 0\.\.2.*minimum -1"),
        ([0, 1], r"shape \(4,\).*shape \(2,\)"),
        ([[0], [1], [2], [0]], r"shape \(4,\).*shape \(4, 1\)"),
        ([0.0, 1.0, 2.0, 0.0], "integers.*float64"),
        (["a", "b", "c", "d"], "integers.*U1"),
        (1, r"shape \(4,\).*shape \(\)"),
    ],
)
def test_refuses_wrong_labels(labels, message, model, images):
    with pytest.raises(ValueError, match=message):
        explain(model, images, labels)


def test_refuses_an_unknown_explainer_with_close_matches(model, images):
    with pytest.raises(ValueError, match=r"Did you mean 'gradcam'.*'grad-cam'"):
        explain(model, images, explainer="grad-cam")


def test_refuses_a_batch_size_below_one(model, images):
    with pytest.raises(ValueError, match="batch_size=0"):
        explain(model, images, batch_size=0)


def test_refuses_what_is_no_model(images):
    with pytest.raises(TypeError, match="must be a `keras.Model`"):
        explain("resnet50", images)
    with pytest.raises(ValueError, match="must be built"):
        explain(keras.Sequential([keras.layers.Dense(2)]), images)
