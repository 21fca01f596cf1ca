import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_xcons.layers import GradCAMPlusPlus, grad_cam_plus_plus, scale_to_one


def normal(*shape):
    """The same numbers for the same shape, whatever ran before."""
    return np.random.default_rng(sum(shape)).normal(size=shape).astype("float32")


def literal(activations, gradients):
    """METHODS.md, word by word, in float64 and one image at a time.

    alpha = G² / (2 G² + (sum_ab A_ab) · G³), 0 where the denominator is 0
    w_k   = sum_ij alpha_ij · relu(G_ij)
    map   = relu(sum_k w_k A_k), divided by its own maximum
    """
    maps = []
    for a, g in zip(activations.astype("f8"), gradients.astype("f8"), strict=True):
        height, width, channels = a.shape
        heat = np.zeros((height, width))
        for k in range(channels):
            weight = 0.0
            for i, j in itertools.product(range(height), range(width)):
                gradient = g[i, j, k]
                denominator = 2 * gradient**2 + a[:, :, k].sum() * gradient**3
                alpha = gradient**2 / denominator if denominator != 0 else 0.0
                weight += alpha * max(gradient, 0.0)
            heat += weight * a[:, :, k]
        heat = np.maximum(heat, 0.0)
        maps.append(heat / heat.max() if heat.max() > 0 else heat)
    return np.stack(maps)


def random_case(batch=3, height=5, width=4, channels=6, relu=True):
    activations, gradients = normal(2, batch, height, width, channels)
    return np.maximum(activations, 0.0) if relu else activations, gradients


@pytest.mark.parametrize("relu", [True, False])
def test_equals_the_formula(relu):
    activations, gradients = random_case(relu=relu)
    expected = literal(activations, gradients)
    maps = np.array(grad_cam_plus_plus(activations, gradients))
    assert maps.dtype == np.float32
    # Without ReLU a denominator may come close to 0, which costs digits.
    np.testing.assert_allclose(maps, expected, atol=1e-5 if relu else 1e-3)


def test_equals_the_formula_where_gradients_are_zero():
    activations, gradients = random_case()
    gradients[normal(*gradients.shape) < 0.0] = 0.0
    activations[0, :, :, 0] = 0.0
    maps = grad_cam_plus_plus(activations, gradients)
    np.testing.assert_allclose(maps, literal(activations, gradients), atol=1e-5)


def test_equals_the_formula_for_constant_gradients():
    activations, gradients = random_case()
    constant = gradients[:, :1, :1]
    expected = literal(activations, np.broadcast_to(constant, activations.shape))
    maps = grad_cam_plus_plus(activations, constant)
    np.testing.assert_allclose(maps, expected, atol=1e-5)


def test_a_denominator_of_zero_makes_alpha_zero():
    """2 G² + sum(A) · G³ = 0 with G = 1 and sum(A) = -2."""
    activations = np.full((1, 2, 1, 2), -1.0, "float32")
    activations[..., 1] = [[[1.0], [3.0]]]
    gradients = np.ones_like(activations)
    expected = literal(activations, gradients)
    assert expected.max() == 1.0
    np.testing.assert_allclose(grad_cam_plus_plus(activations, gradients), expected)


def test_by_hand():
    """One channel, two places: alpha = 1 / (2 + 4·0.5) = 1/4, w = 2·0.5/4 = 1/4."""
    activations = np.array([1.0, 3.0], "float32").reshape(1, 1, 2, 1)
    gradients = np.full((1, 1, 1, 1), 0.5, "float32")
    raw = grad_cam_plus_plus(activations, gradients, normalize=False)
    np.testing.assert_allclose(raw, [[[0.25, 0.75]]])
    maps = grad_cam_plus_plus(activations, gradients)
    np.testing.assert_allclose(maps, [[[1 / 3, 1.0]]])


@pytest.mark.parametrize("constant", [True, False])
def test_several_classes_equal_one_by_one(constant):
    activations, _ = random_case()
    side = (1, 1) if constant else (5, 4)
    gradients = normal(3, 2, *side, 6)
    maps = grad_cam_plus_plus(activations, gradients)
    assert maps.shape == (3, 2, 5, 4)
    for column in range(2):
        one = grad_cam_plus_plus(activations, gradients[:, column])
        np.testing.assert_allclose(maps[:, column], one, atol=1e-6)


def test_a_batch_equals_one_by_one():
    activations, gradients = random_case()
    together = grad_cam_plus_plus(activations, gradients)
    alone = [
        grad_cam_plus_plus(activations[i : i + 1], gradients[i : i + 1])
        for i in range(len(activations))
    ]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-6)


def test_no_positive_evidence_is_a_map_of_zeros():
    activations, gradients = random_case()
    maps = grad_cam_plus_plus(activations, -np.abs(gradients))
    np.testing.assert_array_equal(maps, np.zeros((3, 5, 4)))
    maps = grad_cam_plus_plus(np.zeros_like(activations), gradients)
    np.testing.assert_array_equal(maps, np.zeros((3, 5, 4)))


@pytest.mark.parametrize("scale", [1e-12, 1e4, 1e12])
def test_finite_at_any_scale(scale):
    activations, gradients = random_case()
    for a, g in ((activations * scale, gradients), (activations, gradients * scale)):
        maps = np.array(grad_cam_plus_plus(a, g))
        assert np.all(np.isfinite(maps))
        np.testing.assert_allclose(maps.max(axis=(1, 2)), 1.0, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_low_precision_inputs_are_computed_in_float32(dtype):
    activations, gradients = random_case()
    # Their sum over 20 places overflows float16.
    activations = tf.cast(activations * 1e4, dtype)
    gradients = tf.cast(gradients, dtype)
    maps = grad_cam_plus_plus(activations, gradients)
    assert maps.dtype == "float32"
    expected = literal(
        tf.cast(activations, "float32").numpy(), tf.cast(gradients, "float32").numpy()
    )
    np.testing.assert_allclose(maps, expected, atol=1e-5)


@pytest.mark.parametrize("constant", [True, False])
def test_compiles_with_xla_and_keeps_its_values(constant):
    activations, gradients = random_case()
    gradients = gradients[:, :1, :1] if constant else gradients
    compiled = tf.function(grad_cam_plus_plus, jit_compile=True)
    np.testing.assert_allclose(
        compiled(activations, gradients),
        grad_cam_plus_plus(activations, gradients),
        atol=1e-5,
    )


@pytest.mark.parametrize("constant", [True, False])
def test_gradient_matches_finite_differences(constant):
    activations, gradients = random_case(1, 3, 3, 2)
    activations += 0.5
    gradients = np.abs(gradients[:, :1, :1] if constant else gradients)
    target = normal(1, 3, 3)

    def loss(a, g):
        return tf.reduce_sum(target * grad_cam_plus_plus(a, g) ** 2)

    inputs = [tf.constant(activations), tf.constant(gradients)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = loss(*inputs)
    slopes = tape.gradient(value, inputs)
    step = 1e-2
    for index, slope in enumerate(slopes):
        direction = normal(*inputs[index].shape)
        direction /= np.linalg.norm(direction)
        values = []
        for sign in (step, -step):
            moved = list(inputs)
            moved[index] = inputs[index] + sign * direction
            values.append(float(loss(*moved)))
        expected = (values[0] - values[1]) / (2 * step)
        found = float(tf.reduce_sum(slope * direction))
        assert found == pytest.approx(expected, rel=2e-2, abs=1e-3)


def test_gradient_is_finite_for_maps_of_zeros():
    activations, gradients = random_case()
    inputs = [tf.constant(activations), tf.constant(-np.abs(gradients))]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = tf.reduce_sum(grad_cam_plus_plus(*inputs))
    for slope in tape.gradient(loss, inputs):
        assert np.all(np.isfinite(slope))


def test_scale_to_one():
    maps = np.array([[[0.0, 2.0], [4.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]], "float32")
    expected = [[[0.0, 0.5], [1.0, 0.25]], [[0.0, 0.0], [0.0, 0.0]]]
    np.testing.assert_array_equal(scale_to_one(maps), expected)


@pytest.mark.parametrize("normalize", [True, False])
def test_layer_computes_the_function_and_serialises(normalize):
    activations, gradients = random_case()
    layer = GradCAMPlusPlus(normalize=normalize, name="cam")
    copy = GradCAMPlusPlus.from_config(layer.get_config())
    assert copy.normalize is normalize
    assert copy.name == "cam"
    expected = grad_cam_plus_plus(activations, gradients, normalize)
    np.testing.assert_array_equal(copy(activations, gradients), expected)


def test_layer_stays_float32_under_mixed_precision():
    layer = GradCAMPlusPlus(dtype="mixed_float16")
    assert layer.compute_dtype == "float32"
    activations, gradients = random_case()
    assert layer(activations, gradients).dtype == "float32"


def test_layer_inside_a_saved_model(tmp_path):
    features = keras.Input((5, 4, 6), name="features")
    several = keras.Input((2, 1, 1, 6), name="gradients")
    maps = GradCAMPlusPlus(name="cam")(features, several)
    assert maps.shape == (None, 2, 5, 4)
    one = GradCAMPlusPlus()(features, layers.Reshape((1, 1, 12))(several)[..., :6])
    assert one.shape == (None, 5, 4)
    model = keras.Model([features, several], [maps, one])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    activations, _ = random_case()
    gradients = normal(3, 2, 1, 1, 6)
    expected = grad_cam_plus_plus(activations, gradients)
    np.testing.assert_allclose(loaded([activations, gradients])[0], expected, atol=1e-6)


def test_minmax_subtracts_the_minimum_first():
    maps = np.array([[[2.0, 3.0], [4.0, 6.0]], [[0.0, 1.0], [0.0, 2.0]]], "float32")
    expected = [[[0.0, 0.25], [0.5, 1.0]], [[0.0, 0.5], [0.0, 1.0]]]
    np.testing.assert_allclose(scale_to_one(maps, "minmax"), expected)
    # Of a map that has been divided by its maximum it is the same.
    scaled = scale_to_one(scale_to_one(maps), "minmax")
    np.testing.assert_allclose(scaled, expected, atol=1e-7)


@pytest.mark.parametrize("values", [[0.0, 0.0], [3.0, 3.0], [1.0, 1.0 - 3e-7]])
def test_minmax_leaves_nothing_of_a_constant_map(values):
    maps = tf.constant([[values]], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(maps)
        scaled = scale_to_one(maps, "minmax")
    np.testing.assert_array_equal(scaled, np.zeros_like(maps))
    np.testing.assert_array_equal(tape.gradient(scaled, maps), np.zeros_like(maps))


def test_gradient_of_minmax():
    maps = tf.constant([[[1.0, 2.0, 5.0]]])
    with tf.GradientTape() as tape:
        tape.watch(maps)
        middle = scale_to_one(maps, "minmax")[0, 0, 1]
    # (x - a) / (b - a), by a, x and b.
    expected = [[[-3 / 16, 1 / 4, -1 / 16]]]
    np.testing.assert_allclose(tape.gradient(middle, maps), expected, rtol=1e-6)


def test_an_unknown_scaling_is_refused():
    with pytest.raises(ValueError, match="minmax.*Received: normalize='min'"):
        scale_to_one(np.ones((1, 2, 2), "float32"), "min")
