import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_xcons.explainers import (
    GradCAM,
    LayerCAM,
    Saliency,
    ScoreCAM,
    SmoothGrad,
    explain,
)
from keras_xcons.models import split

EXPLAINERS = [GradCAM, LayerCAM, Saliency, ScoreCAM, SmoothGrad]
LOW = ["mixed_bfloat16", "mixed_float16"]


@pytest.fixture(scope="module")
def batch(images):
    return tf.constant(images.astype("float32"))


@pytest.fixture(scope="module")
def view(build):
    return split(build(positive=False))


LABELS = tf.constant([0, 1, 2, 1])


def class_gradient(view, images, labels):
    """Activations, and the gradients of each label's logit for them and the image."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(images)
        activations, logits, _ = view(images)
        score = tf.gather(logits, labels, batch_dims=1)
    gradient = tape.gradient(score, activations)
    return activations.numpy(), gradient.numpy(), tape.gradient(score, images).numpy()


def scaled(maps):
    peak = maps.max(axis=(1, 2), keepdims=True)
    return maps / np.where(peak > 0, peak, 1)


def test_gradcam_is_its_formula(view, batch):
    activations, gradient, _ = class_gradient(view, batch, LABELS)
    weights = gradient.mean(axis=(1, 2), keepdims=True)
    expected = scaled(np.maximum((activations * weights).sum(-1), 0.0))
    assert expected.max() == 1.0
    np.testing.assert_allclose(GradCAM(view)(batch, LABELS), expected, atol=1e-5)


def test_layercam_is_its_formula(view, batch):
    activations, gradient, _ = class_gradient(view, batch, LABELS)
    expected = scaled((activations * np.maximum(gradient, 0.0)).sum(-1))
    np.testing.assert_allclose(LayerCAM(view)(batch, LABELS), expected, atol=1e-5)


def test_saliency_is_its_formula(view, batch):
    gradient = class_gradient(view, batch, LABELS)[2]
    expected = scaled(np.abs(gradient).max(-1))
    np.testing.assert_allclose(Saliency(view)(batch, LABELS), expected, atol=1e-5)


def test_smoothgrad_is_the_mean_over_noise(view, batch):
    images = batch.numpy()
    span = (images.max(axis=(1, 2, 3)) - images.min(axis=(1, 2, 3)))[
        :, None, None, None
    ]
    random = np.random.default_rng(5)
    total = 0.0
    for _ in range(3):
        noise = random.standard_normal((24, 24, 3), "float32")
        noisy = tf.constant(images + 0.1 * span * noise)
        total = total + np.abs(class_gradient(view, noisy, LABELS)[2]).max(-1)
    maps = SmoothGrad(view, samples=3, noise=0.1, seed=5)(batch, LABELS)
    np.testing.assert_allclose(maps, scaled(total), atol=1e-5)


def test_smoothgrad_repeats_by_seed_and_leaves_global_randomness_alone(view, batch):
    np.random.seed(3)
    expected = np.random.random()
    np.random.seed(3)
    first = SmoothGrad(view, samples=2, seed=1)(batch, LABELS)
    assert np.random.random() == expected
    again = SmoothGrad(view, samples=2, seed=1)(batch, LABELS)
    other = SmoothGrad(view, samples=2, seed=2)(batch, LABELS)
    np.testing.assert_array_equal(first, again)
    assert np.any(np.abs(first - other) > 1e-3)


def test_scorecam_is_its_formula(view, batch):
    image = batch[:1]
    activations = view(image)[0].numpy()[0]
    heat = np.zeros(activations.shape[:2])
    for channel in np.moveaxis(activations, -1, 0):
        mask = resized_like_scipy(channel, (24, 24))
        mask = (mask - mask.min()) / (mask.max() - mask.min() + 1e-7)
        logits = view(image * mask[None, ..., None].astype("float32"))[1]
        heat += float(tf.nn.softmax(logits)[0, 2]) * channel
    expected = np.maximum(heat, 0.0) / heat.max()
    maps = ScoreCAM(view)(image, tf.constant([2]))
    np.testing.assert_allclose(maps[0], expected, atol=1e-4)


def resized_like_scipy(plane, size):
    """Linear interpolation with the corners aligned."""
    for side in size:
        old = np.arange(plane.shape[0])
        new = np.linspace(0, plane.shape[0] - 1, side)
        plane = np.stack([np.interp(new, old, line) for line in plane.T])
    return plane


def test_scorecam_of_fewer_channels(view, batch):
    few = ScoreCAM(view, max_channels=2)(batch, LABELS)
    assert few.shape == (4, 9, 9)
    assert np.any(np.abs(few - ScoreCAM(view)(batch, LABELS)) > 1e-3)


@pytest.mark.parametrize(
    ("explainer", "arguments", "message"),
    [
        (ScoreCAM, {"max_channels": 0}, r"within \[1, 8\].*max_channels=0"),
        (ScoreCAM, {"max_channels": 9}, r"within \[1, 8\].*max_channels=9"),
        (SmoothGrad, {"samples": 0}, "samples=0"),
        (SmoothGrad, {"noise": -0.1}, "noise=-0.1"),
    ],
)
def test_refuses_wrong_arguments(explainer, arguments, message, view):
    with pytest.raises(ValueError, match=message):
        explainer(view, **arguments)


def test_is_silent(view, batch, capfd):
    for explainer in EXPLAINERS:
        explainer(view)(batch[:1], LABELS[:1])
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "step" not in captured.err


@pytest.mark.parametrize("explainer", EXPLAINERS)
@pytest.mark.parametrize("dtype", LOW)
def test_low_precision_is_explained_in_float32(explainer, dtype, build, view, batch):
    low = split(build(dtype, positive=False))
    maps = explainer(low)(batch, LABELS)
    np.testing.assert_allclose(maps, explainer(view)(batch, LABELS), atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", *LOW])
def test_follows_training_after_it_was_made(dtype, build, batch):
    view = split(build(dtype, positive=False))
    explainer = GradCAM(view)
    before = explainer(batch, LABELS)
    view.dense.kernel.assign(np.abs(view.dense.kernel))
    after = explainer(batch, LABELS)
    assert np.any(np.abs(before - after) > 1e-3)
    np.testing.assert_array_equal(after, GradCAM(view)(batch, LABELS))


@pytest.mark.parametrize("dtype", ["float32", *LOW])
def test_leaves_the_model_as_it_was(dtype, build, batch):
    model = build(dtype)
    view = split(model)
    config, policy = model.to_json(), keras.config.dtype_policy()
    weights = [np.array(w) for w in model.weights]
    names = [layer.name for layer in model._flatten_layers()]
    for explainer in (GradCAM, ScoreCAM, Saliency):
        explainer(view)(batch[:1])
    assert model.to_json() == config
    assert keras.config.dtype_policy() is policy
    assert [layer.name for layer in model._flatten_layers()] == names
    for before, after in zip(weights, model.weights, strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("explainer", EXPLAINERS)
def test_no_evidence_is_a_map_of_zeros(explainer, build, batch):
    view = split(build())
    kernel = view.dense.kernel
    kernel.assign(0.0 * kernel)
    features = view.model.get_layer("body").get_layer("features")
    features.kernel.assign(0.0 * features.kernel)
    maps = explainer(view)(batch, LABELS)
    np.testing.assert_array_equal(maps, np.zeros(maps.shape))


@pytest.mark.parametrize("explainer", [GradCAM, LayerCAM, Saliency])
def test_small_gradients_are_no_empty_map(explainer, build, batch):
    """The scaling of tf-keras-vis itself makes nothing of gradients below 1e-7."""
    view = split(build())
    expected = explainer(view)(batch, LABELS)
    view.dense.kernel.assign(view.dense.kernel * 1e-10)
    np.testing.assert_allclose(explainer(view)(batch, LABELS), expected, atol=1e-4)


@pytest.mark.parametrize("explainer", EXPLAINERS)
def test_huge_scores_stay_finite(explainer, build, batch):
    view = split(build("mixed_float16"))
    view.dense.kernel.assign(view.dense.kernel * 1e6)
    maps = explainer(view)(batch, LABELS)
    assert np.all(np.isfinite(maps))
    assert np.all((maps >= 0.0) & (maps <= 1.0))


class Squeeze(layers.Layer):
    """A custom layer that makes layers of its own, of the policy of the moment."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.inner = layers.Dense(units, activation="sigmoid")

    def call(self, inputs):
        return inputs * self.inner(inputs)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@pytest.fixture
def policy():
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


def odd_model():
    """Lambda, wrapped, custom and shared layers; a skip over the features."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((24, 24, 3))
    x = layers.Lambda(lambda images: images / 255.0)(inputs)
    x = layers.Conv2D(6, 3, padding="same", activation="relu")(x)
    shared = layers.Conv2D(6, 3, padding="same", activation="relu")
    skip = keras.ops.relu(shared(x) + 0.1)
    x = layers.TimeDistributed(layers.Dense(6))(shared(skip))
    x = Squeeze(6)(layers.SpectralNormalization(layers.Conv2D(6, 1))(x))
    features = layers.Conv2D(6, 3, padding="same", name="features")(x)
    x = layers.GlobalAveragePooling2D()(layers.add([features, skip]))
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(x))


@pytest.mark.parametrize("explainer", [GradCAM, ScoreCAM, Saliency])
def test_odd_layers_and_a_skip_over_the_features(explainer, batch, policy):
    expected = explainer(split(odd_model(), "features"))(batch, LABELS)
    policy("mixed_bfloat16")
    low = explainer(split(odd_model(), "features"))(batch, LABELS)
    assert np.any(low > 0.0)
    np.testing.assert_allclose(low, expected, atol=1e-5)
    assert keras.config.dtype_policy().name == "mixed_bfloat16"


def test_takes_a_model_whose_input_are_bytes(images):
    inputs = keras.Input((24, 24, 3), dtype="uint8")
    x = layers.Conv2D(4, 3, activation="relu")(layers.Rescaling(1 / 255)(inputs))
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalMaxPooling2D()(x)))
    for explainer in ("gradcam", "saliency", "scorecam"):
        assert explain(model, images, explainer=explainer).max() > 0.0


@pytest.mark.parametrize("kind", ["one output", "sigmoid", "sigmoid layer", "told"])
def test_score_cam_tells_evidence_for_from_evidence_against(kind):
    """Channel 0, at the upper left, speaks for class 1; channel 1 against it."""
    images = keras.Input((16, 16, 2))
    x = layers.Conv2D(2, 1, name="features")(images)
    x = layers.GlobalAveragePooling2D()(x)
    dense = layers.Dense(
        1 if kind == "one output" else 3,
        activation="sigmoid" if kind in ("one output", "sigmoid") else None,
    )
    x = dense(x)
    if kind == "sigmoid layer":
        x = layers.Activation("sigmoid")(x)
    model = keras.Model(images, x)
    model.get_layer("features").set_weights([np.eye(2)[None, None], np.zeros(2)])
    column = np.array([[1.0], [-1.0]])
    # Between 0 and 15 of the mean of a channel. The other classes say nothing.
    kernel = column if dense.units == 1 else column * [0.0, 1.0, 0.0]
    dense.set_weights([kernel, np.zeros(dense.units)])
    batch = np.zeros((1, 16, 16, 2), "float32")
    batch[0, :4, :4, 0] = batch[0, 12:, 12:, 1] = 240.0
    told = {"multi_label": True} if kind == "told" else {}
    heat = explain(model, batch, [1], "scorecam", **told)[0]
    assert heat[1, 1] == 1.0
    assert heat[14, 14] < 0.01
    against = explain(model, batch, [0], "scorecam", **told)[0]
    if kind == "one output":
        assert against[14, 14] == 1.0 and against[1, 1] < 0.01
    else:
        # A class that neither channel speaks for weighs both by 1/2.
        assert against[14, 14] == against[1, 1] == 1.0
    if kind == "told":
        # Not told, the classes exclude each other.
        exclusive = explain(model, batch, [0], "scorecam")[0]
        assert exclusive[14, 14] == 1.0 and exclusive[1, 1] < 0.01
