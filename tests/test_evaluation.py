import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_xcons.data import with_sample_ids
from keras_xcons.evaluation import measure, summarize
from keras_xcons.explainers import explain
from keras_xcons.metrics import energy_pointing_game, pointing_game

RED, GREEN = 0, 1
SIDE = 8


def color_classifier(strides=1, bias=0.0):
    """Logits are the means of red and of green, maps are where the colour is."""
    images = keras.Input((SIDE, SIDE, 3))
    color = keras.layers.Conv2D(2, 1, strides, use_bias=False, name="features")
    x = keras.layers.GlobalAveragePooling2D()(color(images))
    score = keras.layers.Dense(2)
    model = keras.Model(images, score(x))
    color.set_weights([np.eye(3, 2, dtype="float32")[None, None]])
    score.set_weights([np.eye(2, dtype="float32"), np.full(2, bias, "float32")])
    return model


def picture(*areas):
    """A black image with areas `(color, rows, columns)` in full colour."""
    image = np.zeros((SIDE, SIDE, 3), "float32")
    for color, rows, columns in areas:
        image[slice(*rows), slice(*columns), color] = 255.0
    return image


# Of each image: what is drawn, the label, the object's rows and columns, and what
# is known of it: accuracy, pointing game (tolerance 3), energy.
CASES = [
    ([(RED, (0, 4), (0, 4))], RED, ((0, 4), (0, 4)), (1, 1, 1)),
    # The first of the equal maxima is four pixels off.
    ([(RED, (0, 4), (0, 8))], RED, ((0, 4), (4, 8)), (1, 0, 0.5)),
    # Another class is predicted; the map is the label's all the same.
    (
        [(RED, (2, 4), (2, 4)), (GREEN, (4, 8), (0, 8))],
        RED,
        ((2, 4), (2, 4)),
        (0, 1, 1),
    ),
    # Nothing speaks for the label: a map of zeros is a miss.
    ([(RED, (0, 4), (0, 4))], GREEN, ((0, 4), (0, 4)), (0, 0, 0)),
    # One of four rows is in the object, and the maximum is three rows above it.
    ([(GREEN, (2, 6), (0, 8))], GREEN, ((5, 8), (0, 8)), (1, 1, 0.25)),
]
IMAGES = np.stack([picture(*areas) for areas, *_ in CASES])
LABELS = np.array([label for _, label, *_ in CASES], "int32")
KNOWN = np.array([known for *_, known in CASES], "float64").T


def boxes():
    """One box an image, and one without area beside it."""
    found = np.zeros((len(CASES), 2, 4), "float32")
    for row, (_, _, (rows, columns), _) in zip(found, CASES, strict=True):
        row[0] = np.array([rows[0], columns[0], rows[1], columns[1]]) / SIDE
    return found


def masks():
    found = np.zeros((len(CASES), SIDE, SIDE, 1), "float32")
    for mask, (_, _, (rows, columns), _) in zip(found, CASES, strict=True):
        mask[slice(*rows), slice(*columns)] = 1.0
    return found


def batches(*parts, size=3):
    return tf.data.Dataset.from_tensor_slices(parts).batch(size)


@pytest.mark.parametrize("kind, truth", [("boxes", boxes), ("masks", masks)])
def test_accuracy_pointing_game_and_energy_are_known(kind, truth, capsys):
    dataset = batches(IMAGES, LABELS, truth())
    found = measure(color_classifier(), dataset, kind, tolerance=3)
    assert list(found) == ["accuracy", "pointing_game", "energy_pointing_game"]
    for values, expected in zip(found.values(), KNOWN, strict=True):
        assert values.dtype == "float64"
        np.testing.assert_allclose(values, expected, atol=1e-6)
    assert capsys.readouterr().out == ""


def test_tolerance_is_in_pixels_of_the_image():
    model, dataset = color_classifier(), batches(IMAGES, LABELS, boxes())
    hits = [measure(model, dataset, "boxes", t)["pointing_game"] for t in (2, 4)]
    np.testing.assert_array_equal(hits, [[1, 0, 1, 0, 0], [1, 1, 1, 0, 1]])


def test_without_annotations_only_accuracy_is_measured():
    for parts in ((IMAGES, LABELS), (IMAGES, LABELS, boxes())):
        found = measure(color_classifier(), batches(*parts))
        assert list(found) == ["accuracy"]
        np.testing.assert_array_equal(found["accuracy"], KNOWN[0])


def test_sample_ids_are_set_aside():
    dataset = with_sample_ids(batches(IMAGES, LABELS))
    found = measure(color_classifier(), dataset)
    np.testing.assert_array_equal(found["accuracy"], KNOWN[0])


def test_coarse_maps_are_resized_to_the_image():
    model = color_classifier(strides=2)
    heatmaps = explain(model, IMAGES, LABELS)
    assert heatmaps.shape[1:] == (SIDE, SIDE)
    found = measure(model, batches(IMAGES, LABELS, masks()), "masks", tolerance=1)
    hits = pointing_game(heatmaps, masks=masks(), tolerance=1)
    np.testing.assert_array_equal(found["pointing_game"], hits)
    np.testing.assert_allclose(
        found["energy_pointing_game"],
        energy_pointing_game(heatmaps, masks=masks()),
        atol=1e-5,
    )


def test_multi_hot_labels():
    both = picture((RED, (0, 4), (0, 4)), (GREEN, (4, 8), (4, 8)))
    both[..., GREEN] /= 2.0  # each map has its own maximum
    red = picture((RED, (0, 4), (0, 4)))
    images = np.stack([both, both, both, red, red])
    labels = np.array([[1, 1], [1, 0], [0, 1], [1, 1], [0, 0]], "float32")
    inside = np.zeros((5, SIDE, SIDE, 1), "float32")
    inside[:, :4, :4] = 1.0
    # The means are 63.75 of red and half of that of green.
    model = color_classifier(bias=-20.0)
    found = measure(model, batches(images, labels, inside), "masks", tolerance=0)
    # The share of the two classes that is told right, whether it is there or not.
    np.testing.assert_allclose(found["accuracy"], [1, 0.5, 0.5, 0.5, 0.5])
    # The map of several labels is the largest of theirs, and of none is zero.
    np.testing.assert_allclose(
        found["energy_pointing_game"], [0.5, 1, 0, 1, 0], atol=1e-6
    )
    np.testing.assert_array_equal(found["pointing_game"], [1, 1, 0, 1, 0])


def test_refusals():
    with pytest.raises(ValueError, match="to evaluate on is empty"):
        measure(color_classifier(), batches(IMAGES, LABELS).take(0))
    images = keras.Input((SIDE, SIDE, 3))
    flat = keras.layers.Dense(2)(keras.layers.Flatten()(images))
    with pytest.raises(ValueError, match="no 4-D activation"):
        measure(keras.Model(images, flat), batches(IMAGES, LABELS))


def test_progress_is_shown_when_asked_for(capsys):
    measure(color_classifier(), batches(IMAGES, LABELS, size=1), verbose=1)
    assert "5/5" in capsys.readouterr().out


def test_interval_of_equal_values_has_no_width():
    found = summarize(np.full(7, 0.25))
    assert found == {"value": 0.25, "low": 0.25, "high": 0.25, "n": 7}
    assert summarize([1.0])["n"] == 1


def test_interval_repeats_by_seed():
    values = np.random.default_rng(0).random(50)
    assert summarize(values, 1) == summarize(values, 1)
    assert summarize(values, 1) != summarize(values, 2)
    assert summarize(values) == summarize(values, 0)


def test_interval_is_that_of_a_mean():
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    found = summarize(values)
    assert found["value"] == pytest.approx(values.mean())
    assert found["n"] == 400
    half = 1.96 * values.std() / 20
    assert found["low"] == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found["high"] == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_interval_covers_the_truth_as_often_as_it_says():
    random = np.random.default_rng(0)
    found = [summarize(random.random(60) < 0.7) for _ in range(300)]
    covered = np.mean([one["low"] <= 0.7 <= one["high"] for one in found])
    # Three standard errors of 300 trials, and a percentile interval runs narrow.
    assert 0.90 <= covered <= 0.985


def test_paired_difference_is_far_narrower_than_the_two_intervals():
    random = np.random.default_rng(0)
    plain = random.random(100)
    other = plain + 0.1 + 0.01 * random.normal(size=100)
    found = summarize(other - plain)
    assert 0.09 < found["low"] < found["value"] < found["high"] < 0.11
    unpaired = summarize(plain)
    assert unpaired["high"] - unpaired["low"] > 10 * (found["high"] - found["low"])
