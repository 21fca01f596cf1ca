import numpy as np
import pytest
import tensorflow as tf

from keras_xcons.attacks import REGIONS, fgsm, pgd, region_mask

SHAPE = (3, 8, 8, 3)


@pytest.fixture
def images():
    values = np.random.default_rng(0).uniform(0, 255, SHAPE).astype("float32")
    values[0, :2], values[0, 2:4] = 0.0, 255.0  # at the ends of the range
    return values


@pytest.fixture
def gradients():
    return np.random.default_rng(1).normal(size=SHAPE).astype("float32")


@pytest.fixture
def mask():
    values = np.random.default_rng(2).integers(0, 2, (*SHAPE[:3], 1))
    return values.astype("float32")


@pytest.fixture
def slope():
    """The gradient of a loss that is smooth, but not linear, in the image."""
    weights = np.random.default_rng(3).normal(size=SHAPE[1:]).astype("float32")

    def loss(images):
        return tf.reduce_sum(tf.sin(images / 40.0) * weights, axis=(1, 2, 3))

    def gradient(images):
        images = tf.convert_to_tensor(images)
        with tf.GradientTape() as tape:
            tape.watch(images)
            value = loss(images)
        return tape.gradient(value, images)

    return loss, gradient


def check_bounds(attacked, images, mask, epsilon):
    attacked = np.array(attacked)
    assert attacked.dtype == images.dtype
    outside = np.broadcast_to(mask, images.shape) == 0
    np.testing.assert_array_equal(attacked[outside], images[outside])
    assert np.all(np.abs(attacked - images) <= epsilon + 1e-4)
    assert attacked.min() >= 0.0 and attacked.max() <= 255.0
    assert np.any(attacked != images)


def test_fgsm_by_hand():
    images = np.array([10.0, 20.0, 254.0, 1.0], "float32").reshape(1, 2, 2, 1)
    gradients = np.array([0.3, -1e-9, 5.0, -2.0], "float32").reshape(1, 2, 2, 1)
    attacked = fgsm(images, gradients, 4.0)
    np.testing.assert_array_equal(np.ravel(attacked), [14.0, 16.0, 255.0, 0.0])
    mask = np.array([1.0, 0.0, 0.0, 1.0], "float32").reshape(1, 2, 2, 1)
    attacked = fgsm(images, gradients, 4.0, mask)
    np.testing.assert_array_equal(np.ravel(attacked), [14.0, 20.0, 254.0, 0.0])
    np.testing.assert_array_equal(fgsm(images, 0.0 * gradients, 4.0), images)


def test_fgsm_only_looks_at_the_sign(images, gradients):
    weighted = gradients * np.array([1e-6, 1.0, 1e3])[:, None, None, None]
    expected = fgsm(images, gradients, 2.0)
    np.testing.assert_array_equal(fgsm(images, weighted, 2.0), expected)


def test_fgsm_keeps_mask_epsilon_and_range(images, gradients, mask):
    check_bounds(fgsm(images, gradients, 4.0, mask), images, mask, 4.0)
    whole = np.ones_like(mask)
    check_bounds(fgsm(images, gradients, 4.0), images, whole, 4.0)


@pytest.mark.parametrize("attack", ["fgsm", "pgd"])
def test_values_beyond_the_range_go_no_further(attack, images, mask, slope):
    """As bicubic resizing in front of a random layer makes them."""
    images = images * 1.2 - 25.0
    if attack == "fgsm":
        attacked = np.array(fgsm(images, slope[1](images), 4.0, mask))
    else:
        attacked = np.array(pgd(images, slope[1], 4.0, 1.5, 5, mask, (0, 1)))
    outside = np.broadcast_to(mask, images.shape) == 0
    np.testing.assert_array_equal(attacked[outside], images[outside])
    assert np.abs(attacked - images).max() <= 4.0 + 1e-4
    assert np.all(attacked >= np.minimum(images, 0.0))
    assert np.all(attacked <= np.maximum(images, 255.0))
    assert np.any(attacked != images)


@pytest.mark.parametrize("seed", [None, (0, 1)])
def test_pgd_keeps_mask_epsilon_and_range(seed, images, mask, slope):
    attacked = pgd(images, slope[1], 4.0, 1.5, 5, mask, seed)
    check_bounds(attacked, images, mask, 4.0)
    check_bounds(pgd(images, slope[1], 4.0, 1.5, 5, None, seed), images, 1.0, 4.0)


def test_one_step_of_pgd_from_the_image_is_fgsm(images, mask, slope):
    expected = fgsm(images, slope[1](images), 4.0, mask)
    attacked = pgd(images, slope[1], 4.0, 4.0, steps=1, mask=mask)
    np.testing.assert_allclose(attacked, expected, atol=1e-4)


def test_pgd_is_projected_to_epsilon(images, slope):
    """Ten steps of 1 along one gradient would be 10; epsilon is 4."""
    constant = slope[1](images)
    attacked = pgd(images, lambda _: constant, 4.0, 1.0, steps=10)
    expected = fgsm(images, constant, 4.0)
    np.testing.assert_allclose(attacked, expected, atol=1e-4)


def test_attacks_raise_the_loss_and_more_steps_raise_it_more(images, slope):
    loss, gradient = slope
    clean = loss(images)
    once = loss(fgsm(images, gradient(images), 30.0))
    often = loss(pgd(images, gradient, 30.0, 5.0, steps=10))
    assert np.all(once > clean)
    assert np.all(often > once)


def test_random_start_repeats_by_seed(images, mask, slope):
    def start(seed):
        return np.array(pgd(images, slope[1], 4.0, 0.0, 1, mask, seed))

    np.testing.assert_array_equal(start((3, 4)), start((3, 4)))
    assert np.any(start((3, 4)) != start((3, 5)))
    inside = np.broadcast_to(mask, SHAPE) == 1
    assert np.mean(start((3, 4))[inside] != images[inside]) > 0.8


def test_every_step_sees_the_image_outside_the_mask(images, mask, slope):
    seen = []

    def gradient(attacked):
        seen.append(np.array(attacked))
        return slope[1](attacked)

    pgd(images, gradient, 4.0, 1.0, 3, mask, (0, 1))
    outside = np.broadcast_to(mask, SHAPE) == 0
    assert len(seen) == 3
    for attacked in seen:
        np.testing.assert_array_equal(attacked[outside], images[outside])


def test_attacks_run_in_a_graph(images, mask, slope):
    attack = tf.function(lambda x: pgd(x, slope[1], 4.0, 1.0, 3, mask, (0, 1)))
    expected = pgd(images, slope[1], 4.0, 1.0, 3, mask, (0, 1))
    np.testing.assert_allclose(attack(images), expected, atol=1e-4)


def test_regions_partition_the_image():
    maps = np.random.default_rng(0).uniform(size=(3, 4, 4)).astype("float32")
    masks = {region: region_mask(maps, region, 0.5, (9, 11)) for region in REGIONS}
    for mask in masks.values():
        assert mask.shape == (3, 9, 11, 1)
        assert mask.dtype == "float32"
        assert set(np.unique(mask)) <= {0.0, 1.0}
    total = masks["background"] + masks["foreground"]
    np.testing.assert_array_equal(total, masks["whole_image"])
    np.testing.assert_array_equal(masks["whole_image"], np.ones((3, 9, 11, 1)))
    assert 0.0 < np.mean(masks["background"]) < 1.0


def test_the_background_is_below_the_threshold():
    maps = np.array([[[0.0, 1.0], [0.5, 0.49]]], "float32")
    mask = region_mask(maps, "background", 0.5, (2, 2))
    np.testing.assert_array_equal(mask[0, ..., 0], [[1.0, 0.0], [0.0, 1.0]])
    # An empty map has no foreground.
    empty = region_mask(np.zeros((1, 2, 2), "float32"), "background", 0.5, (4, 4))
    np.testing.assert_array_equal(empty, np.ones((1, 4, 4, 1)))


def test_refuses_an_unknown_region():
    maps = np.zeros((1, 2, 2), "float32")
    with pytest.raises(ValueError, match="Did you mean 'background'.*'backgroud'"):
        region_mask(maps, "backgroud", 0.5, (2, 2))
