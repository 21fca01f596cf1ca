"""XLA, eager, several steps an execution, mixed precision, kinds of classifiers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_xcons.methods import XConsModel
from tests.methods.contract import WEIGHTS_ALONE

# The "batch" schedule is in test_every_method.py.
SCHEDULES = ("memory", "epoch")


def logits_loss(kind="SparseCategorical"):
    return getattr(keras.losses, f"{kind}Crossentropy")(from_logits=True)


def run(classifier, schedule, data, epochs=2, loss=None, options=None, **compile_):
    """Trains two epochs and returns the trainer and its history."""
    options = {
        **WEIGHTS_ALONE,
        **{"num_samples": 36, "epsilon": 64.0, **(options or {})},
    }
    trainer = XConsModel(classifier, schedule=schedule, **options)
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
    arguments = {"optimizer": optimizer, "jit_compile": False, **compile_}
    trainer.compile(loss=loss or logits_loss(), metrics=["accuracy"], **arguments)
    history = trainer.fit(data, epochs=epochs, verbose=0, shuffle=False).history
    return trainer, history


def check_trained(trainer, history, uneven=True):
    assert {"loss", "accuracy", "consistency", "mean_weight"} <= set(history)
    for name, values in history.items():
        assert np.all(np.isfinite(values)), name
    assert 0.0 < np.min(history["consistency"]) <= 1.0
    for value in trainer.get_weights():
        assert np.all(np.isfinite(value))
    if trainer.table is not None:
        values = np.array(trainer.table.values)
        assert values.min() >= 0.0 and np.ptp(values) > 0.0


@pytest.fixture(scope="module")
def graph_run(build, dataset):
    """`graph_run(schedule)`: a run as a graph, to compare with; four steps an epoch."""
    runs = {}

    def get(schedule):
        if schedule not in runs:
            runs[schedule] = run(build(), schedule, dataset(batch=9))
        return runs[schedule]

    return get


MODES = {
    "eager": {"run_eagerly": True},
    "several steps": {"steps_per_execution": 4},
    "uneven steps": {"steps_per_execution": 3},
    "xla": {"jit_compile": True},
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("mode", ["eager", "several steps", "xla"])
def test_modes_give_the_same_run(mode, schedule, graph_run, build, dataset):
    check_mode(mode, schedule, graph_run, build, dataset)


def test_steps_that_do_not_divide_an_epoch(graph_run, build, dataset):
    check_mode("uneven steps", "memory", graph_run, build, dataset)


def check_mode(mode, schedule, graph_run, build, dataset):
    expected, expected_history = graph_run(schedule)
    check_trained(expected, expected_history)
    found, history = run(build(), schedule, dataset(batch=9), **MODES[mode])
    assert found.jit_compile == ("xla" in mode)
    check_trained(found, history)
    for name, values in expected_history.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-3, err_msg=name)
    weights = zip(expected.get_weights(), found.get_weights(), strict=True)
    for left, right in weights:
        np.testing.assert_allclose(left, right, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"clean_loss": False, "attacked_loss": 1.0, "attack": "pgd", "attack_steps": 2},
        {"sample_weights": "shuffled", "consistency_loss": 0.5, "measure": "ssim"},
        {"sample_weights": "loss", "agreement": "soft", "warmup_epochs": 1},
        {
            "sample_weights": "consistency",
            "attacked_loss": 0.5,
            "consistency_loss": 0.5,
            "every": 2,
        },
        {
            "sample_weights": "consistency",
            "attack": "swap",
            "attacked_loss": 0.5,
            "balance": "class",
        },
    ],
    ids=str,
)
def test_options_under_xla(options, build, dataset):
    """A head that needs the tape, whose maps are second order in the loss."""
    # So many steps an epoch that each image is attacked in one of two.
    count = 36 if "every" in options else 24
    data = dataset(count=count)
    options = {**options, "num_samples": count}
    classifier = build(head="tape")
    check_trained(*run(classifier, "memory", data, options=options, jit_compile=True))


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(dtype, schedule, build, dataset, arrays):
    classifier = build(dtype=dtype, head="closed" if schedule == "epoch" else "tape")
    before = [np.array(v) for v in classifier.trainable_variables]
    trainer, history = run(classifier, schedule, dataset())
    check_trained(trainer, history)
    scaling = isinstance(trainer.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaling == (dtype == "mixed_float16")
    assert trainer.dtype_policy.name == dtype
    for old, variable in zip(before, classifier.trainable_variables, strict=True):
        assert variable.dtype == "float32"
        assert np.abs(old - np.array(variable)).max() > 0.0
    # The images reach the classifier as they are, not rounded to bfloat16.
    expected = np.array(classifier(arrays[0]))
    np.testing.assert_array_equal(trainer(arrays[0]), expected)
    rounded = np.array(classifier(np.rint(arrays[0])))
    assert np.abs(rounded - expected).max() > 0.0


def test_sweeps_scale_the_loss_in_float16(build, dataset):
    """Else the image gradients of a small loss vanish, and nothing is attacked."""
    trainer = XConsModel(
        build(dtype="mixed_float16"), schedule="epoch", num_samples=36, epsilon=64.0
    )
    trainer.compile("sgd", logits_loss(), loss_weights=1e-6)
    trainer.refresh_table(dataset())
    expected = XConsModel(build(), schedule="epoch", num_samples=36, epsilon=64.0)
    expected.compile("sgd", logits_loss())
    expected.refresh_table(dataset())
    # Single samples may differ where a gradient is next to nothing; without the
    # scaling all of them would be 0.
    mean = trainer.table.values.numpy().mean()
    assert mean == pytest.approx(expected.table.values.numpy().mean(), rel=0.3)
    assert mean > 0.01


@pytest.mark.parametrize(
    ("schedule", "attack"), [("batch", "fgsm"), ("memory", "fgsm"), ("memory", "pgd")]
)
def test_mixed_float16_survives_an_overflow(schedule, attack, build, dataset):
    """The first steps are skipped until the loss scale has come down."""
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.05), initial_scale=2.0**28
    )
    classifier = build(dtype="mixed_float16", head="tape")
    before = classifier.get_weights()
    data = dataset()
    trainer, history = run(
        *(classifier, schedule, data),
        options={"attack": attack, "attack_steps": 1},
        epochs=1,
        optimizer=optimizer,
        run_eagerly=True,
    )
    assert np.isnan(history["consistency"]) and history["mean_weight"] == [1.0]
    assert float(optimizer.dynamic_scale.value) < 2.0**28
    assert np.all(np.isfinite(history["loss"]))
    if trainer.table is not None:
        # No attack could be made, so nothing is known of any sample.
        np.testing.assert_array_equal(trainer.table.values, -1.0)
    for left, right in zip(before, classifier.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize(
    ("schedule", "kind"),
    [
        ("batch", "softmax"),
        ("memory", "softmax"),
        ("batch", "one-hot"),
        ("epoch", "one-hot"),
        ("memory", "multi-label"),
        ("epoch", "multi-label"),
    ],
)
def test_kinds_of_labels(schedule, kind, build, arrays, dataset):
    labels, loss, options, activation = arrays[1], None, {}, None
    one_hot = np.eye(5, dtype="float32")[arrays[1]]
    if kind == "softmax":
        loss, activation = "sparse_categorical_crossentropy", "softmax"
    elif kind == "one-hot":
        loss, labels, activation = "categorical_crossentropy", one_hot, "softmax"
    else:
        loss, options = logits_loss("Binary"), {"multi_label": True}
        labels = np.maximum(one_hot, one_hot[::-1])
    data = dataset(labels=labels)
    classifier = build(activation=activation, nested=True)
    trainer, history = run(
        classifier, schedule, data, loss=loss, options=options, run_eagerly=True
    )
    check_trained(trainer, history)
    if activation:
        outputs = trainer.predict(dataset(), verbose=0)
        np.testing.assert_allclose(outputs.sum(1), 1.0, rtol=1e-5)


def test_softmax_and_logits_give_the_same_run(build, dataset):
    found = [
        run(build(activation=activation), "memory", dataset(), loss=loss)[1]
        for activation, loss in (
            (None, logits_loss()),
            ("softmax", "sparse_categorical_crossentropy"),
        )
    ]
    for name in ("loss", "consistency"):
        np.testing.assert_allclose(found[0][name], found[1][name], rtol=1e-4)


@pytest.mark.parametrize("schedule", ["batch", "memory"])
def test_gradient_accumulation(schedule, build, dataset):
    """The third update of a variable is the first one under accumulation of 3."""
    optimizer = keras.optimizers.SGD(0.05, gradient_accumulation_steps=3)
    classifier, weights = build(), []
    record = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: weights.append(
            classifier.trainable_variables[0].numpy()
        )
    )
    trainer = XConsModel(classifier, schedule=schedule, num_samples=36)
    trainer.compile(optimizer, logits_loss(), run_eagerly=True)
    trainer.fit(dataset(), callbacks=[record], verbose=0)
    np.testing.assert_array_equal(weights[0], weights[1])
    assert np.abs(weights[2] - weights[1]).max() > 0.0


def test_frozen_layers_stay_and_are_still_explained(build, dataset):
    classifier = build(head="tape", nested=True)
    body = classifier.layers[1]
    body.trainable = False
    before = body.get_weights()
    trainer, history = run(classifier, "memory", dataset(), run_eagerly=True)
    check_trained(trainer, history)
    assert np.max(history["consistency"]) < 0.9999
    for left, right in zip(before, body.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_images_of_any_size_as_bytes(dataset):
    inputs = keras.Input((None, None, 3), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(6, 3, activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    classifier = keras.Model(inputs, keras.layers.Dense(5)(x))
    data = dataset().map(
        lambda x, y: ({**x, "image": tf.cast(x["image"], tf.uint8)}, y)
    )
    check_trained(*run(classifier, "memory", data, run_eagerly=True))
