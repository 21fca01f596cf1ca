import importlib.util
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from keras_xcons.metrics import (
    area_under_curve,
    average_drop,
    average_increase,
    blurred_images,
    insertion_and_deletion,
    masked_images,
    removal,
)

TOOLS = pathlib.Path(__file__).parents[2] / "tools"


def brightness(images, targets):
    """A score of which every curve is known: the mean value, over 255."""
    del targets
    return tf.reduce_mean(images, axis=(1, 2, 3)) / 255.0


def one_image(*rows):
    return np.array(rows, "float32")[None, ..., None]


# Four pixels, and a heatmap that ranks them 255, 0, 51, 204.
IMAGE = one_image([0.0, 51.0], [255.0, 204.0])
HEATMAP = np.array([[[0.7, 0.5], [0.9, 0.1]]])


def test_deletion_by_hand():
    _, deletion = insertion_and_deletion(brightness, IMAGE, HEATMAP, None, 4, value=0.0)
    expected = np.array([[510.0, 255.0, 255.0, 204.0, 0.0]]) / 4 / 255
    np.testing.assert_allclose(deletion, expected, rtol=1e-6)
    assert deletion.dtype == np.float32
    _, deletion = insertion_and_deletion(brightness, IMAGE, HEATMAP, None, 2)
    expected = np.array([[510.0, 2 * 127.5 + 255.0, 4 * 127.5]]) / 4 / 255
    np.testing.assert_allclose(deletion, expected, rtol=1e-6)


def test_removal_by_hand():
    found = removal(brightness, IMAGE, HEATMAP, None, (0.25, 0.5, 1.0), value=0.0)
    # The pixels of 255, then of 0, then all of them are gone.
    expected = np.array([[255.0, 255.0, 510.0]]) / 4 / 255
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    # It is what the deletion curve has lost by then, rounded down to whole pixels.
    _, deletion = insertion_and_deletion(brightness, IMAGE, HEATMAP, None, 4)
    found = removal(brightness, IMAGE, HEATMAP, None, (0.6, 0.75))
    np.testing.assert_allclose(found, deletion[:, :1] - deletion[:, 2:4], atol=1e-6)


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, np.nan])
def test_removal_refuses_shares_that_are_none(share):
    with pytest.raises(ValueError, match="`shares` must be"):
        removal(brightness, IMAGE, HEATMAP, None, (share,))


def test_insertion_by_hand():
    # So wide a blur that its every pixel is the mean, 127.5.
    insertion, _ = insertion_and_deletion(
        brightness, IMAGE, HEATMAP, None, steps=4, blur=1e4
    )
    expected = np.array([[510.0, 637.5, 510.0, 433.5, 510.0]]) / 4 / 255
    np.testing.assert_allclose(insertion, expected, rtol=1e-5)


def test_steps_round_down_the_number_of_pixels():
    # 0, 1, 2 and 4 of four pixels.
    _, deletion = insertion_and_deletion(brightness, IMAGE, HEATMAP, None, 3, value=0.0)
    expected = np.array([[510.0, 255.0, 255.0, 0.0]]) / 4 / 255
    np.testing.assert_allclose(deletion, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("heatmap", "order"),
    [
        ([[0.0, 0.0], [0.0, 0.0]], [0, 1, 2, 3]),
        ([[0.2, 0.5], [0.5, 0.2]], [1, 2, 0, 3]),
        ([[-1.0, 0.0], [3.0, 0.0]], [2, 1, 3, 0]),
    ],
)
def test_equal_values_rank_row_by_row(heatmap, order):
    image = one_image([128.0, 64.0], [32.0, 16.0])
    _, deletion = insertion_and_deletion(brightness, image, [heatmap], None, 4, value=0)
    deleted = -np.diff(deletion[0]) * 4 * 255
    np.testing.assert_allclose(deleted, image.ravel()[order], rtol=1e-4)


def a_batch(size=5, height=7, width=6):
    rng = np.random.default_rng(0)
    images = rng.uniform(0.0, 255.0, (size, height, width, 3)).astype("float32")
    heatmaps = rng.integers(0, 9, (size, height, width)) / 8.0  # with ties
    return images, heatmaps


def by_loops(images, heatmaps, steps, value):
    """The images of each step, written down pixel by pixel."""
    start = blurred_images(images, 2.0).numpy()
    size, height, width = heatmaps.shape
    inserted, deleted = [], []
    for step in range(steps + 1):
        insertion, deletion = start.copy(), images.copy()
        for image in range(size):
            flat = heatmaps[image].ravel()
            order = sorted(range(flat.size), key=lambda at, flat=flat: (-flat[at], at))
            for pixel in order[: step * height * width // steps]:
                at = image, *divmod(pixel, width)
                insertion[at], deletion[at] = images[at], value
        inserted.append(insertion)
        deleted.append(deletion)
    return inserted, deleted


def test_a_batch_equals_loops_over_its_pixels():
    images, heatmaps = a_batch()
    slope = tf.constant(
        np.random.default_rng(1).normal(size=images.shape[1:]), "float32"
    )

    def score(images, targets):
        return tf.sigmoid(tf.reduce_sum(images * slope, axis=(1, 2, 3)) * targets)

    targets = tf.constant([0.001, 0.002, -0.001, 0.003, 0.0005])
    found = insertion_and_deletion(score, images, heatmaps, targets, 5, 2.0, 20.0)
    for curves, steps in zip(found, by_loops(images, heatmaps, 5, 20.0), strict=True):
        expected = np.stack([score(each, targets) for each in steps], axis=1)
        assert curves.shape == (5, 6)
        np.testing.assert_allclose(curves, expected, rtol=1e-4)


def test_curves_do_not_depend_on_the_batch_and_repeat():
    images, heatmaps = a_batch()
    whole = insertion_and_deletion(brightness, images, heatmaps, None)
    again = insertion_and_deletion(brightness, images, heatmaps, None)
    part = insertion_and_deletion(brightness, images[3:], heatmaps[3:], None)
    for curves, same, some in zip(whole, again, part, strict=True):
        np.testing.assert_array_equal(curves, same)
        np.testing.assert_allclose(curves[3:], some, rtol=1e-6)


def test_the_score_is_asked_once_a_step_and_once_for_the_image():
    images, heatmaps = a_batch()
    calls = []

    def score(images, targets):
        assert targets == "the targets"
        calls.append(images)
        return brightness(images, targets)

    insertion, deletion = insertion_and_deletion(
        score, images, heatmaps, "the targets", steps=6, blur=2.0
    )
    assert len(calls) == 2 * 6 + 1
    assert {(call.shape, call.dtype) for call in calls} == {
        (tf.TensorShape(images.shape), tf.float32)
    }
    assert sum(np.array_equal(call, images) for call in calls) == 1
    np.testing.assert_array_equal(insertion[:, -1], deletion[:, 0])
    np.testing.assert_array_equal(insertion[:, -1], brightness(images, None))


def test_a_compiled_score_is_traced_once_and_images_may_be_uint8():
    images, heatmaps = a_batch()
    images = np.round(images)
    traces = []

    @tf.function
    def score(images, targets):
        traces.append(images)
        return brightness(images, targets)

    as_float = insertion_and_deletion(score, images, heatmaps, None)
    as_int = insertion_and_deletion(
        score, tf.constant(images, tf.uint8), tf.constant(heatmaps), None
    )
    np.testing.assert_array_equal(as_float, as_int)
    assert len(traces) == 1


def test_a_better_heatmap_scores_better():
    # The score looks at the upper half alone, bright on dark.
    images = np.full((2, 20, 20, 3), 127.5, "float32")
    images[:, 4:6, 4:6] = 255.0
    heatmaps = np.zeros((2, 20, 20))
    heatmaps[0, 4:6, 4:6] = 1.0
    heatmaps[1, 14:16, 4:6] = 1.0

    def score(images, targets):
        del targets
        return tf.reduce_mean(images[:, 4:6, 4:6], axis=(1, 2, 3)) / 255.0

    curves = insertion_and_deletion(score, images, heatmaps, None, 100, blur=4.0)
    insertion, deletion = map(area_under_curve, curves)
    assert insertion[0] > insertion[1] + 0.1
    assert deletion[0] < deletion[1] - 0.1


def test_blur_by_hand():
    edge = one_image([0.0, 0.0, 255.0, 255.0])
    weights = np.exp(-0.5 * np.subtract.outer(range(4), range(4)) ** 2)
    expected = 255.0 * weights[:, 2:].sum(axis=1) / weights.sum(axis=1)
    across = blurred_images(edge, 1.0).numpy()
    np.testing.assert_allclose(across.ravel(), expected, rtol=1e-6)
    down = blurred_images(edge.transpose(0, 2, 1, 3), 1.0).numpy()
    np.testing.assert_allclose(down.ravel(), expected, rtol=1e-6)


def test_blur_is_that_of_scipy_away_from_the_border():
    from scipy import ndimage

    images = np.random.default_rng(0).uniform(0.0, 255.0, (2, 64, 80, 3))
    found = blurred_images(images).numpy()
    sigma = 5.0 / 224.0 * 64.0
    expected = ndimage.gaussian_filter(images, (0, sigma, sigma, 0), truncate=7.0)
    inside = slice(None), slice(10, -10), slice(10, -10)
    np.testing.assert_allclose(found[inside], expected[inside], atol=1e-3)
    assert np.abs(found - images).mean() > 10.0


def test_blur_leaves_one_colour_alone():
    images = np.full((1, 9, 12, 3), 255.0) * [1.0, 0.5, 0.0]
    np.testing.assert_allclose(blurred_images(images, 3.0), images, atol=1e-3)


def test_area_by_hand():
    curves = [[0.0, 0.5, 1.0], [1.0, 0.0, 0.0], [0.3, 0.3, 0.3]]
    np.testing.assert_allclose(area_under_curve(curves), [0.5, 0.25, 0.3], rtol=1e-6)
    np.testing.assert_allclose(area_under_curve([[0.2, 0.6]]), [0.4], rtol=1e-6)
    assert area_under_curve(curves).dtype == np.float32


def test_masked_images_by_hand():
    masked = masked_images(IMAGE.astype("uint8"), [[[0.5, 1.0], [0.0, 0.25]]])
    np.testing.assert_allclose(masked, one_image([0.0, 51.0], [0.0, 51.0]))
    assert masked.dtype == tf.float32


def test_drop_and_increase_by_hand():
    before, after = [0.8, 0.5, 0.5, 0.4, 0.0], [0.6, 0.9, 0.5, 0.0, 0.1]
    np.testing.assert_allclose(
        average_drop(before, after), [0.25, 0.0, 0.0, 1.0, np.nan], rtol=1e-6
    )
    np.testing.assert_array_equal(
        average_increase(before, after), [0.0, 1.0, 0.0, 0.0, 1.0]
    )
    assert average_drop(before, after).dtype == np.float32
    assert average_increase(before, after).dtype == np.float32


def test_values_are_those_of_xplique():
    path = pathlib.Path(__file__).with_name("xplique_reference.json")
    reference = json.loads(path.read_text(encoding="utf-8"))
    spec = importlib.util.spec_from_file_location(
        "xplique_case", TOOLS / "xplique_case.py"
    )
    case = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(case)
    found = case.our_values(reference["weights"])
    assert set(found) == set(reference["values"])
    for name, values in found.items():
        expected = np.array(reference["values"][name])
        assert np.ptp(expected) > 0.1  # or there were nothing to compare
        np.testing.assert_allclose(values, expected, rtol=0.0, atol=1e-3, err_msg=name)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"steps": 0}, ValueError, r"`steps` must be an int in 1..4, .* steps=0"),
        ({"steps": 5}, ValueError, "Received: steps=5"),
        ({"steps": 2.0}, ValueError, "Received: steps=2.0"),
        ({"steps": True}, ValueError, "Received: steps=True"),
        ({"value": 256.0}, ValueError, r"`value` must be within \[0.0, 255.0\]"),
        ({"value": "mean"}, TypeError, "`value` must be a number"),
        ({"blur": 0.0}, ValueError, r"`blur` must be within \(0.0, 2147483647\]"),
        ({"blur": "5"}, TypeError, "`blur` must be a number"),
        ({"images": IMAGE[0]}, ValueError, "batch of rank 4"),
        ({"images": IMAGE * 2}, ValueError, "within 0..255"),
        ({"heatmaps": HEATMAP[0]}, ValueError, r"the shape \(1, 2, 2\) that fits"),
        ({"heatmaps": HEATMAP[..., None]}, ValueError, r"shape \(1, 2, 2, 1\)"),
        ({"heatmaps": HEATMAP * np.nan}, ValueError, "`heatmaps` must be finite"),
        ({"score_fn": lambda x, t: x}, ValueError, r"finite numbers of shape \(1,\)"),
        ({"score_fn": lambda x, t: [np.nan]}, ValueError, "0 of 1 values finite"),
    ],
)
def test_refusals(change, error, match):
    arguments = {"score_fn": brightness, "images": IMAGE, "heatmaps": HEATMAP}
    arguments |= {"targets": None, "steps": 2, **change}
    with pytest.raises(error, match=match):
        insertion_and_deletion(**arguments)


@pytest.mark.parametrize("shape", [(3,), (2, 1), (2, 3, 1)])
def test_areas_of_what_is_no_curve_are_refused(shape):
    with pytest.raises(ValueError, match="`curves` must be finite, of shape"):
        area_under_curve(np.zeros(shape))


def test_areas_of_nan_are_refused():
    with pytest.raises(ValueError, match="`curves` must be finite"):
        area_under_curve([[0.0, np.nan]])


@pytest.mark.parametrize("heatmap", [HEATMAP - 0.2, HEATMAP + 0.2])
def test_masks_outside_their_range_are_refused(heatmap):
    with pytest.raises(ValueError, match="`heatmaps` must be within 0..1"):
        masked_images(IMAGE, heatmap)


@pytest.mark.parametrize("metric", [average_drop, average_increase])
@pytest.mark.parametrize(
    ("before", "after", "match"),
    [
        ([0.5], [0.5, 0.5], "`before` and `after` must be of one shape"),
        ([[0.5]], [[0.5]], "of one shape"),
        ([], [], "of one shape"),
        ([0.5], [1.5], "must be probabilities in 0..1"),
        ([-0.1], [0.5], "minimum -0.1"),
        ([np.nan], [0.5], "must be probabilities in 0..1"),
    ],
)
def test_what_is_no_probability_is_refused(metric, before, after, match):
    with pytest.raises(ValueError, match=match):
        metric(before, after)
