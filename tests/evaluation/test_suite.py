"""One number an image, over data of which every number is known."""

import keras
import numpy as np
import pytest

from keras_xcons.data import with_sample_ids
from keras_xcons.evaluation import METRICS, across_runs, measure
from keras_xcons.explainers import explain
from keras_xcons.metrics import energy_pointing_game, pointing_game
from tests.evaluation.colors import (
    GREEN,
    IMAGES,
    KNOWN,
    LABELS,
    RED,
    SIDE,
    batches,
    boxes,
    color_classifier,
    masks,
    picture,
)

FIRST = ("accuracy", "pointing_game", "energy_pointing_game")


def test_what_is_no_mean_has_its_statistic():
    dataset = batches(IMAGES, LABELS, masks(), size=3)
    found = measure(color_classifier(), dataset, ["max_box_acc", "pxap", "accuracy"])
    assert found["accuracy"].ndim == 1 < found["pxap"].ndim
    runs = [found["max_box_acc"]] * 2
    statistic = METRICS["max_box_acc"].statistic
    assert 0.0 <= across_runs(runs, statistic=statistic)["value"] <= 1.0


@pytest.mark.parametrize("truth", [boxes, masks])
def test_accuracy_pointing_game_and_energy_are_known(truth, capsys):
    dataset = batches(IMAGES, LABELS, truth())
    found = measure(color_classifier(), dataset, FIRST, tolerance=3)
    assert tuple(found) == FIRST
    for values, expected in zip(found.values(), KNOWN, strict=True):
        np.testing.assert_allclose(values, expected, atol=1e-6)
    assert capsys.readouterr().out == ""


def test_tolerance_is_in_pixels_of_the_image():
    model, dataset = color_classifier(), batches(IMAGES, LABELS, boxes())
    hits = [
        measure(model, dataset, "pointing_game", tolerance=pixels)["pointing_game"]
        for pixels in (2, 4)
    ]
    np.testing.assert_array_equal(hits, [[1, 0, 1, 0, 0], [1, 1, 1, 0, 1]])


def test_without_annotations_localisation_is_left_out():
    found = measure(color_classifier(), batches(IMAGES, LABELS), FIRST)
    assert list(found) == ["accuracy"]
    np.testing.assert_array_equal(found["accuracy"], KNOWN[0])
    with pytest.raises(ValueError, match="Nothing is left to measure.*neither boxes"):
        measure(color_classifier(), batches(IMAGES, LABELS), "localisation")


def test_sample_ids_are_set_aside():
    dataset = with_sample_ids(batches(IMAGES, LABELS))
    found = measure(color_classifier(), dataset, "accuracy")
    np.testing.assert_array_equal(found["accuracy"], KNOWN[0])


def test_images_without_an_object_do_not_count_in_localisation():
    empty = masks()
    empty[[0, 2]] = 0.0
    names = (*FIRST, "content_heatmap", "iou_auc")
    found = measure(color_classifier(), batches(IMAGES, LABELS, empty), names)
    for name in names[1:]:
        missing = np.isnan(found[name])
        assert missing[[0, 2]].all(), name
        # An empty heatmap is a miss, and has no content.
        assert missing[3] == (name == "content_heatmap"), name
    assert not np.isnan(found["accuracy"]).any()


def test_coarse_maps_are_resized_to_the_image():
    model = color_classifier(strides=2)
    heatmaps = explain(model, IMAGES, LABELS)
    assert heatmaps.shape[1:] == (SIDE, SIDE)
    dataset = batches(IMAGES, LABELS, masks())
    found = measure(model, dataset, FIRST, tolerance=1)
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
    names = ("binary_accuracy", *FIRST)
    found = measure(model, batches(images, labels, inside), names, tolerance=0)
    # The share of the two classes that is told right, whether it is there or not.
    assert "accuracy" not in found
    np.testing.assert_allclose(found["binary_accuracy"], [1, 0.5, 0.5, 0.5, 0.5])
    # The map of several labels is the largest of theirs; without any there is none.
    np.testing.assert_allclose(
        found["energy_pointing_game"], [0.5, 1, 0, 1, np.nan], atol=1e-6
    )
    np.testing.assert_array_equal(found["pointing_game"], [1, 1, 0, 1, np.nan])


def test_the_predicted_class_is_explained_by_choice():
    # The third image is labelled red and told green; its green lies elsewhere.
    dataset = batches(IMAGES, LABELS, masks())
    found = {
        explained: measure(
            color_classifier(), dataset, "energy_pointing_game", explained=explained
        )["energy_pointing_game"]
        for explained in ("label", "predicted")
    }
    np.testing.assert_allclose(found["label"], KNOWN[2], atol=1e-6)
    np.testing.assert_allclose(found["predicted"], [1, 0.5, 0, 1, 0.25], atol=1e-6)


def probability(images, labels, scale=1.0):
    """Softmax of the mean colours, in float64 by hand."""
    logits = scale * np.asarray(images, "float64")[..., :2].mean(axis=(1, 2))
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (exponents / exponents.sum(axis=1, keepdims=True))[
        np.arange(len(labels)), labels
    ]


def test_deletion_and_drop_are_those_of_the_classifier():
    scale = 0.05
    model = color_classifier(scale=scale)
    names = ("deletion", "average_drop", "average_increase", "fidelity_20")
    found = measure(model, batches(IMAGES, LABELS), names, steps=2)
    heatmaps = explain(model, IMAGES, LABELS)
    order = np.argsort(-heatmaps.reshape(len(IMAGES), -1), axis=1, kind="stable")
    half = IMAGES.reshape(len(IMAGES), -1, 3).copy()
    np.put_along_axis(half, order[:, : SIDE * SIDE // 2, None], 127.5, axis=1)
    whole = probability(IMAGES, LABELS, scale)
    middle = probability(half.reshape(IMAGES.shape), LABELS, scale)
    fifth = IMAGES.reshape(len(IMAGES), -1, 3).copy()
    np.put_along_axis(fifth, order[:, : SIDE * SIDE // 5, None], 127.5, axis=1)
    left = probability(fifth.reshape(IMAGES.shape), LABELS, scale)
    np.testing.assert_allclose(found["fidelity_20"], whole - left, atol=1e-5)
    expected = whole / 4 + middle / 2 + 0.5 / 4
    np.testing.assert_allclose(found["deletion"], expected, atol=1e-5)
    after = probability(IMAGES * heatmaps[..., None], LABELS, scale)
    drop = np.maximum(whole - after, 0.0) / whole
    np.testing.assert_allclose(found["average_drop"], drop, atol=1e-5)
    np.testing.assert_array_equal(found["average_increase"], after > whole + 1e-7)


def test_attacks_do_what_they_say():
    # Right by a margin that only the stronger of two attacks takes away.
    image = picture((RED, (0, 4), (0, 4)))[None]
    image[0, 4:, 4:, GREEN] = 200.0
    image = np.repeat(image, 2, axis=0)
    dataset = batches(image, np.array([RED, RED], "int32"))
    attacks = ("fgsm", "fgsm_background", "pgd", "pgd_background")
    names = [f"{attack}_accuracy" for attack in attacks]
    margin = 16 * (255 - 200) / SIDE**2  # of the mean colours
    for epsilon, right in ((0.5 * margin / 2, 1.0), (1.5 * margin, 0.0)):
        found = measure(
            color_classifier(),
            dataset,
            names,
            epsilon=epsilon,
            pgd_step_size=epsilon / 4,
        )
        for name, values in found.items():
            np.testing.assert_array_equal(values, right, err_msg=name)


def test_consistency_is_one_where_the_attack_cannot_move_the_map():
    # Colours of a background that is black already can rise, and the map with them.
    found = measure(color_classifier(), batches(IMAGES, LABELS), "consistency")
    values = found["explanation_consistency"]
    assert np.isnan(values[3])  # an empty map
    kept = [0, 1, 2, 4]
    assert np.all(values[kept] > 0.99)
    strong = measure(
        color_classifier(), batches(IMAGES, LABELS), "consistency", epsilon=200.0
    )["explanation_consistency"]
    assert np.all(strong[kept] <= values[kept])


@pytest.mark.parametrize("size", [1, 2, 5])
def test_batches_of_any_size_give_the_same_numbers(size):
    names = [
        *("accuracy", "localisation", "faithfulness", "consistency", "complexity"),
        *("fgsm_accuracy", "pgd_accuracy", "max_sensitivity"),
    ]
    model = color_classifier(scale=0.1)
    # One step from a random start, which then says who is still right.
    strong = {"epsilon": 60.0, "pgd_steps": 1, "pgd_step_size": 1.0}
    expected = measure(model, batches(IMAGES, LABELS, masks(), size=3), names, **strong)
    found = measure(model, batches(IMAGES, LABELS, masks(), size=size), names, **strong)
    assert list(found) == list(expected)
    for name, values in found.items():
        np.testing.assert_allclose(values, expected[name], atol=2e-6, err_msg=name)


@pytest.mark.parametrize("explainer", ["layercam", "saliency"])
def test_other_explainers(explainer):
    dataset = batches(IMAGES, LABELS, masks())
    found = measure(
        color_classifier(), dataset, "energy_pointing_game", explainer=explainer
    )
    heatmaps = explain(color_classifier(), IMAGES, LABELS, explainer=explainer)
    expected = energy_pointing_game(heatmaps, masks=masks())
    np.testing.assert_allclose(found["energy_pointing_game"], expected, atol=1e-5)


def test_other_explainers_run_for_the_labels_alone(monkeypatch):
    from keras_xcons import explainers

    explained = []
    explain_all = explainers.explain

    def count(view, images, labels, *others, **named):
        explained.extend(labels)
        return explain_all(view, images, labels, *others, **named)

    monkeypatch.setattr(explainers, "explain", count)
    labels = np.array([[1, 1], [1, 0], [0, 1], [0, 0], [0, 0]], "float32")
    found = measure(
        color_classifier(),
        batches(IMAGES, labels, masks()),
        "energy_pointing_game",
        explainer="layercam",
    )
    assert explained == [0, 1, 0, 1, 0]  # the last is for the size of a map
    assert np.isnan(found["energy_pointing_game"][3:]).all()


def test_refusals():
    with pytest.raises(ValueError, match="to evaluate on is empty"):
        measure(color_classifier(), batches(IMAGES, LABELS).take(0))
    images = keras.Input((SIDE, SIDE, 3))
    flat = keras.layers.Dense(2)(keras.layers.Flatten()(images))
    with pytest.raises(ValueError, match="no 4-D activation"):
        measure(keras.Model(images, flat), batches(IMAGES, LABELS))


def test_progress_is_shown_when_asked_for(capsys):
    dataset = batches(IMAGES, LABELS, size=1)
    measure(color_classifier(), dataset, "accuracy", verbose=1)
    assert "5/5" in capsys.readouterr().out
