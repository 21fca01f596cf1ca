"""Sound weights, and terms that learn from attacked images: XCons beyond the paper."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_xcons import attacks, consistency
from keras_xcons.explainers import explained_pass
from keras_xcons.methods import XConsModel
from keras_xcons.methods.sample_table import ClassMeans, SampleTable
from keras_xcons.methods.xcons.attacking import attack
from keras_xcons.methods.xcons.options import PAPER, XConsOptions
from tests.methods.xcons_steps import (
    assert_steps,
    attacked_batch,
    cross_entropy,
    first_batch,
    fit,
    sgd_step,
    xcons,
)


@pytest.mark.parametrize("level", [0.5, 1e-2, 1e-4])
@pytest.mark.parametrize("share", [0.3, 0.8, 1.0])
def test_weights_keep_an_effective_number_of_samples(level, share):
    """Whatever the network: E of 0.5 or of 0.9999, and with a tail."""
    values = level * np.array([0.0, 0.1, 0.2, 0.3, 0.4, 8.0], "float32")
    relative = values / values.mean()
    bare = relative.sum() ** 2 / (6 * (relative**2).sum())
    weights = np.array(consistency.sample_weights(values, effective_share=share))
    found = weights.sum() ** 2 / (6 * (weights**2).sum())
    assert bare < 0.3 and found == pytest.approx(share, abs=1e-4)
    assert weights.mean() == pytest.approx(1.0, abs=1e-5)
    # Drawn towards 1, all by the same share of the way.
    if share < 1.0:
        ways = (weights - 1.0) / (relative - 1.0)
        np.testing.assert_allclose(ways, ways[0], rtol=1e-3)
    assert float(consistency.effective_share(weights)) == pytest.approx(found, rel=1e-4)


def test_weights_within_the_bound_stay():
    values = np.array([0.4, 0.5, 0.6], "float32")
    left, right = (
        consistency.sample_weights(values, effective_share=share)
        for share in (0.8, None)
    )
    np.testing.assert_allclose(left, right, rtol=1e-6)


def test_the_table_averages_over_visits():
    table = SampleTable(3)
    for values in ([0.8, 0.2], [0.4, np.nan]):
        table.store(np.array([0, 2]), np.array(values, "float32"), momentum=0.75)
    np.testing.assert_allclose(table.values, [0.7, -1.0, 0.2], rtol=1e-6)


def test_class_means_by_hand():
    means = ClassMeans(3, decay=0.5)
    means.update(np.array([0, 0, 1]), np.array([1.0, 3.0, np.nan], "float32"))
    means.update(np.array([0, 2]), np.array([5.0, 0.0], "float32"))
    # Of class 0: (0.5 · 4 + 5) / (0.5 · 2 + 1) = 3.5. Class 2 has the mean 0.
    values = np.array([7.0, 2.0, 4.0, np.nan], "float32")
    found = means.relative(np.array([0, 1, 2, 0]), values)
    np.testing.assert_allclose(found, [2.0, 1.0, 1.0, np.nan], rtol=1e-6)
    again = ClassMeans.from_config(means.get_config())
    assert (again.num_classes, again.decay) == (3, 0.5)


@pytest.mark.parametrize("schedule", ["batch", "memory", "epoch"])
def test_no_class_is_starved(schedule, build, arrays, dataset, recording_loss):
    trainer = xcons(
        *(build(), schedule, recording_loss),
        balance="class",
        weight_floor=0.0,
    )
    fit(trainer, dataset(batch=36), epochs=2)
    weights, labels = recording_loss.weights[-1], arrays[1]
    assert weights.std() > 0.05
    mean = [weights[labels == label].mean() for label in range(5)]
    np.testing.assert_allclose(mean, 1.0, rtol=1e-3)


@pytest.mark.parametrize("schedule", ["batch", "memory", "epoch"])
def test_the_loss_of_attacked_images_is_added(
    schedule, build, arrays, dataset, by_hand
):
    images, labels = first_batch(arrays)
    classifier, attacked, before = attacked_batch(build, arrays, by_hand)
    both, ones = np.concatenate([images, attacked]), np.ones(12, "float32")
    # Both losses are means over 12 images, here over 24.
    expected = sgd_step(
        *(classifier, both, np.concatenate([labels, labels])),
        2.0 * np.concatenate([ones, 0.5 * ones]),
    )
    losses = [cross_entropy(classifier, x, labels).mean() for x in (images, attacked)]
    trainer = xcons(
        *(classifier, schedule), rate=0.1, sample_weights="uniform", attacked_loss=0.5
    )
    history = fit(trainer, dataset(count=12))
    assert_steps(classifier, expected, before)
    assert history["loss"] == pytest.approx([losses[0] + 0.5 * losses[1]], rel=1e-4)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("schedule", ["batch", "memory"])
def test_steps_between_attacks_are_plain(schedule, jit, build, arrays):
    images, labels = first_batch(arrays)
    options = {"attacked_loss": 1.0, "consistency_loss": 1.0, "every": 3}
    trainer = XConsModel(
        build(), schedule=schedule, num_samples=12, epsilon=64.0, **options
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trainer.compile(keras.optimizers.SGD(0.05), loss, jit_compile=jit)
    plain, moved = build(), []
    plain.compile(keras.optimizers.SGD(0.05), loss)
    x = {"image": images, "sample_id": np.arange(12)}
    for step in range(4):
        plain.set_weights(trainer.classifier.get_weights())
        if schedule == "memory":
            # The weights that are remembered are no part of what is compared.
            trainer.table.values.assign(tf.fill(12, -1.0))
        logs = trainer.train_on_batch(x, labels, return_dict=True)
        told = plain.train_on_batch(images, labels, return_dict=True)
        moved.append(
            max(
                np.abs(left - right).max()
                for left, right in zip(
                    *(plain.get_weights(), trainer.classifier.get_weights()),
                    strict=True,
                )
            )
        )
        attacked = step % 3 == 0
        assert np.isfinite(logs["consistency"]) == attacked
        assert np.isfinite(logs["zero_gradient"]) == attacked
        if not attacked:
            assert logs["loss"] == pytest.approx(told["loss"], rel=1e-4)
            assert logs["mean_weight"] == pytest.approx(1.0)
    assert max(moved[1:3]) < 1e-6 and min(moved[0], moved[3]) > 1e-4


def test_backgrounds_are_swapped(build, arrays):
    images, labels = first_batch(arrays)
    view = XConsModel(build()).view
    clean = explained_pass(view, tf.constant(images), labels[:, None])
    targets = type("Targets", (), {"valid": tf.ones((12, 1))})
    options = XConsOptions(attack="swap")
    found = attack(images, clean, targets, None, None, (0, 1), options)
    mask = attacks.region_mask(clean.maps[:, 0], "background", 0.5, (16, 16)).numpy()
    assert 0.1 < mask.mean() < 0.9
    inside = np.broadcast_to(mask > 0.0, images.shape)
    np.testing.assert_array_equal(found.images[~inside], images[~inside])
    steps = [
        step
        for step in range(12)
        if np.array_equal(found.images[inside], np.roll(images, step, 0)[inside])
    ]
    assert len(steps) == 1 and steps[0] > 0
    assert np.all(found.judged) and not np.any(found.zero)
    one = explained_pass(view, tf.constant(images[:1]), labels[:1, None])
    targets = type("Targets", (), {"valid": tf.ones((1, 1))})
    alone = attack(images[:1], one, targets, None, None, (0, 1), options)
    np.testing.assert_array_equal(alone.images, images[:1])
    assert not np.any(alone.judged)


def test_an_image_without_a_map_keeps_its_own_background(build, arrays):
    images, labels = first_batch(arrays)
    view = XConsModel(build()).view
    clean = explained_pass(view, tf.constant(images), labels[:, None])
    shown = np.arange(12) % 3 > 0
    maps = clean.maps * shown[:, None, None, None].astype("float32")
    targets = type("Targets", (), {"valid": tf.ones((12, 1))})
    options = XConsOptions(attack="swap")
    given = clean._replace(maps=maps), targets, None, None, (0, 1), options
    found = attack(images, *given)
    np.testing.assert_array_equal(found.judged, shown)
    changed = np.any(found.images != images, axis=(1, 2, 3))
    # A map may cover a whole image.
    assert not changed[~shown].any() and changed[shown].sum() > 5


def test_the_preset_of_the_paper(build):
    trainer = XConsModel(build(), preset="paper", measure="l1")
    options = trainer.options
    assert options.measure == "l1" and options.effective_share is None
    assert {**PAPER, "measure": "l1"}.items() <= trainer.get_config().items()
    again = XConsModel.from_config(trainer.get_config())
    assert again.options == options
    with pytest.raises(ValueError, match="Unknown preset. Did you mean 'paper'"):
        XConsModel(build(), preset="papers")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"effective_share": 0.0}, "`effective_share` must be within \\(0.0, 1.0\\]"),
        ({"effective_share": 1.5}, "`effective_share` must be within"),
        ({"attacked_loss": -0.1}, "`attacked_loss` must be within"),
        ({"consistency_loss": float("nan")}, "`consistency_loss` must be within"),
        ({"memory_momentum": 1.0}, "`memory_momentum` must be within"),
        ({"every": 0}, "`every` must be within"),
        ({"attack": "swap", "region": "whole_image"}, "takes another background"),
        ({"balance": "classes"}, "Unknown balance. Did you mean 'class'"),
        ({"balance": "class", "multi_label": True}, "takes images of one class each"),
    ],
)
def test_options_that_are_refused(options, match, build):
    with pytest.raises(ValueError, match=match):
        XConsModel(build(), **options)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"effective_share": 0.5}, "`effective_share` has no effect with sample_w"),
        ({"balance": "class"}, "`balance` has no effect with sample_weights='unif"),
        ({"warmup_epochs": 2}, "`warmup_epochs` has no effect with sample_weights="),
        (
            {"preset": "paper", "weight_scale": "raw", "effective_share": 0.9},
            "`effective_share` has no effect with weight_scale='raw'",
        ),
        (
            {"preset": "paper", "memory_momentum": 0.5},
            "`memory_momentum` has no effect with schedule='batch'",
        ),
    ],
)
def test_options_without_effect_are_told(options, match, build):
    with pytest.warns(UserWarning, match=match):
        XConsModel(build(), **options)


def test_steps_that_attack_are_counted_under_accumulation(build, dataset):
    """In steps, of which two make an update here."""
    trainer = XConsModel(build(), every=2)
    optimizer = keras.optimizers.SGD(0.01, gradient_accumulation_steps=2)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trainer.compile(optimizer, loss)
    told = []
    for batch in dataset(ids=False):
        trainer.reset_metrics()
        logs = trainer.train_on_batch(*batch, return_dict=True)
        told.append(np.isfinite(logs["consistency"]))
    assert told == [True, False, True]
