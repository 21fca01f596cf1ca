"""What a step of XCons does, compared with steps computed by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_xcons import attacks
from keras_xcons.callbacks import EpochReweighting
from keras_xcons.consistency import sample_weights
from keras_xcons.explainers import explained_pass
from keras_xcons.methods import XConsModel
from keras_xcons.methods.random_numbers import seed_of
from keras_xcons.methods.sample_table import UNSEEN

EPSILON = 64.0


def xcons(classifier, schedule="batch", loss=None, rate=0.0, **options):
    """A compiled, eager trainer that by default learns nothing."""
    given = {"num_samples": 36, "epsilon": EPSILON, "preset": "paper"}
    options = {**given, **options}
    trainer = XConsModel(classifier, schedule=schedule, **options)
    loss = loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trainer.compile(
        keras.optimizers.SGD(rate), loss, metrics=["accuracy"], run_eagerly=True
    )
    return trainer


def fit(trainer, data, epochs=1, **arguments):
    return trainer.fit(
        data, epochs=epochs, verbose=0, shuffle=False, **arguments
    ).history


def cross_entropy(classifier, images, labels, training=True):
    """The loss of each image, from NumPy logits."""
    logits = np.array(classifier(images, training=training), "float64")
    logits -= logits.max(1, keepdims=True)
    log_softmax = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return -log_softmax[np.arange(len(labels)), labels]


def sgd_step(classifier, images, labels, weights, rate=0.1):
    """The weights of a classifier after one step on a weighted mean loss."""
    with tf.GradientTape() as tape:
        outputs = classifier(images, training=True)
        losses = tf.keras.losses.sparse_categorical_crossentropy(
            labels, outputs, from_logits=True
        )
        loss = tf.reduce_mean(weights * losses)
    gradients = tape.gradient(loss, list(classifier.trainable_variables))
    pairs = zip(classifier.trainable_variables, gradients, strict=True)
    return [np.array(variable - rate * gradient) for variable, gradient in pairs]


def first_batch(arrays):
    return arrays[0][:12], arrays[1][:12]


def assert_steps(classifier, expected, before):
    for found, wanted, old in zip(
        classifier.trainable_variables, expected, before, strict=True
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
        assert np.abs(wanted - old).max() > 1e-5


# The batch schedule.


@pytest.mark.parametrize(
    ("head", "options"),
    [
        ("closed", {}),
        ("tape", {}),
        ("closed", {"weight_scale": "raw", "weight_floor": 0.3}),
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
    monkeypatch.setattr(trainer, "refresh_table", lambda data: sweeps.append(data) or 1)
    data = dataset(count=12)
    callbacks = [EpochReweighting(data, every=own)] if own else None
    history = fit(trainer, data, epochs=4, callbacks=callbacks)
    assert len(sweeps) == expected
    assert (sweeps[0] is data) == bool(own)
    assert len(history["consistency"]) == expected


def test_a_sweep_over_an_endless_dataset_is_refused(build, dataset):
    trainer = xcons(build(), "epoch")
    with pytest.raises(ValueError, match="endless.*EpochReweighting"):
        fit(trainer, dataset().repeat(), steps_per_epoch=2)


def test_epoch_steps_leave_the_table_to_the_sweeps(build, dataset):
    trainer = xcons(build(), "epoch", consistency_loss=0.5, sweep_every=2)
    fit(trainer, dataset(), epochs=1)
    np.testing.assert_array_equal(trainer.table.values, np.full(36, UNSEEN))


# Controls.


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
    classifier = build()
    before = [v.numpy() for v in classifier.trainable_variables]
    _, attacked = by_hand(classifier, images, labels)
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
    classifier = build()
    _, attacked = by_hand(classifier, *first_batch(arrays))
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
    assert trainer.count_params() == classifier.count_params() + 36 + 1


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
