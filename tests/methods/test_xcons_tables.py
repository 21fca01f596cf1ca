"""Schedules of XCons that remember: what is measured, when, and what it weights."""

import numpy as np
import pytest
import tensorflow as tf

from keras_xcons.callbacks import EpochReweighting
from keras_xcons.consistency import sample_weights
from keras_xcons.methods.sample_table import UNSEEN
from tests.methods.xcons_steps import (
    assert_steps,
    first_batch,
    fit,
    sgd_step,
    xcons,
)

# The memory schedule.


def test_memory_remembers_and_weights_the_next_epoch(
    build, arrays, dataset, by_hand, recording_loss
):
    images, labels = arrays
    survival, _ = by_hand(build(), images, labels, by="cross-entropy")
    trainer = xcons(build(), "memory", recording_loss)
    np.testing.assert_array_equal(trainer.table.values, np.full(36, UNSEEN))
    history = fit(trainer, dataset(), epochs=2)
    np.testing.assert_allclose(trainer.table.values, 1.0 - survival, atol=1e-5)
    first, second = recording_loss.weights[:3], recording_loss.weights[3:]
    np.testing.assert_array_equal(first, np.ones((3, 12)))
    expected = [
        np.array(sample_weights(1.0 - part, "mean", 0.1))
        for part in np.split(survival, 3)
    ]
    np.testing.assert_allclose(second, expected, rtol=1e-3, atol=1e-5)
    assert np.ptp(second) > 0.5
    assert history["consistency"] == pytest.approx([survival.mean()] * 2, rel=1e-5)


@pytest.mark.parametrize("scale", ["raw", "one_plus"])
def test_memory_weights_are_one_before_anything_is_seen(
    scale, build, dataset, recording_loss
):
    trainer = xcons(build(), "memory", recording_loss, weight_scale=scale)
    fit(trainer, dataset(count=12))
    np.testing.assert_array_equal(recording_loss.weights, np.ones((1, 12)))


def test_memory_measures_before_the_update(build, arrays, dataset, by_hand):
    images, labels = first_batch(arrays)
    classifier = build()
    before = [v.numpy() for v in classifier.trainable_variables]
    survival, _ = by_hand(classifier, images, labels, by="cross-entropy")
    expected = sgd_step(classifier, images, labels, np.ones(12, "float32"))
    trainer = xcons(classifier, "memory", rate=0.1)
    fit(trainer, dataset(count=12))
    assert_steps(classifier, expected, before)
    np.testing.assert_allclose(trainer.table.values[:12], 1.0 - survival, atol=1e-5)
    np.testing.assert_array_equal(trainer.table.values[12:], np.full(24, UNSEEN))


def test_unseen_samples_count_as_the_average_one(build, dataset, recording_loss):
    trainer = xcons(build(), "memory", recording_loss)
    values = np.full(36, UNSEEN, "float32")
    values[:4] = [0.1, 0.2, 0.3, 0.6]
    trainer.table.values.assign(values)
    fit(trainer, dataset(count=12))
    expected = np.full(12, 0.3)
    expected[:4] = values[:4]
    np.testing.assert_allclose(recording_loss.weights[0], expected / 0.3, rtol=1e-6)


def test_a_sample_twice_in_a_batch_has_the_mean_of_both(build, arrays, by_hand):
    images, labels = first_batch(arrays)
    ids = np.array([0, 0, *range(2, 12)])
    data = tf.data.Dataset.from_tensors(({"image": images, "sample_id": ids}, labels))
    survival, _ = by_hand(build(), images, labels, by="cross-entropy")
    trainer = xcons(build(), "memory", num_samples=12)
    fit(trainer, data)
    expected = np.array([(2.0 - survival[:2].sum()) / 2, UNSEEN, *(1 - survival[2:])])
    np.testing.assert_allclose(trainer.table.values, expected, atol=1e-5)


# The epoch schedule.


def test_epoch_sweeps_the_training_set(build, arrays, dataset, by_hand, recording_loss):
    images, labels = arrays
    survival, _ = by_hand(build(dropout=0.5), images, labels, training=False)
    trainer = xcons(build(dropout=0.5), "epoch", recording_loss)
    history = fit(trainer, dataset(), epochs=2)
    np.testing.assert_allclose(trainer.table.values, 1.0 - survival, atol=1e-5)
    assert history["consistency"] == pytest.approx([survival.mean()] * 2, rel=1e-5)
    steps = recording_loss.weights
    np.testing.assert_array_equal(steps[:3], np.ones((3, 12)))
    expected = [
        np.array(sample_weights(1.0 - part, "mean", 0.1))
        for part in np.split(survival, 3)
    ]
    np.testing.assert_allclose(steps[-3:], expected, rtol=1e-3, atol=1e-5)


def test_refresh_table_returns_the_mean_consistency(build, dataset):
    trainer = xcons(build(), "epoch")
    mean = trainer.refresh_table(dataset(count=20))
    values = np.array(trainer.table.values)
    assert mean == pytest.approx(1.0 - values[:20].mean(), rel=1e-5)
    assert np.all(values[:20] >= 0.0) and np.all(values[20:] == UNSEEN)


@pytest.mark.parametrize(
    ("every", "own", "expected"), [(1, None, 4), (2, None, 2), (1, 2, 2), (3, None, 1)]
)
def test_sweeps_every_few_epochs(every, own, expected, build, dataset, monkeypatch):
    sweeps = []
    trainer = xcons(build(), "epoch", sweep_every=every)

    def refresh_table(data):
        sweeps.append(data)
        trainer.last_sweep.assign([1.0, 0.0])

    monkeypatch.setattr(trainer, "refresh_table", refresh_table)
    data = dataset(count=12)
    callbacks = [EpochReweighting(data, every=own)] if own else None
    history = fit(trainer, data, epochs=4, callbacks=callbacks)
    assert len(sweeps) == expected
    assert (sweeps[0] is data) == bool(own)
    assert np.isfinite(history["consistency"]).sum() == 5 - (own or every)


def test_epoch_steps_leave_the_table_to_the_sweeps(build, dataset):
    trainer = xcons(build(), "epoch", consistency_loss=0.5, sweep_every=2)
    fit(trainer, dataset(), epochs=1)
    np.testing.assert_array_equal(trainer.table.values, np.full(36, UNSEEN))
