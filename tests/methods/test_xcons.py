"""What a step of XCons does, compared with steps computed by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_xcons import attacks
from keras_xcons.consistency import sample_weights
from keras_xcons.explainers import explained_pass
from keras_xcons.methods import XConsModel
from keras_xcons.methods.random_numbers import seed_of
from tests.methods.xcons_steps import (
    EPSILON,
    assert_steps,
    cross_entropy,
    first_batch,
    fit,
    sgd_step,
    xcons,
)

# The batch schedule.


@pytest.mark.parametrize(
    ("head", "options"),
    [
        ("closed", {}),
        ("tape", {}),
        ("closed", {"weight_scale": "raw", "weight_floor": 0.9}),
        ("tape", {"weight_scale": "one_plus", "measure": "l1", "threshold": 0.2}),
        ("closed", {"weight_floor": 0.9, "measure": "soft_iou", "agreement": "soft"}),
        ("closed", {"weight_floor": 0.0, "measure": "ssim", "agreement": "hard"}),
    ],
)
def test_batch_weights(head, options, build, arrays, dataset, by_hand, recording_loss):
    images, labels = first_batch(arrays)
    asked = {k: v for k, v in options.items() if not k.startswith("weight_")}
    survival, _ = by_hand(build(head=head), images, labels, **asked)
    scale = options.get("weight_scale", "mean")
    floor = options.get("weight_floor", 0.1)
    expected = np.array(sample_weights(1.0 - survival, scale))
    if scale == "raw":
        floor *= expected.mean()  # A share of the mean weight.
    if options in ({}, {"weight_floor": 0.9, **asked}):
        assert expected.min() < floor  # So that the floor is seen to work.
    expected = np.maximum(expected, floor)

    trainer = xcons(build(head=head), loss=recording_loss, **options)
    history = fit(trainer, dataset(ids=False, count=12))
    np.testing.assert_allclose(
        recording_loss.weights[-1], expected, rtol=1e-3, atol=1e-5
    )
    assert history["consistency"] == pytest.approx([survival.mean()], rel=1e-5)
    assert history["mean_weight"] == pytest.approx([expected.mean()], rel=1e-4)
    losses = cross_entropy(trainer.classifier, images, labels)
    assert history["loss"] == pytest.approx([np.mean(expected * losses)], rel=1e-4)


@pytest.mark.parametrize("head", ["closed", "tape"])
def test_batch_step_updates_by_the_weighted_loss(head, build, arrays, dataset, by_hand):
    """And the caller's sample weights multiply on top."""
    images, labels = first_batch(arrays)
    given = np.linspace(0.5, 2.0, 36, dtype="float32")
    classifier = build(head=head)
    before = [v.numpy() for v in classifier.trainable_variables]
    survival, _ = by_hand(classifier, images, labels)
    weights = np.array(sample_weights(1.0 - survival, "mean", 0.1)) * given[:12]
    expected = sgd_step(classifier, images, labels, weights)
    fit(xcons(classifier, rate=0.1), dataset(ids=False, count=12, weights=given))
    assert_steps(classifier, expected, before)
    unweighted = sgd_step(build(head=head), images, labels, given[:12])
    assert np.abs(unweighted[0] - expected[0]).max() > 1e-4


def test_pgd_with_its_random_start(build, arrays, dataset, by_hand):
    images, labels = first_batch(arrays)
    seed = seed_of(7, keras.optimizers.SGD(), "start")

    def perturb(images, gradient_fn, mask):
        return attacks.pgd(images, gradient_fn, 20.0, 6.0, 3, mask, seed)

    survival, attacked = by_hand(build(), images, labels, perturb=perturb)
    assert 18.0 < np.abs(attacked - images).max() <= 20.001
    options = {"epsilon": 20.0, "step_size": 6.0, "attack_steps": 3, "seed": 7}
    trainer = xcons(build(), attack="pgd", **options)
    history = fit(trainer, dataset(ids=False, count=12))
    assert history["consistency"] == pytest.approx([survival.mean()], rel=1e-4)


def test_multi_label_looks_at_every_positive_label(build, arrays, dataset):
    images, _ = first_batch(arrays)
    labels = np.zeros((36, 5), "float32")
    labels[:, 1] = labels[:12:2, 3] = labels[np.arange(36), np.arange(36) % 5] = 1.0
    view = XConsModel(build()).view
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    classes = np.broadcast_to(np.arange(5), (12, 5))
    with tf.GradientTape() as tape:
        batch = tf.constant(images)
        tape.watch(batch)
        maps, logits, _ = explained_pass(view, batch, classes, True)
        value = tf.reduce_sum(logits * (1.0 - 2.0 * labels[:12]))
    claimed = tf.reduce_max(maps * labels[:12, :, None, None], axis=1)
    mask = attacks.region_mask(claimed, "background", 0.5, (16, 16))
    attacked = attacks.fgsm(batch, tape.gradient(value, batch), EPSILON, mask)
    others = np.array(explained_pass(view, attacked, classes, True).maps)
    survivals = []
    for positives, one, other in zip(labels, np.array(maps), others, strict=False):
        pairs = [(one[c].ravel(), other[c].ravel()) for c in np.flatnonzero(positives)]
        norms = [np.linalg.norm(a) * np.linalg.norm(b) for a, b in pairs]
        dots = [a @ b / n if n else 0.0 for (a, b), n in zip(pairs, norms, strict=True)]
        survivals.append(np.mean(dots))
    trainer = xcons(build(), multi_label=True, loss=loss)
    history = fit(trainer, dataset(ids=False, count=12, labels=labels))
    assert history["consistency"] == pytest.approx([np.mean(survivals)], rel=1e-5)


# The pass over attacked images.


def test_an_attack_of_strength_zero_changes_nothing(build, dataset):
    """The second pass draws the dropout mask of the first."""
    classifier = build(head="tape", dropout=0.5)
    dense = classifier.layers[-2]
    dense.kernel.assign(np.abs(dense.kernel))  # No map is empty.
    trainer = xcons(classifier, epsilon=0.0, loss=None)
    history = fit(trainer, dataset(ids=False))
    assert history["consistency"] == pytest.approx([1.0], abs=1e-6)
    trainer = xcons(classifier, "memory", epsilon=0.0, attack="pgd", attack_steps=2)
    assert fit(trainer, dataset())["consistency"] == pytest.approx([1.0], abs=1e-6)


@pytest.mark.parametrize("attack", ["fgsm", "pgd"])
def test_only_the_clean_pass_moves_the_moving_statistics(
    attack, build, arrays, dataset
):
    plain, classifier = build(live=True), build(live=True)
    plain(arrays[0][:12], training=True)
    states = [np.array(v) for v in plain.non_trainable_variables]
    fit(xcons(classifier, attack=attack), dataset(ids=False, count=12))
    found = [np.array(v) for v in classifier.non_trainable_variables]
    assert len(found) == 3  # Two moving statistics and the state of dropout.
    for left, right in zip(states, found, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-6)


# Warm-up, logs, evaluation.


@pytest.mark.parametrize("schedule", ["batch", "memory"])
def test_weights_are_one_while_warming_up(schedule, build, dataset, recording_loss):
    trainer = xcons(build(), schedule, recording_loss, warmup_epochs=2)
    seen = []
    callback = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(recording_loss.weights[-1])
    )
    fit(trainer, dataset(count=12), epochs=3, callbacks=callback)
    np.testing.assert_array_equal(seen[:2], np.ones((2, 12)))
    assert np.ptp(seen[2]) > 0.5
    # A second call of fit starts to count anew, as Keras does.
    fit(trainer, dataset(count=12), callbacks=[callback])
    np.testing.assert_array_equal(seen[3], np.ones(12))
    fit(trainer, dataset(count=12), epochs=3, initial_epoch=2, callbacks=[callback])
    assert np.ptp(seen[4]) > 0.5


@pytest.mark.parametrize("schedule", ["batch", "memory"])
def test_evaluate_and_predict_are_the_classifiers(schedule, build, arrays, dataset):
    classifier = build(live=True)
    trainer = xcons(classifier, schedule, rate=0.1)
    history = fit(trainer, dataset(), validation_data=dataset())
    assert {"loss", "accuracy", "consistency", "mean_weight"} <= set(history)
    assert {name for name in history if name.startswith("val_")} == {
        "val_loss",
        "val_accuracy",
    }
    classifier.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    images, labels = arrays
    fed = {"image": images, "sample_id": np.arange(36)}
    expected = classifier.evaluate(images, labels, verbose=0, return_dict=True)
    for data in (
        {"x": dataset()},
        {"x": dataset(ids=False)},
        {"x": fed, "y": labels},
        {"x": images, "y": labels},
    ):
        logs = trainer.evaluate(**data, verbose=0, return_dict=True)
        assert logs == pytest.approx(expected, rel=1e-5)
    values = classifier.evaluate(images, labels, verbose=0)
    assert trainer.evaluate(dataset(), verbose=0) == pytest.approx(values, rel=1e-5)
    assert set(trainer.test_on_batch(images, labels, return_dict=True)) == set(expected)
    expected = classifier.predict(images, verbose=0)
    for x in (dataset(), dataset(ids=False), fed, images, images.astype("float16")):
        rtol = 1e-2 if getattr(x, "dtype", None) == np.float16 else 1e-5
        found = trainer.predict(x, verbose=0)
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(trainer(images), classifier(images), rtol=1e-5)


def test_fit_takes_arrays(build, arrays, recording_loss):
    images, labels = arrays
    x = {"image": images.astype("uint8"), "sample_id": np.arange(36)}
    trainer = xcons(build(), "memory", recording_loss)
    trainer.fit(x, labels, batch_size=15, epochs=2, verbose=0)
    assert [len(w) for w in recording_loss.weights] == [15, 15, 6] * 2
    assert np.all(np.array(trainer.table.values) >= 0.0)
    tensors = tf.constant(images), tf.constant(labels)
    xcons(build()).fit(*tensors, batch_size=18, verbose=0)


def test_train_on_batch(build, arrays):
    trainer = xcons(build(), rate=0.1)
    before = trainer.classifier.get_weights()
    logs = trainer.train_on_batch(*first_batch(arrays), return_dict=True)
    assert set(logs) == {
        "loss",
        "accuracy",
        "consistency",
        "effective_share",
        "mean_weight",
        "zero_gradient",
    }
    assert np.abs(trainer.classifier.get_weights()[0] - before[0]).max() > 0


def test_the_classifier_is_the_very_one_and_holds_all_that_is_trained(build):
    classifier = build(live=True)
    kind = type(classifier)
    trainer = XConsModel(classifier, schedule="memory", num_samples=36)
    assert trainer.classifier is classifier
    assert type(classifier) is kind
    own = {id(v) for v in classifier.trainable_variables}
    assert {id(v) for v in trainer.trainable_variables} == own
    assert trainer.count_params() == classifier.count_params() + 36 + 1 + 2


def test_warns_of_logits_where_probabilities_are_expected(build):
    with pytest.warns(UserWarning, match="returns logits.*from_logits=True"):
        XConsModel(build()).compile(loss="sparse_categorical_crossentropy")
    with pytest.warns(UserWarning, match="returns logits"):
        XConsModel(build()).compile(loss=keras.losses.CategoricalCrossentropy())
    # Warnings are errors here: these give none.
    softmax = XConsModel(build(activation="softmax"))
    softmax.compile(loss="sparse_categorical_crossentropy")
    XConsModel(build()).compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    XConsModel(build()).compile(loss="mse")
