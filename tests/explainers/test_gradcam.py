import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_xcons.explainers import GradCAMPlusPlus, class_gradients, explained_pass
from keras_xcons.explainers.vis import GradCAM
from keras_xcons.models import split


@pytest.fixture(scope="module")
def batch(images):
    return tf.constant(images.astype("float32"))


def with_tape(view):
    """The same view, but explained as if its head had no closed form."""
    return dataclasses.replace(view, dense=None)


@pytest.mark.parametrize("activation", [None, "softmax", "sigmoid"])
def test_closed_form_equals_the_tape(activation, build, batch):
    view = split(build(activation=activation, positive=False))
    assert view.closed_form
    classes = tf.constant([[0, 2], [1, 0], [2, 1], [0, 1]])
    closed = explained_pass(view, batch, classes)
    taped = explained_pass(with_tape(view), batch, classes)
    assert closed.maps.shape == (4, 2, 9, 9)
    assert np.any(closed.maps > 0.0)
    np.testing.assert_allclose(closed.maps, taped.maps, atol=1e-5)
    np.testing.assert_array_equal(closed.logits, taped.logits)
    np.testing.assert_array_equal(closed.outputs, view.model(batch))


def test_gradients_are_those_of_the_logits(build, batch):
    view = split(build(positive=False))
    activations, logits, _ = view(batch)
    classes = tf.constant([[0], [1], [2], [1]])
    gradients = class_gradients(view, logits, activations, classes)
    expected = np.array(view.dense.kernel).T[[0, 1, 2, 1]] / 81
    # In units of the largest absolute logit of the image.
    expected /= np.abs(logits).max(axis=1, keepdims=True)
    np.testing.assert_allclose(gradients[:, 0, 0, 0], expected, rtol=1e-6)


def test_dropout_before_the_head_is_left_out_in_training():
    """The closed form explains what the classifier computes in inference."""
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.9)(x)
    view = split(keras.Model(inputs, keras.layers.Dense(2)(x)))
    images = tf.random.stateless_uniform((2, 8, 8, 3), (0, 1), 0.0, 255.0)
    classes = tf.constant([[0], [1]])
    maps = explained_pass(view, images, classes, training=True).maps
    np.testing.assert_array_equal(maps, explained_pass(view, images, classes).maps)


def test_correlates_with_tf_keras_vis(build, images, batch):
    """Where alpha is nearly the same for all channels, the formulas meet.

    tf-keras-vis scales alpha so that it sums to 1 over each channel and keeps
    exp(score); where no channel makes most of a logit ours is nearly constant.
    """
    view = split(build())
    # All logits grow, and with them the unit of the scores.
    view.dense.bias.assign(view.dense.bias + 30.0)
    ours = GradCAMPlusPlus(view)(batch).numpy()

    class Theirs(GradCAM):
        _path = ("gradcam_plus_plus", "GradcamPlusPlus")

    theirs = Theirs(view)(batch).numpy()
    for one, other in zip(ours, theirs, strict=True):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] >= 0.999


@pytest.mark.parametrize("closed", [True, False])
def test_in_a_graph_and_under_xla(closed, build, batch):
    view = split(build())
    view = view if closed else with_tape(view)
    eager = explained_pass(view, batch).maps
    for arguments in ({}, {"jit_compile": True}):
        compiled = tf.function(lambda x: explained_pass(view, x).maps, **arguments)
        np.testing.assert_allclose(compiled(batch), eager, atol=1e-4)


@pytest.mark.parametrize("closed", [True, False])
def test_a_loss_of_maps_trains_the_model(closed, build, batch):
    model = build()
    view = split(model)
    view = view if closed else with_tape(view)
    classes = tf.constant([[0], [1], [2], [1]])
    variables = model.trainable_variables

    def loss():
        return tf.reduce_mean(explained_pass(view, batch, classes).maps ** 2)

    with tf.GradientTape() as tape:
        value = loss()
    gradients = tape.gradient(value, variables)
    assert all(np.all(np.isfinite(g)) for g in gradients if g is not None)
    by_name = {v.path: g for v, g in zip(variables, gradients, strict=True)}
    kernel = next(v for v in variables if v.path.endswith("features/kernel"))
    direction = by_name[kernel.path] / tf.norm(by_name[kernel.path])
    start = kernel.value + 0.0
    values = []
    for step in (1e-3, -1e-3):
        kernel.assign(start + step * direction)
        values.append(float(loss()))
    expected = (values[0] - values[1]) / 2e-3
    found = float(tf.reduce_sum(by_name[kernel.path] * direction))
    assert found == pytest.approx(expected, rel=5e-2)
    assert abs(found) > 1e-3


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("closed", [True, False])
def test_huge_scores_stay_finite(dtype, closed, build, batch):
    view = split(build(dtype))
    view.dense.kernel.assign(view.dense.kernel * 1e4)
    view = view if closed else with_tape(view)
    maps, logits, _ = explained_pass(view, batch)
    assert np.max(np.abs(logits)) > 1e3
    assert maps.dtype == "float32"
    assert np.all(np.isfinite(maps))
    np.testing.assert_allclose(np.max(maps, axis=(2, 3)), 1.0)


def test_no_positive_evidence_is_a_map_of_zeros(build, batch):
    view = split(build())
    view.dense.kernel.assign(-view.dense.kernel)
    np.testing.assert_array_equal(GradCAMPlusPlus(view)(batch), np.zeros((4, 9, 9)))
    maps = explained_pass(with_tape(view), batch).maps
    np.testing.assert_array_equal(maps, np.zeros((4, 1, 9, 9)))


def test_a_batch_equals_one_by_one(build, batch):
    view = with_tape(split(build(positive=False)))
    together = explained_pass(view, batch).maps
    alone = [explained_pass(view, batch[i : i + 1]).maps for i in range(4)]
    np.testing.assert_allclose(together, tf.concat(alone, axis=0), atol=1e-5)


def test_follows_training_after_it_was_made(build, batch):
    view = split(build(positive=False))
    explainer = GradCAMPlusPlus(view)
    labels = tf.constant([0, 1, 2, 0])
    before = explainer(batch, labels)
    view.dense.kernel.assign(np.abs(view.dense.kernel))
    after = explainer(batch, labels)
    assert np.any(before != after)
    np.testing.assert_allclose(after, GradCAMPlusPlus(view)(batch, labels), atol=1e-6)
