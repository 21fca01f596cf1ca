import numpy as np
import pytest
import tensorflow as tf

from keras_xcons.consistency import (
    MAP_MEASURES,
    explanation_consistency,
    map_consistency,
    prediction_agreement,
    sample_weights,
)

A = np.array([[[1.0, 0.0], [0.5, 0.0]]], "float32")
B = np.array([[[1.0, 1.0], [0.0, 0.0]]], "float32")
ZERO = np.zeros_like(A)


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        ("cosine", 1.0 / np.sqrt(1.25 * 2.0)),
        ("soft_iou", 1.0 / 2.5),
        ("l1", 1.0 - 1.5 / 4.0),
    ],
)
def test_measures_by_hand(measure, expected):
    value = map_consistency(A, B, measure)
    assert value.shape == (1,)
    np.testing.assert_allclose(value, [expected], rtol=1e-6)


def test_ssim_by_hand():
    """Of constant maps only the luminance term is left, with C1 = 0.01²."""
    a, b = np.full((1, 7, 7), 0.2, "float32"), np.full((1, 7, 7), 0.8, "float32")
    expected = (2 * 0.2 * 0.8 + 1e-4) / (0.2**2 + 0.8**2 + 1e-4)
    np.testing.assert_allclose(map_consistency(a, b, "ssim"), [expected], rtol=1e-3)


def test_negative_ssim_is_cut_to_zero():
    a = np.indices((12, 12)).sum(axis=0)[None] % 2
    value = map_consistency(a.astype("float32"), 1.0 - a, "ssim")
    np.testing.assert_array_equal(value, [0.0])


@pytest.mark.parametrize("measure", MAP_MEASURES)
def test_equal_maps_are_consistent_and_empty_ones_are_not(measure):
    np.testing.assert_allclose(map_consistency(A, A, measure), [1.0], rtol=1e-6)
    np.testing.assert_array_equal(map_consistency(A, ZERO, measure), [0.0])


@pytest.mark.parametrize("measure", MAP_MEASURES)
def test_where_there_is_nothing_to_compare_the_value_is_missing(measure):
    broken = np.where(A == 1.0, np.nan, A)
    for pair in ((ZERO, A), (ZERO, ZERO), (broken, A), (A, broken)):
        np.testing.assert_array_equal(map_consistency(*pair, measure), [np.nan])


@pytest.mark.parametrize("measure", MAP_MEASURES)
def test_range_symmetry_and_leading_axes(measure):
    random = np.random.default_rng(0)
    maps, others = random.uniform(size=(2, 5, 3, 6, 7)).astype("float32")
    values = np.array(map_consistency(maps, others, measure))
    assert values.shape == (5, 3)
    assert values.dtype == np.float32
    assert values.min() >= 0.0 and values.max() <= 1.0
    back = map_consistency(others, maps, measure)
    np.testing.assert_allclose(values, back, rtol=1e-5)
    one = map_consistency(maps[1, 2], others[1, 2], measure)
    np.testing.assert_allclose(values[1, 2], one, rtol=1e-5)


@pytest.mark.parametrize("measure", MAP_MEASURES)
@pytest.mark.parametrize("pair", [(A, B), (A, A), (A, ZERO), (ZERO, A), (ZERO, ZERO)])
def test_gradients_are_finite(measure, pair):
    inputs = [tf.constant(maps) for maps in pair]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = tf.reduce_sum(map_consistency(*inputs, measure))
    for gradient in tape.gradient(value, inputs):
        assert np.all(np.isfinite(gradient))


def test_gradient_of_the_cosine_by_hand():
    """d cos(a, b) / d a = b / (|a||b|) - cos · a / |a|²."""
    a = tf.constant(A)
    with tf.GradientTape() as tape:
        tape.watch(a)
        value = map_consistency(a, B, "cosine")
    norm = np.sqrt(1.25 * 2.0)
    expected = B / norm - A / norm / 1.25
    np.testing.assert_allclose(tape.gradient(value, a), expected, atol=1e-6)


def test_refuses_an_unknown_measure():
    with pytest.raises(ValueError, match="Did you mean 'cosine'.*'cosin'"):
        map_consistency(A, B, "cosin")


def test_hard_agreement():
    logits = np.array([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]])
    others = np.array([[9.0, 8.0, 7.0], [3.0, 1.0, 2.0]])
    value = prediction_agreement(logits, others, "hard")
    np.testing.assert_array_equal(value, [1.0, 0.0])


def test_hard_agreement_of_several_labels():
    logits = np.array([[1.0, -1.0, 2.0], [1.0, -1.0, 2.0]])
    others = np.array([[5.0, -9.0, 0.1], [1.0, 1.0, 2.0]])
    value = prediction_agreement(logits, others, "hard", multi_label=True)
    np.testing.assert_array_equal(value, [1.0, 0.0])


def test_soft_agreement():
    """Softmax (0.8, 0.2) and (0.5, 0.5): the total variation distance is 0.3."""
    logits = np.log([[0.8, 0.2], [0.8, 0.2]])
    others = np.array([[0.0, 0.0], [np.log(0.8), np.log(0.2)]])
    value = prediction_agreement(logits, others, "soft")
    np.testing.assert_allclose(value, [0.7, 1.0], rtol=1e-6)


def test_soft_agreement_of_several_labels():
    """Sigmoids (0.5, 0.5) and (0.75, 0.5): the mean difference is 0.125."""
    logits, others = np.array([[0.0, 0.0]]), np.array([[np.log(3.0), 0.0]])
    value = prediction_agreement(logits, others, "soft", multi_label=True)
    np.testing.assert_allclose(value, [0.875], rtol=1e-6)


def test_refuses_an_unknown_agreement():
    with pytest.raises(ValueError, match="Unknown agreement.*'hard', 'soft'"):
        prediction_agreement(np.zeros((1, 2)), np.zeros((1, 2)), "medium")


def test_consistency_of_an_image_is_the_mean_over_its_classes():
    maps = np.stack([A, A, B], axis=1)
    others = np.stack([A, B, ZERO], axis=1)
    value = explanation_consistency(maps, others, measure="soft_iou")
    np.testing.assert_allclose(value, [(1.0 + 0.4 + 0.0) / 3], rtol=1e-6)
    valid = np.array([[1.0, 1.0, 0.0]])
    value = explanation_consistency(maps, others, valid, "soft_iou")
    np.testing.assert_allclose(value, [0.7], rtol=1e-6)
    none = explanation_consistency(maps, others, np.zeros((1, 3)))
    np.testing.assert_array_equal(none, [np.nan])
    # A class without a map does not count, one whose map is gone does.
    maps = np.stack([A, ZERO, B], axis=1)
    value = explanation_consistency(maps, others, measure="soft_iou")
    np.testing.assert_allclose(value, [(1.0 + 0.0) / 2], rtol=1e-6)


@pytest.mark.parametrize("measure", MAP_MEASURES)
def test_gradients_of_missing_values_are_zero(measure):
    maps = tf.constant(np.stack([[A[0], B[0]], [ZERO[0], ZERO[0]]]))
    others = tf.constant(np.stack([[B[0], B[0]], [A[0], ZERO[0]]]))
    with tf.GradientTape() as tape:
        tape.watch([maps, others])
        value = explanation_consistency(maps, others, measure=measure)
        total = tf.reduce_sum(tf.where(tf.math.is_nan(value), 0.0, value))
    np.testing.assert_array_equal(np.isnan(value), [False, True])
    for gradient in tape.gradient(total, [maps, others]):
        assert np.all(np.isfinite(gradient))
        np.testing.assert_array_equal(gradient[1], np.zeros((2, 2, 2)))


VALUES = np.array([0.0, 0.25, 0.5, 0.25], "float32")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, [0.0, 1.0, 2.0, 1.0]),
        ({"scale": "raw"}, VALUES),
        ({"scale": "one_plus"}, 1.0 + VALUES),
        ({"scale": "raw", "floor": 0.8}, [0.2, 0.25, 0.5, 0.25]),
        ({"floor": 0.25}, [0.25, 1.0, 2.0, 1.0]),
        ({"mean": lambda values, counts: 0.5}, VALUES / 0.5),
    ],
)
def test_sample_weights(arguments, expected):
    weights = sample_weights(VALUES, **arguments)
    assert weights.dtype == "float32"
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_sample_weights_where_nothing_survives():
    zeros = np.zeros(3, "float32")
    np.testing.assert_array_equal(sample_weights(zeros), np.ones(3))
    np.testing.assert_array_equal(sample_weights(zeros, "raw"), zeros)
    np.testing.assert_array_equal(sample_weights(zeros, "raw", floor=0.1), zeros)
    np.testing.assert_array_equal(sample_weights(zeros, "one_plus"), np.ones(3))


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        ("mean", [0.0, 1.0, 2.0, 1.0, 1.0]),
        ("raw", [0.0, 0.25, 0.5, 0.25, 0.25]),
        ("one_plus", [1.0, 1.25, 1.5, 1.25, 1.25]),
    ],
)
def test_a_missing_value_weighs_what_the_mean_weighs(scale, expected):
    for missing in (np.nan, np.inf):
        values = np.array([0.0, 0.25, 0.5, missing, 0.25], "float32")[[0, 1, 2, 4, 3]]
        weights = sample_weights(values, scale)
        np.testing.assert_allclose(weights, expected, rtol=1e-6)
        nothing = sample_weights(np.full(3, missing, "float32"), scale, floor=0.1)
        np.testing.assert_array_equal(nothing, np.ones(3))


@pytest.mark.parametrize("share", [1e-39, np.float64(0.8), 1])
def test_any_share_is_kept(share):
    weights = np.array(sample_weights(VALUES, effective_share=share))
    assert np.all(np.isfinite(weights))
    if share == 1:
        np.testing.assert_allclose(weights, np.ones(4), atol=1e-6)


def test_refuses_an_unknown_scale():
    with pytest.raises(ValueError, match="Did you mean 'mean'.*'men'"):
        sample_weights(VALUES, "men")
