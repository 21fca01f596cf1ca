"""A classifier with one output tells two classes apart, wherever it is met."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_xcons as kx
from keras_xcons import explainers
from keras_xcons.recipes.explain import explain_files
from tests import families
from tests.methods.contract import WEIGHTS_ALONE

SIZE = 16
RANDOM = np.random.default_rng(0)
LABELS = np.arange(12) % 2
IMAGES = RANDOM.uniform(0, 255, (12, SIZE, SIZE, 3)).astype("float32")
IMAGES[LABELS == 1, :8, :8] *= 0.1


def classifier(units=1, activation=None, head="closed", pair=None, dtype="float32"):
    """With two units, the kernel of one unit makes theirs: `pair` times it."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        keras.utils.set_random_seed(3)
        images = keras.Input((SIZE, SIZE, 3))
        x = layers.Rescaling(1 / 127.5, offset=-1, dtype="float32")(images)
        x = layers.Conv2D(6, 3, 2, activation="relu")(x)
        x = layers.Conv2D(8, 3, activation="relu", name="features")(x)
        if head == "closed":
            x = layers.GlobalAveragePooling2D()(x)
        else:
            x = layers.Dense(8, activation="relu")(layers.Flatten()(x))
        dense = layers.Dense(units, activation=activation, name="scores")
        x = layers.Activation("linear", dtype="float32")(dense(x))
        model = keras.Model(images, x)
    finally:
        keras.config.set_dtype_policy(before)
    kernel = np.random.default_rng(1).normal(size=(8, 1)) * 3
    dense.kernel.assign(kernel * np.array(pair or [1.0]))
    return model


def trained(model, labels=LABELS, loss=None, given=None, rate=0.0, **options):
    """The history of two steps, and the trainer."""
    arguments = {**WEIGHTS_ALONE, "epsilon": 32.0, **options}
    trainer = kx.XConsModel(model, **arguments)
    loss = loss or keras.losses.BinaryCrossentropy(from_logits=True)
    trainer.compile(keras.optimizers.SGD(rate), loss, metrics=["accuracy"])
    data = (IMAGES, labels) if given is None else (IMAGES, labels, given)
    data = tf.data.Dataset.from_tensor_slices(data).batch(12)
    return trainer.fit(data, epochs=2, verbose=0).history, trainer


@pytest.mark.parametrize("ending", [None, "sigmoid", "layer", "mixed_float16"])
def test_the_view_has_the_logits_of_two_classes(ending):
    if ending == "layer":
        logits = classifier()
        model = keras.Model(logits.input, keras.activations.sigmoid(logits.output))
    elif ending == "mixed_float16":
        model = classifier(dtype=ending)
    else:
        model = classifier(activation=ending)
    view = kx.split(model)
    _, logits, outputs = view(IMAGES)
    z = np.array(classifier(dtype="float32")(IMAGES))
    tolerance = 1e-2 if ending == "mixed_float16" else 1e-5
    np.testing.assert_array_equal(logits[:, 0], np.zeros(12))
    np.testing.assert_allclose(logits[:, 1:], z, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(outputs, model(IMAGES))
    assert view.binary and view.num_classes == 2 and not view.multi_label
    chances = np.array(view.probabilities(logits))
    np.testing.assert_allclose(chances[:, 1:], 1 / (1 + np.exp(-z)), atol=tolerance)


@pytest.mark.parametrize("head", ["closed", "tape"])
@pytest.mark.parametrize(
    "explainer", sorted(set(explainers.names()) - families.EXPLAINERS)
)
def test_maps_of_either_class(explainer, head):
    """z speaks for class 1 and -z for class 0."""
    one, images = classifier(head=head, activation="sigmoid"), IMAGES[:4]
    both = classifier(2, head=head, pair=[-1.0, 1.0], activation="softmax")
    usual = classifier(2, head=head, pair=[0.0, 1.0], activation="softmax")
    found = [kx.explain(one, images, [label] * 4, explainer) for label in (0, 1)]
    assert found[0].max() > 0.9 and found[1].max() > 0.9
    # Score-CAM weighs by probabilities, those of softmax([0, z]).
    other = usual if explainer == "scorecam" else both
    for label in (0, 1):
        expected = kx.explain(other, images, [label] * 4, explainer)
        np.testing.assert_allclose(found[label], expected, atol=2e-5)
    expected = kx.explain(usual, images, [1] * 4, explainer)
    np.testing.assert_allclose(found[1], expected, atol=2e-5)
    chosen = (np.array(one(images))[:, 0] > 0.5).astype(int)
    predicted = kx.explain(one, images, explainer=explainer)
    expected = kx.explain(one, images, chosen, explainer)
    np.testing.assert_array_equal(predicted, expected)


@pytest.mark.parametrize("head", ["closed", "tape"])
@pytest.mark.parametrize("schedule", ["batch", "memory"])
def test_consistency_and_weights_are_those_of_two_outputs(schedule, head):
    """Attacks ask for the sign of the gradient, which the softmax of (-z, z) shares."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for pair, labels in (([-1.0, 1.0], LABELS), ([0.0, 1.0], np.ones(12, int))):
        found, _ = trained(classifier(head=head), labels, agreement="hard")
        expected, _ = trained(
            classifier(2, head=head, pair=pair), labels, loss, agreement="hard"
        )
        for name in ("consistency", "mean_weight"):
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-4)
        if pair[0] == 0.0:
            np.testing.assert_allclose(found["loss"], expected["loss"], rtol=1e-4)


def test_agreement_is_that_of_two_outputs():
    labels = np.ones(12, int)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    found, _ = trained(classifier(), labels, agreement="soft")
    expected, _ = trained(
        classifier(2, pair=[0.0, 1.0]), labels, loss, agreement="soft"
    )
    assert found["consistency"] == pytest.approx(expected["consistency"], rel=1e-4)


FORMS = {
    "column": LABELS[:, None],
    "floats": LABELS.astype("float32"),
    "column of floats": LABELS[:, None].astype("float32"),
    "booleans": LABELS == 1,
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_labels(form):
    expected, _ = trained(classifier(), rate=0.1)
    found, _ = trained(classifier(), FORMS[form], rate=0.1, multi_label=True)
    probabilities = keras.losses.BinaryCrossentropy()
    sigmoid, _ = trained(
        classifier(activation="sigmoid"), FORMS[form], probabilities, rate=0.1
    )
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, rel=1e-5), name
        # Keras counts a logit above 0.5 as class 1, whatever it means.
        if name != "accuracy":
            assert sigmoid[name] == pytest.approx(values, rel=1e-3), name
    trainer = kx.XConsModel(classifier(activation="sigmoid"), epsilon=32.0)
    metrics = ["accuracy", keras.metrics.BinaryAccuracy(), keras.metrics.AUC()]
    trainer.compile("sgd", "binary_crossentropy", metrics=metrics)
    history = trainer.fit(
        *(IMAGES, FORMS[form]), batch_size=6, verbose=0, class_weight={0: 1.0, 1: 2.0}
    ).history
    assert np.all(np.isfinite([*history.values()]))


@pytest.mark.parametrize("shape", [(12,), (12, 1)])
def test_uniform_weights_repeat_plain_keras(shape):
    labels, given = LABELS.reshape(shape), np.linspace(0.5, 2.0, 12, dtype="float32")
    _, trainer = trained(
        classifier(), labels, given=given, rate=0.1, sample_weights="uniform"
    )
    plain = classifier()
    plain.compile(
        keras.optimizers.SGD(0.1), keras.losses.BinaryCrossentropy(from_logits=True)
    )
    data = tf.data.Dataset.from_tensor_slices((IMAGES, labels, given)).batch(12)
    plain.fit(data, epochs=2, verbose=0, shuffle=False)
    for left, right in zip(
        plain.get_weights(), trainer.classifier.get_weights(), strict=True
    ):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        (LABELS + 1, "within 0..1"),
        (LABELS - 1, "within 0..1"),
        (LABELS * 1.5, "within 0..1"),
        (np.eye(2)[LABELS], r"\(batch, 1\) of 0 and 1, as the model has one output"),
    ],
)
def test_refuses_other_labels(labels, match):
    trainer = kx.XConsModel(classifier())
    trainer.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    for data in (
        (IMAGES, labels),
        (tf.data.Dataset.from_tensor_slices((IMAGES, labels)).batch(6),),
    ):
        with pytest.raises(ValueError, match=match):
            trainer.fit(*data, verbose=0)


def test_warns_of_logits_where_probabilities_are_expected():
    with pytest.warns(UserWarning, match="BinaryCrossentropy.from_logits=True"):
        kx.XConsModel(classifier()).compile("sgd", "binary_crossentropy")


@pytest.mark.parametrize("form", ["plain", "column", "floats"])
def test_evaluate(form):
    labels = FORMS.get(form, LABELS)
    data = tf.data.Dataset.from_tensor_slices((IMAGES, labels)).batch(6)
    models = {
        "one": classifier(activation="sigmoid"),
        "two": classifier(2, pair=[-1.0, 1.0]),
    }
    asked = {"multi_label": True} if form == "column" else {}
    report = kx.evaluate(
        *(models, data, ["classification", "consistency", "complexity"]),
        **asked,
        class_names=["ship"] if form == "floats" else None,
        verbose=0,
        gallery=4,
    ).to_dict()
    one, two = report["figures"]["one"], report["figures"]["two"]
    complexity = {"gini", "flat", "entropy"}
    assert set(one) == {"accuracy", "explanation_consistency"} | complexity
    for name, figure in one.items():
        # Images of class 0 are explained as well.
        assert figure["n"] == 12
        assert figure["value"] == pytest.approx(two[name]["value"], rel=1e-4), name


def test_evaluate_refuses_several_labels():
    labels = np.stack([LABELS, LABELS], axis=1)
    data = tf.data.Dataset.from_tensor_slices((IMAGES, labels)).batch(6)
    with pytest.raises(ValueError, match="one output takes labels of 0 and 1.*12 im"):
        kx.evaluate(classifier(), data, "accuracy", verbose=0)


def test_evaluate_a_folder_of_two_classes(tmp_path):
    for place, (image, label) in enumerate(zip(IMAGES, LABELS, strict=True)):
        folder = tmp_path / ("ship" if label else "car")
        folder.mkdir(parents=True, exist_ok=True)
        picture = np.rint(image).astype("uint8")
        keras.utils.save_img(folder / f"{place}.png", picture, scale=False)
    model = classifier(activation="sigmoid")
    report = kx.evaluate(model, tmp_path, "accuracy", split="train", verbose=0)
    right = (np.array(model(np.rint(IMAGES)))[:, 0] > 0.5) == LABELS
    (figures,) = report.to_dict()["figures"].values()
    assert figures["accuracy"]["value"] == pytest.approx(right.mean())


def test_the_command_explains_and_names_either_class(tmp_path):
    model = classifier(activation="sigmoid")
    model.save(tmp_path / "one.keras")
    kx.plotting.save(kx.plot(IMAGES[:1], np.ones((1, SIZE, SIZE))), tmp_path / "a.png")
    (tmp_path / "out").mkdir()
    lines = []
    for label in (None, "0", "1"):
        failed = explain_files(
            *(tmp_path / "one.keras", [tmp_path / "a.png"], tmp_path / "out"),
            *("gradcam++", label, lines.append),
        )
        assert failed == []
    assert "class 1" in lines[0] or "class 0" in lines[0]
    # Of two classes, the predicted one has at least half.
    assert float(lines[0].split("(")[1].split(" %")[0]) >= 50.0


def test_a_softmax_over_one_score_is_refused():
    with pytest.raises(ValueError, match="softmax over one score is 1 for every"):
        kx.split(classifier(activation="softmax"))
