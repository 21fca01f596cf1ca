import numpy as np
import pytest
import tensorflow as tf

from keras_xcons.metrics import max_sensitivity


def channel_mean(images):
    return tf.reduce_mean(images, axis=-1)


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return rng.uniform(20.0, 235.0, (4, 6, 5, 3)).astype("float32")


def test_the_largest_relative_change_by_hand():
    # Maps of one pixel: the noise of each draw is read off what explain_fn was given.
    seen = []

    def explain(images):
        seen.append(images.numpy()[:, 0, 0, 0])
        return images[..., 0]

    images = np.array([100.0, 200.0], "float32").reshape(2, 1, 1, 1)
    found = max_sensitivity(explain, images, images[..., 0], [0, 1], 8.0, samples=5)
    noise = np.abs(np.stack(seen) - [100.0, 200.0])
    assert noise.shape == (5, 2)
    np.testing.assert_allclose(found, noise.max(axis=0) / [100.0, 200.0], rtol=1e-5)
    assert found.dtype == np.float32


def test_the_norm_is_that_of_the_whole_map(images):
    clean = np.zeros((4, 6, 5))
    clean[:, 0, :4] = 3.0  # of norm sqrt(4 · 9) = 6
    moved = clean.copy()
    moved[:, 1:3, 0] = 2.0  # by sqrt(2 · 4)
    found = max_sensitivity(lambda _: moved, images, clean, range(4), 1.0)
    np.testing.assert_allclose(found, np.sqrt(8.0) / 6.0, rtol=1e-6)


def test_noise_is_uniform_within_the_radius_and_the_range():
    images = np.stack([np.full((40, 40, 3), level) for level in (0.0, 128.0, 255.0)])
    seen = []

    def explain(noisy):
        seen.append(noisy.numpy())
        return channel_mean(noisy)

    max_sensitivity(explain, images, np.ones((3, 40, 40)), [0, 1, 2], 8.0, samples=3)
    noise = np.stack(seen) - images
    assert np.abs(noise).max() <= 8.0
    dark, middle, bright = (noise[:, each] for each in range(3))
    assert dark.min() == 0.0 and bright.max() == 0.0
    assert middle.min() < -7.9 and middle.max() > 7.9
    assert abs(middle.mean()) < 0.1
    assert abs(middle.std() - 8.0 / np.sqrt(3.0)) < 0.1
    # Neither draws nor images share their noise.
    flat = noise[:, 1].reshape(3, -1)
    assert np.abs(np.corrcoef(flat) - np.eye(3)).max() < 0.05
    # The dark image is raised where its noise is positive, the bright one lowered
    # where it is negative: with noise in common no value would be both.
    assert np.mean((dark > 0.0) & (bright < 0.0)) == pytest.approx(0.25, abs=0.02)


def test_the_same_whatever_the_batch(images):
    clean = channel_mean(images).numpy()
    ids = np.array([7, 3, 12, 0])
    whole = max_sensitivity(channel_mean, images, clean, ids, 4.0, seed=5)
    again = max_sensitivity(channel_mean, images, clean, ids, 4.0, seed=5)
    np.testing.assert_array_equal(whole, again)
    order = [2, 0]
    part = max_sensitivity(
        channel_mean, images[order], clean[order], ids[order], 4.0, seed=5
    )
    np.testing.assert_array_equal(part, whole[order])
    other = max_sensitivity(channel_mean, images, clean, ids, 4.0, seed=6)
    assert np.all(other != whole)


def test_more_draws_and_a_larger_radius_find_more(images):
    clean = channel_mean(images).numpy()

    def found(radius, samples):
        return max_sensitivity(
            channel_mean, images, clean, range(4), radius, samples=samples
        )

    assert np.all(found(4.0, 20) >= found(4.0, 5))
    assert np.any(found(4.0, 20) > found(4.0, 5))
    assert np.all(found(8.0, 5) > 1.5 * found(4.0, 5))


def test_a_map_that_noise_leaves_alone_and_an_empty_map(images):
    clean = np.zeros((4, 2, 2))
    clean[1:, 0, 0] = 1.0
    found = max_sensitivity(
        lambda noisy: tf.constant(clean), images, clean, range(4), 4.0
    )
    np.testing.assert_array_equal(found, [np.nan, 0.0, 0.0, 0.0])


def test_one_call_a_draw_and_uint8_images(images):
    calls = []

    def explain(noisy):
        calls.append(noisy)
        return channel_mean(noisy)

    whole = np.round(images)
    clean = channel_mean(whole).numpy()
    from_float = max_sensitivity(explain, whole, clean, range(4), 4.0, samples=3)
    assert len(calls) == 3
    assert {call.dtype for call in calls} == {tf.float32}
    from_int = max_sensitivity(
        explain, whole.astype("uint8"), clean, range(4), 4.0, samples=3
    )
    np.testing.assert_array_equal(from_float, from_int)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"radius": 0.0}, ValueError, r"`radius` must be within \(0.0, 255.0\]"),
        ({"radius": -1.0}, ValueError, "Received: radius=-1.0"),
        ({"radius": "8"}, TypeError, "`radius` must be a number"),
        ({"samples": 0}, ValueError, "`samples` must be an int of at least 1"),
        ({"samples": 2.5}, ValueError, "Received: samples=2.5"),
        ({"seed": -1}, ValueError, "`seed` must be an int in 0"),
        ({"ids": [0, 1, 2]}, ValueError, r"`ids` must be integers of shape \(4,\)"),
        ({"ids": [0, 1, 2, -1]}, ValueError, "`ids` must be within 0"),
        ({"heatmaps": np.ones((3, 6, 5))}, ValueError, "`heatmaps` must be 4 maps"),
        ({"heatmaps": np.ones((4, 6))}, ValueError, "`heatmaps` must be finite maps"),
        ({"heatmaps": np.full((4, 6, 5), np.nan)}, ValueError, "0 of 120 values"),
        ({"images": np.full((4, 6, 5, 3), 300.0)}, ValueError, "within 0..255"),
        ({"heatmaps": np.ones((4, 3, 3))}, ValueError, "maps of the shape"),
        ({"explain_fn": lambda x: x}, ValueError, r"`explain_fn\(images\)` must be"),
        (
            {"explain_fn": lambda x: channel_mean(x) * np.nan},
            ValueError,
            "0 of 120 values",
        ),
    ],
)
def test_refusals(images, change, error, match):
    arguments = {
        "explain_fn": channel_mean,
        "images": images,
        "heatmaps": channel_mean(images).numpy(),
        "ids": [0, 1, 2, 3],
        "radius": 4.0,
    }
    with pytest.raises(error, match=match):
        max_sensitivity(**{**arguments, **change})
