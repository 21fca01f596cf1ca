"""What cannot be measured is neither the best nor the worst: weight 1, no E."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_xcons.data import with_sample_ids
from keras_xcons.methods import XConsModel
from keras_xcons.methods.sample_table import UNSEEN
from tests.methods.contract import WEIGHTS_ALONE

KINDS = ("no positive label", "empty map", "sample weight 0")
MISSING = [1, 4]
KNOWN = [0, 2, 3, 5, 6, 7]


class RecordingLoss(keras.losses.BinaryCrossentropy):
    """Remembers the weights that it was called with, if eager."""

    def __init__(self):
        super().__init__(from_logits=True)
        self.weights = []

    def __call__(self, y_true, y_pred, sample_weight=None):
        if tf.executing_eagerly():
            self.weights.append(np.array(sample_weight))
        return super().__call__(y_true, y_pred, sample_weight)


def classifier():
    """Of a black image the features are 0, and so is every map."""
    keras.utils.set_random_seed(1)
    images = keras.Input((12, 12, 3))
    x = layers.Rescaling(1 / 255)(images)
    x = layers.Conv2D(6, 3, activation="relu", use_bias=False)(x)
    x = layers.GlobalAveragePooling2D()(x)
    dense = layers.Dense(3)
    model = keras.Model(images, dense(x))
    # Some weight of each class is positive, so that no other map is empty.
    dense.kernel.assign(np.random.default_rng(1).normal(size=(6, 3)) + 0.3)
    return model


def samples(kind):
    """`(images, labels, sample_weight)` of eight samples; two cannot be measured."""
    random = np.random.default_rng(0)
    images = random.uniform(0, 255, (8, 12, 12, 3)).astype("float32")
    images *= np.linspace(0.2, 1.0, 8, dtype="float32")[:, None, None, None]
    labels = np.eye(3, dtype="float32")[np.arange(8) % 3]
    given = np.ones(8, "float32")
    if kind == "no positive label":
        labels[MISSING] = 0.0
    elif kind == "empty map":
        images[MISSING] = 0.0
    else:
        given[MISSING] = 0.0
    return images, labels, given


def run(schedule, parts, rows=slice(None), **options):
    """A trainer after two epochs at rate 0, its history, and the weights it used."""
    images, labels, given = (part[rows] for part in parts)
    data = tf.data.Dataset.from_tensor_slices((images, labels, given)).batch(8)
    loss = RecordingLoss()
    given = {"multi_label": True, "epsilon": 64.0, "num_samples": 8}
    options = {**WEIGHTS_ALONE, **given, **options}
    trainer = XConsModel(classifier(), schedule=schedule, **options)
    trainer.compile(keras.optimizers.SGD(0.0), loss, run_eagerly=True)
    data = with_sample_ids(data) if schedule != "batch" else data
    history = trainer.fit(data, epochs=2, shuffle=False, verbose=0).history
    return trainer, history, loss.weights[-1]


@pytest.mark.parametrize("schedule", ["batch", "memory", "epoch"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_value_is_left_out_and_weighs_one(kind, schedule):
    parts = samples(kind)
    trainer, history, weights = run(schedule, parts)
    # The same samples without those that cannot be measured.
    alone, expected, others = run(schedule, parts, KNOWN)
    assert np.ptp(others) > 0.1
    np.testing.assert_allclose(weights[KNOWN], others, rtol=1e-4)
    present = 0.0 if kind == "sample weight 0" else 1.0
    np.testing.assert_array_equal(weights[MISSING], [present, present])
    assert history["consistency"] == pytest.approx(expected["consistency"], rel=1e-5)
    if schedule != "batch":
        values = np.array(trainer.table.values)
        np.testing.assert_array_equal(values[MISSING], [UNSEEN, UNSEEN])
        np.testing.assert_allclose(
            values[KNOWN], np.array(alone.table.values)[:6], rtol=1e-5
        )


@pytest.mark.parametrize("attack", ["fgsm", "pgd"])
@pytest.mark.parametrize("source", ["shuffled", "loss", "consistency"])
def test_weights_leave_padding_out(source, attack):
    """Rows of sample weight 0 take nothing from the others, and give nothing."""
    options = {"sample_weights": source, "attack": attack, "attack_steps": 2}
    parts = samples("sample weight 0")
    _, history, weights = run("batch", parts, **options)
    _, expected, others = run("batch", parts, KNOWN, **options)
    assert weights[KNOWN].sum() == pytest.approx(others.sum(), rel=0.05)
    if source == "loss":
        np.testing.assert_allclose(weights[KNOWN], others, rtol=1e-4)
    if attack == "fgsm":
        consistency = expected["consistency"]
        assert history["consistency"] == pytest.approx(consistency, rel=1e-5)
        assert history["mean_weight"] == pytest.approx(
            expected["mean_weight"], rel=1e-4
        )


@pytest.mark.parametrize("schedule", ["batch", "memory", "epoch"])
def test_where_nothing_is_measured_there_is_no_figure(schedule):
    images, labels, given = samples("empty map")
    trainer, history, weights = run(schedule, (images * 0.0, labels, given))
    assert np.all(np.isnan(history["consistency"]))
    assert history["mean_weight"] == [1.0, 1.0]
    np.testing.assert_array_equal(weights, np.ones(8))
    if schedule != "batch":
        np.testing.assert_array_equal(trainer.table.values, np.full(8, UNSEEN))


@pytest.mark.parametrize("agreement", [None, "soft"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_term_has_finite_gradients(kind, agreement):
    """Of the samples that have an E, whose mean the term is."""
    found = []
    for rows in (slice(None), KNOWN):
        images, labels, given = (part[rows] for part in samples(kind))
        # Without the loss of the caller, the term alone is learned from.
        options = {"consistency_loss": 1.0, "epsilon": 64.0, "agreement": agreement}
        trainer = XConsModel(classifier(), multi_label=True, **options)
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        trainer.compile(keras.optimizers.SGD(0.1), loss, loss_weights=1e-12)
        trainer.fit(images, labels, batch_size=8, verbose=0, sample_weight=given)
        found.append(trainer.classifier.get_weights())
    start = classifier().get_weights()
    for one, other in zip(*found, strict=True):
        assert np.all(np.isfinite(one))
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
    assert np.abs(found[0][0] - start[0]).max() > 1e-4
