"""The same decisions have the same figures, however large the logits are."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_xcons as kx
from keras_xcons import attacks

SIDE, COUNT = 32, 24
METRICS = ["accuracy", "binary_accuracy", "robustness", "consistency"]


def classifier(classes, closed_form):
    keras.utils.set_random_seed(3)
    images = keras.Input((SIDE, SIDE, 3))
    x = layers.Rescaling(1 / 127.5, -1.0)(images)
    x = layers.Conv2D(8, 5, strides=2, activation="relu")(x)
    x = layers.Conv2D(8, 3, strides=2, activation="relu", name="map")(x)
    if closed_form:
        x = layers.GlobalAveragePooling2D()(x)
    else:
        x = layers.Dense(8, activation="tanh")(layers.Flatten()(x))
    return keras.Model(images, layers.Dense(classes, name="logits")(x))


def data(kind):
    random = np.random.default_rng(0)
    images = random.uniform(0, 255, (COUNT, SIDE, SIDE, 3)).astype("float32")
    if kind == "multi_label":
        labels = random.integers(0, 2, (COUNT, 4)).astype("float32")
        labels[:, 0] = 1.0
    else:
        labels = random.integers(0, 2 if kind == "one_output" else 4, COUNT)
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(8), images


@pytest.mark.parametrize("closed_form", [True, False], ids=["closed", "tape"])
@pytest.mark.parametrize("kind", ["one_label", "one_output", "multi_label"])
def test_the_factor_changes_nothing(kind, closed_form):
    model = classifier(1 if kind == "one_output" else 4, closed_form)
    dataset, images = data(kind)
    last = model.get_layer("logits")
    kernel, bias = last.get_weights()
    metrics = [
        name
        for name in METRICS
        if name != ("accuracy" if kind == "multi_label" else "binary_accuracy")
    ]

    def found(factor):
        last.set_weights([factor * kernel, factor * bias])
        values = kx.evaluation.measure(
            model,
            dataset,
            metrics,
            multi_label=kind == "multi_label",
            epsilon=8.0,
            pgd_steps=5,
            pgd_step_size=3.0,
            noise_samples=2,
        )
        return values, kx.explain(model, images)

    expected, heatmaps = found(1.0)
    first = expected.get("accuracy", expected.get("binary_accuracy")).mean()
    assert expected["pgd_accuracy"].mean() < first  # the attack does something
    for factor in (0.1, 10.0, 30.0, 100.0):
        values, others = found(factor)
        np.testing.assert_allclose(others, heatmaps, atol=1e-4)
        for name in expected:
            np.testing.assert_allclose(
                values[name], expected[name], atol=2e-3, err_msg=name
            )


def test_small_logits_in_half_precision_are_attacked_as_well():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = classifier(4, True)
    finally:
        keras.config.set_dtype_policy("float32")
    dataset, _ = data("one_label")
    names = ["fgsm_accuracy", "explanation_consistency"]
    expected = kx.evaluation.measure(model, dataset, names, epsilon=8.0)
    last = model.get_layer("logits")
    last.set_weights([1e-4 * weight for weight in last.get_weights()])
    found = kx.evaluation.measure(model, dataset, names, epsilon=8.0)
    for name in names:
        assert found[name].mean() == pytest.approx(expected[name].mean(), abs=0.05)
    assert found["explanation_consistency"].mean() < 0.9999


def test_a_report_says_whom_no_attack_reaches():
    model = classifier(4, True)
    last = model.get_layer("logits")
    last.set_weights([1e4 * weight for weight in last.get_weights()])
    saturated = keras.Model(model.inputs, layers.Activation("tanh")(model.output))
    dataset, _ = data("one_label")
    models = {"plain": model, "saturated": saturated}
    arguments = {"verbose": 0, "gallery": 0}
    found = kx.evaluate(models, dataset, ["fgsm_accuracy"], **arguments).to_dict()
    notes = [note for note in found["notes"] if note.startswith("No attack reaches")]
    assert len(notes) == 1 and f"of {COUNT} images of saturated" in notes[0]


def test_the_margin_is_that_of_the_nearest_other_class():
    logits = np.array([[3.0, 1.0, 2.5], [0.0, 4.0, -1.0]], "float32")
    np.testing.assert_allclose(attacks.margin_loss(logits, np.array([0, 2])), [-0.5, 5])
    labels = np.array([[1, 0, 1], [0, 1, 0]])
    found = attacks.margin_loss(logits, labels, multi_label=True)
    np.testing.assert_allclose(found, [-3 + 1 - 2.5, 0 - 4 - 1])


def test_the_margin_has_a_gradient_where_cross_entropy_has_none():
    logits = tf.constant([[200.0, 0.0, -50.0]])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        margin = attacks.margin_loss(logits, tf.constant([0]))
        entropy = tf.nn.sparse_softmax_cross_entropy_with_logits([0], logits)
    assert not tape.gradient(entropy, logits).numpy().any()
    np.testing.assert_array_equal(tape.gradient(margin, logits), [[-1.0, 1.0, 0.0]])
