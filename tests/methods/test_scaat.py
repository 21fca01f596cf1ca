"""SCAAT's formula, against a slow transcription, and what it is for."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_xcons as kx
from keras_xcons.methods import scaat
from keras_xcons.methods.scaat import SCAATModel, SCAATOptions

CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def by_hand(model, images, labels, start, epsilon, step_size, steps, weight, **other):
    """The loss of a batch and its attacked images, image by image, in float64."""
    losses, attacked = [], []
    for image, label, noise in zip(images, labels, start, strict=True):
        image = image.astype("float64")
        moved = np.clip(image + noise, 0.0, 255.0)
        for _ in range(steps):
            slope, climb = gradients(model, moved, label)
            salient = np.abs(slope).mean(-1)
            salient = salient / salient.max()
            if other.get("budget") == "quantile":
                place = int(np.floor(other["quantile"] * (salient.size - 1)))
                limit = np.sort(salient.ravel())[place]
                budget = epsilon * (salient <= limit)
            else:
                budget = epsilon * (1.0 - salient)
            change = moved + step_size * np.sign(climb) - image
            change = np.clip(change, -budget[..., None], budget[..., None])
            moved = np.clip(image + change, 0.0, 255.0)
        clean, after = (log_softmax(model, each) for each in (image, moved))
        if other.get("term") == "loss":
            term = -after[label]
        else:
            term = sum(np.exp(clean[c]) * (clean[c] - after[c]) for c in range(5))
        losses.append(-clean[label] + weight * term)
        attacked.append(moved)
    return np.mean(losses), np.array(attacked)


def gradients(model, image, label):
    """Of the label's logit, and of the best other logit minus it."""
    found = []
    for kind in ("logit", "margin"):
        images = tf.constant(image[None], tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(images)
            logits = model(images)[0]
            others = tf.concat([logits[:label], logits[label + 1 :]], 0)
            margin = tf.reduce_max(others) - logits[label]
            value = logits[label] if kind == "logit" else margin
        found.append(tape.gradient(value, images)[0].numpy().astype("float64"))
    return found


def log_softmax(model, image):
    logits = model(image[None].astype("float32")).numpy()[0].astype("float64")
    return logits - np.log(np.exp(logits).sum())


def first_step(model, images, labels, monkeypatch, **options):
    """The loss of one step, its attacked images and its random start."""
    starts, steps = [], []
    draw, step = tf.random.stateless_uniform, scaat.budgeted_step

    def uniform(*args):
        starts.append(draw(*args).numpy())
        return tf.constant(starts[-1])

    def budgeted(*args):
        steps.append((step(*args).numpy(), args[3].numpy()))
        return tf.constant(steps[-1][0])

    monkeypatch.setattr(tf.random, "stateless_uniform", uniform)
    monkeypatch.setattr(scaat, "budgeted_step", budgeted)
    trainer = SCAATModel(model, **options)
    trainer.compile(keras.optimizers.SGD(0.0), CROSS_ENTROPY, run_eagerly=True)
    logs = trainer.train_on_batch(images, labels, return_dict=True)
    return logs, steps, starts[-1]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"term": "loss", "weight": 0.5},
        {"budget": "quantile", "quantile": 0.6, "attack_steps": 2},
    ],
    ids=str,
)
def test_the_loss_is_that_of_the_transcription(options, build, arrays, monkeypatch):
    model = build()
    images, labels = arrays[0][:6], arrays[1][:6]
    logs, steps, start = first_step(model, images, labels, monkeypatch, **options)
    asked = SCAATOptions(**options)
    expected, attacked = by_hand(
        *(model, images, labels, start),
        epsilon=asked.epsilon,
        step_size=asked.step_size,
        steps=asked.attack_steps,
        weight=asked.weight,
        **{k: v for k, v in options.items() if k not in ("weight", "attack_steps")},
    )
    assert len(steps) == asked.attack_steps
    # A sign may turn where a gradient is next to nothing.
    assert np.mean(np.abs(steps[-1][0] - attacked) > 1e-3) < 0.002
    assert logs["loss"] == pytest.approx(expected, rel=1e-4)
    assert np.abs(start).max() <= 8.0 < np.abs(start).max() + 0.1


def test_the_budget_holds_at_every_pixel(build, arrays, monkeypatch):
    images, labels = arrays[0][:12], arrays[1][:12]
    _, steps, _ = first_step(build(), images, labels, monkeypatch, epsilon=32.0)
    for attacked, budget in steps:
        assert np.all(np.abs(attacked - images) <= budget + 1e-3)
        assert attacked.min() >= 0.0 and attacked.max() <= 255.0
        # Nothing moves where the image is most salient, and elsewhere much does.
        assert np.all(budget.min((1, 2, 3)) == 0.0) and budget.mean() > 16.0
    assert np.abs(steps[-1][0] - images).mean() > 2.0


def test_divergence_of_hand_made_logits():
    logits = np.log(np.array([[0.5, 0.5], [0.9, 0.1]]))
    others = np.log(np.array([[0.25, 0.75], [0.9, 0.1]]))
    expected = [0.5 * np.log(0.5 / 0.25) + 0.5 * np.log(0.5 / 0.75), 0.0]
    np.testing.assert_allclose(
        scaat.divergence(logits, others), expected, rtol=1e-5, atol=1e-7
    )
    # Of independent classes, the sum: sigmoid(0) is 0.5, sigmoid(log 3) 0.75.
    found = scaat.divergence(np.zeros((1, 2)), np.log([[3.0, 1.0]]), multi_label=True)
    expected = 0.5 * np.log(0.5 / 0.75) + 0.5 * np.log(0.5 / 0.25)
    np.testing.assert_allclose(found, [expected], rtol=1e-5)


def test_images_without_a_gradient_are_counted(build, arrays):
    model = build()
    model.layers[-2].kernel.assign(tf.zeros_like(model.layers[-2].kernel))
    trainer = SCAATModel(model)
    trainer.compile(keras.optimizers.SGD(0.0), CROSS_ENTROPY)
    logs = trainer.fit(*arrays, batch_size=12, verbose=0).history
    assert logs["zero_gradient"] == [1.0] and logs["attacked_term"] == [0.0]
    # Nothing is salient, so everything may move.
    assert logs["budget"] == [1.0]


def test_sample_weights_weigh_the_term(build, arrays):
    """A padded row has no part in it."""
    images, labels = arrays[0][:6], arrays[1][:6]
    weights = np.array([1, 1, 1, 0, 0, 0], "float32")
    logs = []
    for spoiled in (False, True):
        moved = images.copy()
        if spoiled:
            moved[3:] = 255.0 - moved[3:]
        trainer = SCAATModel(build(), weight=5.0)
        trainer.compile(keras.optimizers.SGD(0.0), CROSS_ENTROPY)
        logs.append(trainer.train_on_batch(moved, labels, weights, return_dict=True))
    assert logs[0]["loss"] == pytest.approx(logs[1]["loss"], rel=1e-5)
    assert logs[0]["attacked_term"] > 0.0


def test_it_learns_to_mind_attacks_less(build, arrays):
    """What it is for: with the term, attacks move the predictions less."""
    terms = {}
    for weight in (0.0, 30.0):
        trainer = kx.trainer("scaat", build(), weight=weight, epsilon=32.0)
        trainer.compile(keras.optimizers.Adam(3e-3), CROSS_ENTROPY)
        history = trainer.fit(*arrays, batch_size=12, epochs=15, verbose=0).history
        terms[weight] = np.mean(history["attacked_term"][-3:])
    assert terms[30.0] < 0.5 * terms[0.0]
