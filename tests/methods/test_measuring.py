import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_xcons.explainers import (
    Explained,
    Targets,
    explained_pass,
)
from keras_xcons.methods.passes import MeanOfKnown, random_states
from keras_xcons.methods.xcons.attacking import attack, attack_loss
from keras_xcons.methods.xcons.options import XConsOptions
from keras_xcons.methods.xcons.weighting import batch_weights, consistency_of
from keras_xcons.models import split


def random_model():
    """Batch normalisation, two dropouts (one nested), a random augmentation."""
    keras.utils.set_random_seed(0)
    inner = keras.Sequential([keras.Input((8, 8, 4)), layers.SpatialDropout2D(0.4)])
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.RandomFlip(),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.BatchNormalization(momentum=0.5),
            inner,
            layers.ReLU(name="features"),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(3),
        ]
    )
    return model


def test_a_still_pass_repeats_the_pass_before_it():
    model = random_model()
    view = split(model)
    states = random_states(model)
    assert len(states) == 3
    images = tf.random.stateless_uniform((5, 8, 8, 3), (0, 1))
    classes = np.zeros((5, 1), "int32")
    first = explained_pass(view, images, classes, training=True)
    after = [v.numpy() for v in model.variables]
    with keras.StatelessScope(state_mapping=states):
        second = explained_pass(view, images, classes, training=True)
    for left, right in zip(first, second, strict=True):
        np.testing.assert_array_equal(left, right)
    for variable, value in zip(model.variables, after, strict=True):
        np.testing.assert_array_equal(variable, value)
    third = explained_pass(view, images, classes, training=True)
    assert np.abs(third.logits - first.logits).max() > 1e-3


def test_an_attack_spares_what_any_label_claims():
    """Two labels claim one quarter each; the class that is no label claims none."""
    maps = np.zeros((1, 3, 2, 2), "float32")
    maps[0, 0, 0, 0] = maps[0, 1, 1, 1] = maps[0, 2, 0, 1] = 1.0
    clean = Explained(tf.constant(maps), None, None)
    targets = Targets(None, tf.constant([[1.0, 1.0, 0.0]]))
    images = tf.fill((1, 2, 2, 3), 100.0)
    gradient = -tf.ones_like(images)
    found = {}
    for region in ("background", "foreground", "whole_image"):
        options = XConsOptions(preset="paper", region=region, epsilon=8.0)
        attacked = attack(images, clean, targets, gradient, None, None, options)
        assert np.all(attacked.judged) and not np.any(attacked.zero)
        found[region] = attacked.images[0, :, :, 0]
    expected = [[100.0, 92.0], [92.0, 100.0]]
    np.testing.assert_array_equal(found["background"], expected)
    other = [[92.0, 100.0], [100.0, 92.0]]
    np.testing.assert_array_equal(found["foreground"], other)
    np.testing.assert_array_equal(found["whole_image"], np.full((2, 2), 92.0))


@pytest.mark.parametrize("kind", ["fgsm", "pgd"])
def test_gradients_that_are_no_number_attack_nothing(kind):
    """float16 overflows now and then, until the loss scale has come down."""
    clean = Explained(tf.zeros((1, 1, 2, 2)), None, None)
    targets = Targets(None, tf.ones((1, 1)))
    images = tf.fill((1, 2, 2, 1), 100.0)
    gradient = tf.reshape(tf.constant([np.nan, np.inf, -1.0, np.nan]), (1, 2, 2, 1))
    options = XConsOptions(
        preset="paper", attack=kind, epsilon=8.0, step_size=8.0, attack_steps=4
    )
    attacked = attack(
        images, clean, targets, gradient, lambda _: gradient, (0, 1), options
    )
    assert not np.any(attacked.judged) and not np.any(attacked.zero)
    found = np.array(attacked.images)[0, :, :, 0]
    np.testing.assert_allclose([found[0, 1], found[1, 0]], [108.0, 92.0])
    assert np.all(np.abs(found - 100.0) <= 8.0)
    if kind == "fgsm":
        assert found[0, 0] == found[1, 1] == 100.0


@pytest.mark.parametrize("kind", ["fgsm", "pgd"])
def test_a_gradient_that_is_all_zero_is_no_attack(kind):
    clean = Explained(tf.zeros((3, 1, 2, 2)), None, None)
    targets = Targets(None, tf.ones((3, 1)))
    images = tf.fill((3, 2, 2, 1), 100.0)
    gradient = np.zeros((3, 2, 2, 1), "float32")
    gradient[1, 0, 1], gradient[2, 0, 0] = -1e-30, np.nan
    gradient = tf.constant(gradient)
    options = XConsOptions(preset="paper", attack=kind, attack_steps=2)
    attacked = attack(
        images, clean, targets, gradient, lambda _: gradient, (0, 1), options
    )
    np.testing.assert_array_equal(attacked.zero, [True, False, False])
    np.testing.assert_array_equal(attacked.judged, [False, True, False])


def test_images_are_attacked_by_the_mean_margin():
    logits = tf.constant([[3.0, 1.0, 0.5], [0.0, 4.0, 6.0]])
    one = Targets(tf.constant([[0], [1]]), tf.ones((2, 1)))
    assert (
        float(attack_loss(logits, one, XConsOptions(preset="paper"))) == 0.0
    )  # (-2 + 2) / 2
    several = Targets(None, tf.constant([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    options = XConsOptions(preset="paper", multi_label=True)
    found = attack_loss(logits, several, options)
    assert float(found) == pytest.approx((-3.0 - 1.0 + 0.5 + 4.0 - 6.0) / 2)


def explained(maps, logits):
    return Explained(tf.constant(maps), tf.constant(logits), None)


def test_consistency_counts_valid_maps_and_agreement():
    one = np.zeros((2, 2, 2, 2), "float32")
    one[..., 0, 0] = 1.0
    other = one.copy()
    other[0, 1] = [[0.0, 1.0], [0.0, 0.0]]
    clean = explained(one, [[2.0, 0.0], [2.0, 0.0]])
    attacked = explained(other, [[1.0, 0.0], [0.0, 1.0]])
    both = Targets(None, tf.ones((2, 2)))
    first = Targets(None, tf.constant([[1.0, 0.0]] * 2))
    options = XConsOptions(preset="paper")
    np.testing.assert_allclose(consistency_of(clean, attacked, both, options), [0.5, 1])
    np.testing.assert_allclose(consistency_of(clean, attacked, first, options), [1, 1])
    hard = XConsOptions(preset="paper", agreement="hard")
    np.testing.assert_allclose(consistency_of(clean, attacked, both, hard), [0.5, 0])


VALUES = tf.constant([0.1, 0.2, 0.3, 0.6])


def weights(warm=False, values=VALUES, **options):
    options = XConsOptions(preset="paper", **{"weight_floor": 0.5, **options})
    return np.array(batch_weights(values, tf.constant(warm), (3, 0), options))


def test_batch_weights_by_scale_and_floor():
    np.testing.assert_allclose(weights(), [0.5, 2 / 3, 1.0, 2.0], rtol=1e-6)
    np.testing.assert_allclose(weights(weight_scale="raw"), [0.15, 0.2, 0.3, 0.6])
    np.testing.assert_allclose(
        weights(weight_scale="one_plus"), [1.1, 1.2, 1.3, 1.6], rtol=1e-6
    )


def test_what_batch_weights_are_made_of():
    np.testing.assert_array_equal(weights(sample_weights="uniform"), np.ones(4))
    np.testing.assert_array_equal(weights(sample_weights="loss"), weights())
    shuffled = weights(sample_weights="shuffled")
    np.testing.assert_allclose(np.sort(shuffled), weights())
    assert np.any(shuffled != weights())
    np.testing.assert_array_equal(weights(sample_weights="shuffled"), shuffled)


def test_missing_values_are_not_shuffled():
    """A padded row must not take the weight of a real one."""
    values = tf.constant([np.nan, 0.1, 0.2, np.nan, 0.3, 0.6])
    found = weights(values=values, sample_weights="shuffled")
    np.testing.assert_array_equal(found[[0, 3]], [1.0, 1.0])
    rows = [1, 2, 4, 5]
    np.testing.assert_allclose(np.sort(found[rows]), weights(), rtol=1e-6)
    assert np.any(found[rows] != weights())


def test_the_mean_of_known_values():
    metric = MeanOfKnown(name="mean")
    assert np.isnan(metric.result())
    metric.update_state(tf.constant([0.25, np.nan, 0.75]))
    metric.update_state(tf.constant([np.nan, 0.8]), sample_weight=[1.0, 0.0])
    assert float(metric.result()) == 0.5
    metric.reset_state()
    assert np.isnan(metric.result())


def test_batch_weights_while_warming_up():
    for source in ("consistency", "shuffled", "loss"):
        found = weights(warm=True, sample_weights=source)
        np.testing.assert_array_equal(found, np.ones(4))
