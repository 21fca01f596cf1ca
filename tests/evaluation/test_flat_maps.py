"""Heatmaps that are bright everywhere do not make a model look good."""

import csv
import io

import keras
import numpy as np
import pytest

from keras_xcons import callbacks, evaluate
from keras_xcons.evaluation import METRICS, measure
from tests.evaluation.colors import (
    IMAGES,
    LABELS,
    SIDE,
    batches,
    color_classifier,
    masks,
)

INFLATED = [
    *("average_drop", "average_increase", "explanation_consistency"),
    *("fgsm_background_accuracy", "pgd_background_accuracy", "max_sensitivity"),
]
NAMES = [*INFLATED, "pointing_game", "gini", "flat", "entropy"]


def collapsed_classifier(crop=SIDE):
    """Its features are the same for all images, at all places, and so are its maps."""
    images = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.CenterCrop(crop, crop)(images) if crop < SIDE else images
    features = keras.layers.Conv2D(2, 1, name="features")
    x = keras.layers.GlobalAveragePooling2D()(features(x))
    score = keras.layers.Dense(2)
    model = keras.Model(images, score(x), name="collapsed")
    features.set_weights([np.full((1, 1, 3, 2), 1e-6), np.ones(2)])
    score.set_weights([np.ones((2, 2)), np.zeros(2)])
    return model


def shown():
    """Those of the images whose label has a map under both models."""
    kept = [0, 1, 2, 4]
    return batches(IMAGES[kept], LABELS[kept], masks()[kept])


@pytest.fixture(scope="module")
def report():
    models = {"healthy": color_classifier(), "collapsed": collapsed_classifier()}
    return evaluate(models, shown(), NAMES, verbose=0, pgd_steps=2, noise_samples=2)


def test_inflated_metrics_are_those_that_the_table_tells():
    assert sorted(m.name for m in METRICS.values() if m.inflated) == sorted(INFLATED)


def test_a_collapsed_network_is_flagged_and_a_healthy_one_is_not(report):
    found = report.to_dict()
    healthy, collapsed = (found["figures"][name] for name in ("healthy", "collapsed"))
    assert collapsed["explanation_consistency"]["value"] == pytest.approx(1.0)
    assert (healthy["flat"]["value"], collapsed["flat"]["value"]) == (0.0, 1.0)
    assert healthy["entropy"]["value"] < collapsed["entropy"]["value"]
    assert collapsed["entropy"]["value"] == pytest.approx(1.0)
    assert [name for name in collapsed if "flag" in collapsed[name]] == [
        metric["name"] for metric in found["metrics"] if metric["name"] in INFLATED
    ]
    assert not any("flag" in figure for figure in healthy.values())
    (note,) = [note for note in found["notes"] if "flat" in note]
    assert note.startswith("100 % of the heatmaps of collapsed are flat")
    assert METRICS["explanation_consistency"].label in note


def test_what_is_flagged_is_never_the_better_one(report):
    differences = report.to_dict()["differences"]["collapsed"]
    assert {differences[name]["better"] for name in INFLATED} == {None}
    # That its maps are flat is worse, for sure.
    assert differences["flat"]["better"] == "healthy"


def test_every_form_of_the_report_shows_the_flag(report):
    rows = list(csv.DictReader(io.StringIO(report.to_csv())))
    flags = {(row["model"], row["metric"]): row["flag"] for row in rows}
    assert flags["collapsed", "max_sensitivity"] == "flat maps"
    assert flags["healthy", "max_sensitivity"] == flags["collapsed", "gini"] == ""
    line = next(x for x in repr(report).splitlines() if "consistency E" in x)
    assert "! flat maps" in line and "*" not in line
    page, table = report.to_html(), report._repr_html_()
    assert page.count('class="flag"') >= len(INFLATED) + 1
    assert table.count("! flat maps") == len(INFLATED)


def test_few_flat_maps_are_no_flag():
    # One in twenty.
    images = np.concatenate([IMAGES[:1]] * 19 + [np.full_like(IMAGES[:1], 255.0)])
    labels = np.zeros(20, "int32")
    found = evaluate(
        *(color_classifier(), batches(images, labels)),
        *(["flat", "explanation_consistency"],),
        verbose=0,
        gallery=0,
    ).to_dict()["figures"]["colors"]
    assert found["flat"]["value"] == pytest.approx(0.05)
    assert "flag" not in found["explanation_consistency"]


@pytest.mark.parametrize("normalize", ["max", "minmax"])
@pytest.mark.parametrize("explainer", ["gradcam++", "saliency", "scorecam"])
def test_spread_is_that_of_the_map_as_computed_where_the_model_sees(
    explainer, normalize
):
    options = {"explainer": explainer, "normalize": normalize}
    model = collapsed_classifier(crop=4)
    found = measure(model, shown(), ["flat", "entropy"], **options)
    np.testing.assert_array_equal(found["flat"], np.ones(4))
    np.testing.assert_allclose(found["entropy"], np.ones(4), atol=1e-3)


def test_the_spread_of_several_classes_is_their_mean():
    # Red is everywhere, green in a corner.
    image = np.zeros((1, SIDE, SIDE, 3), "float32")
    image[..., 0] = 255.0
    image[:, :2, :2, 1] = 255.0
    labels = np.array([[1.0, 1.0]], "float32")
    options = {"multi_label": True}
    found = measure(color_classifier(), batches(image, labels), "complexity", **options)
    np.testing.assert_array_equal(found["flat"], [0.5])
    np.testing.assert_allclose(
        found["entropy"], [(1.0 + np.log(4) / np.log(64)) / 2], rtol=1e-5
    )


def test_the_monitor_logs_the_share_of_flat_maps():
    model = collapsed_classifier()
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    monitor = callbacks.ExplanationMonitor(shown())
    logs = model.fit(IMAGES, LABELS, verbose=0, callbacks=[monitor]).history
    assert logs["flat"] == [1.0]
