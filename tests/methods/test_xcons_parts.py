"""Other weights, images and regions, and the consistency loss, by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_xcons import attacks
from keras_xcons.explainers import explained_pass
from keras_xcons.methods import XConsModel
from tests.methods.xcons_steps import (
    EPSILON,
    assert_steps,
    attacked_batch,
    cross_entropy,
    first_batch,
    fit,
    sgd_step,
    xcons,
)


def test_shuffled_weights_are_a_permutation(build, dataset, recording_loss):
    fit(xcons(build(), loss=recording_loss), dataset(ids=False, count=12))
    own = recording_loss.weights[-1]
    trainer = xcons(build(), loss=recording_loss, sample_weights="shuffled")
    data = dataset(ids=False, count=12)
    shuffled = [(fit(trainer, data), recording_loss.weights[-1])[1] for _ in range(2)]
    for weights in shuffled:
        np.testing.assert_allclose(np.sort(weights), np.sort(own), rtol=1e-5)
        assert np.abs(weights - own).max() > 0.1
    assert np.abs(shuffled[0] - shuffled[1]).max() > 0.1


@pytest.mark.parametrize("scale", ["mean", "raw"])
@pytest.mark.parametrize("schedule", ["batch", "memory", "epoch"])
def test_loss_weights_are_the_losses(
    schedule, scale, build, arrays, dataset, recording_loss
):
    """Whatever the size of a batch or the caller's weights, which multiply."""
    images, labels = arrays
    classifier = build()
    given = np.linspace(0.5, 2.0, 36, dtype="float32")
    losses = cross_entropy(classifier, images, labels)
    trainer = xcons(
        classifier, schedule, recording_loss, sample_weights="loss", weight_scale=scale
    )
    fit(trainer, dataset(batch=24, weights=given), epochs=2)
    if schedule != "batch":
        np.testing.assert_allclose(trainer.table.values, losses, rtol=1e-4)
    last = losses[24:] / (losses[24:].mean() if scale == "mean" else 1.0)
    # In a step of "memory", the losses are measured after the weights were used.
    found = recording_loss.weights[-2 if schedule == "memory" else -1]
    np.testing.assert_allclose(found, last * given[24:], rtol=1e-4)


@pytest.mark.parametrize("schedule", ["batch", "memory", "epoch"])
def test_adversarial_trains_on_the_attacked_images(
    schedule, build, arrays, dataset, by_hand
):
    images, labels = first_batch(arrays)
    classifier, attacked, before = attacked_batch(build, arrays, by_hand)
    weights = np.ones(12, "float32")
    expected = sgd_step(classifier, attacked, labels, weights)
    loss = cross_entropy(classifier, attacked, labels).mean()
    trainer = xcons(
        classifier,
        schedule,
        rate=0.1,
        clean_loss=False,
        attacked_loss=1.0,
        sample_weights="uniform",
    )
    history = fit(trainer, dataset(count=12))
    assert_steps(classifier, expected, before)
    assert history["loss"] == pytest.approx([loss], rel=1e-4)
    assert history["mean_weight"] == [1.0]
    uniform = sgd_step(build(), images, labels, weights)
    assert np.abs(uniform[0] - expected[0]).max() > 1e-4


def test_adversarial_training_leaves_regularisation_whole(
    build, arrays, dataset, by_hand
):
    classifier, attacked, _ = attacked_batch(build, arrays, by_hand)
    loss = cross_entropy(classifier, attacked, arrays[1][:12]).mean()
    kernel = classifier.trainable_variables[0]
    kernel.regularizer = keras.regularizers.L2(0.5)
    extra = 0.5 * float(np.sum(np.square(kernel)))
    given = {"clean_loss": False, "attacked_loss": 0.25, "sample_weights": "uniform"}
    history = fit(xcons(classifier, **given), dataset(ids=False, count=12))
    assert history["loss"] == pytest.approx([0.25 * loss + extra], rel=1e-4)


def test_whole_image_perturbs_the_object_too(build, arrays, dataset, by_hand):
    images, labels = first_batch(arrays)
    survival, attacked = by_hand(build(), images, labels, region="whole_image")
    other, spared = by_hand(build(), images, labels)
    inside = spared == images
    assert np.abs(attacked - images)[inside].max() == pytest.approx(EPSILON)
    trainer = xcons(build(), region="whole_image")
    history = fit(trainer, dataset(ids=False, count=12))
    assert history["consistency"] == pytest.approx([survival.mean()], rel=1e-5)
    assert abs(survival.mean() - other.mean()) > 1e-4


def test_uniform_weights_still_measure(build, arrays, dataset, by_hand):
    survival, _ = by_hand(build(), *arrays, by="cross-entropy")
    trainer = xcons(build(), "memory", sample_weights="uniform")
    history = fit(trainer, dataset(), epochs=2)
    np.testing.assert_allclose(trainer.table.values, 1.0 - survival, atol=1e-5)
    assert history["mean_weight"] == [1.0, 1.0]


# The consistency loss.


@pytest.mark.parametrize(
    ("schedule", "head"), [("batch", "closed"), ("memory", "tape"), ("epoch", "closed")]
)
def test_consistency_loss_adds_its_term(
    schedule, head, build, arrays, dataset, by_hand
):
    survival, _ = by_hand(build(head=head), *first_batch(arrays))
    losses = [
        fit(
            xcons(build(head=head), schedule, consistency_loss=factor),
            dataset(count=12),
        )["loss"][0]
        for factor in (0.0, 3.0)
    ]
    term = 3.0 * np.mean(1.0 - survival)
    assert losses[1] - losses[0] == pytest.approx(term, rel=1e-3)


@pytest.mark.parametrize("head", ["closed", "tape"])
def test_consistency_loss_has_the_gradient_of_its_term(head, build, arrays, dataset):
    """Checked by finite differences of the term along its own direction."""
    images, labels = first_batch(arrays)
    rate = 0.01
    weights = []
    for factor in (0.0, 1.0):
        classifier = build(head=head)
        trainer = xcons(
            classifier,
            "memory",
            rate=rate,
            consistency_loss=factor,
            measure="l1",
        )
        fit(trainer, dataset(count=12))
        weights.append([v.numpy() for v in classifier.trainable_variables])
    gradients = [(a - b) / rate for a, b in zip(*weights, strict=True)]
    squared = sum(float((g**2).sum()) for g in gradients)
    assert squared > 1e-6

    # The attacked images are constants in the step, and so they are here.
    from_here = build(head=head)
    view = XConsModel(from_here).view
    start = [v.numpy() for v in from_here.trainable_variables]

    def term(shift, attacked):
        for variable, value, gradient in zip(
            from_here.trainable_variables, start, gradients, strict=True
        ):
            variable.assign(value + shift * gradient)
        passes = [
            explained_pass(view, tf.constant(x), labels[:, None], True).maps
            for x in (images, attacked)
        ]
        return float(tf.reduce_mean(tf.abs(passes[0] - passes[1])))

    attacked = _attacked(view, images, labels)
    step = 1e-3 / np.sqrt(squared)
    slope = (term(step, attacked) - term(-step, attacked)) / (2 * step)
    assert slope == pytest.approx(squared, rel=0.05)


def _attacked(view, images, labels):
    batch = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(batch)
        maps, logits, _ = explained_pass(view, batch, labels[:, None], True)
        own = tf.one_hot(labels, logits.shape[-1])
        others = tf.reduce_max(logits - 1e9 * own, axis=-1)
        loss = others - tf.reduce_sum(own * logits, axis=-1)
    mask = attacks.region_mask(maps[:, 0], "background", 0.5, (16, 16))
    return attacks.fgsm(batch, tape.gradient(loss, batch), EPSILON, mask)
