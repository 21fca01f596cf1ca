import keras
import numpy as np
import pytest

from keras_xcons import evaluation
from keras_xcons.explainers import explain, explainer_of
from keras_xcons.models import create, split
from keras_xcons.protopnet.explainer import PrototypeEvidence
from keras_xcons.protopnet.view import prototype_view

COUNTS = [2, 1, 2]


@pytest.fixture(scope="module")
def images():
    random = np.random.default_rng(0)
    return random.integers(0, 256, (5, 32, 32, 3)).astype("uint8")


def build(dtype="float32"):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        return create(
            *("protopnet", 3, 32),
            backbone="small_cnn",
            prototypes=COUNTS,
            channels=8,
            backbone_arguments={"width": 4},
        )
    finally:
        keras.config.set_dtype_policy(before)


@pytest.fixture(scope="module")
def model():
    return build()


def similarities(model, images):
    """`(B, h, w, m)`, by the differences of the vectors."""
    view = prototype_view(model)
    patches = view.space(images).numpy()[:, :, None]
    distances = ((patches - view.layer.prototypes.numpy()) ** 2).sum(-1)
    distances = distances.reshape(len(images), *view.grid, -1)
    return np.log((distances + 1) / (distances + 1e-4))


def test_map_is_the_similarity_to_the_prototypes_of_the_class(model, images):
    labels = [0, 1, 2, 1, 0]
    found = explain(model, images, labels, explainer="prototypes", resize=False)
    own = np.repeat(np.arange(3), COUNTS) == np.array(labels)[:, None]
    expected = (similarities(model, images) * own[:, None, None]).sum(-1)
    expected -= expected.min((1, 2), keepdims=True)
    expected /= expected.max((1, 2), keepdims=True)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert explain(model, images, labels, explainer="prototypes").shape == (5, 32, 32)


def test_prototypes_count_by_what_they_weigh_for_the_class(images):
    model = build()
    kernel = model.get_layer("logits").kernel
    weights = np.zeros(kernel.shape, "float32")
    # Of class 2 for class 0, three times; the other speaks against it.
    weights[3, 0], weights[4, 0], weights[0, 0] = 3.0, -5.0, 1.0
    kernel.assign(weights)
    found = explain(model, images, [0] * 5, explainer="prototypes", resize=False)
    maps = similarities(model, images)
    expected = 3.0 * maps[..., 3] + maps[..., 0]
    expected -= expected.min((1, 2), keepdims=True)
    expected /= expected.max((1, 2), keepdims=True)
    np.testing.assert_allclose(found, expected, atol=2e-3)
    # Nothing speaks for class 1.
    assert np.all(explain(model, images, [1] * 5, explainer="prototypes") == 0.0)


def test_explains_the_predicted_class_and_follows_training(images):
    model = build()
    view = split(model)
    kernel = model.get_layer("logits").kernel
    for label in (0, 2):
        kernel.assign(np.full((5, 3), 0.1) + np.eye(3)[label])
        assert set(np.argmax(model(images), -1)) == {label}
        maps = explain(view, images, explainer="prototypes")
        given = explain(view, images, [label] * 5, explainer="prototypes")
        np.testing.assert_array_equal(maps, given)


def test_low_precision_changes_little(images):
    model = build()
    low = build("mixed_bfloat16")
    low.set_weights(model.get_weights())
    found = explain(low, images, [0] * 5, explainer="prototypes")
    expected = explain(model, images, [0] * 5, explainer="prototypes")
    np.testing.assert_allclose(found, expected, atol=0.15)


def test_other_classifiers_are_refused_before_any_work(images):
    other = split(create("small_cnn", 3, 32, width=4))
    with pytest.raises(ValueError, match="is no ProtoPNet"):
        explain(other, images, explainer="prototypes")

    def untouched():
        raise AssertionError("the data were read")
        yield

    with pytest.raises(ValueError, match="is no ProtoPNet"):
        evaluation.evaluate(
            {"one": build(), "two": other}, untouched(), explainer="prototypes"
        )


def test_is_made_once_for_a_view(model):
    view = split(model)
    made = explainer_of(view, "prototypes")
    assert isinstance(made, PrototypeEvidence)
    assert explainer_of(view, "prototypes") is made
    with pytest.raises(ValueError, match="Did you mean 'prototypes'"):
        explainer_of(view, "prototype")
