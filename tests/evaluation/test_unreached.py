"""A model that no attack reaches, for want of a gradient, is not called robust."""

import csv
import io

import keras
import numpy as np
import pytest

from keras_xcons import evaluate
from keras_xcons.evaluation import METRICS
from tests.evaluation.colors import SIDE, batches, color_classifier

ATTACKED = [
    *("explanation_consistency", "fgsm_accuracy", "fgsm_background_accuracy"),
    *("pgd_accuracy", "pgd_background_accuracy"),
]
COUNT = 20


def saturating(scale):
    """The classifier of colours with its logits behind ReLU6."""
    model = color_classifier(scale=scale)
    return keras.Model(model.inputs, keras.ops.relu6(model.output), name="saturating")


def images(black=0):
    """A little more red than green; some of them all black."""
    found = np.zeros((COUNT, SIDE, SIDE, 3), "float32")
    found[black:, ..., 0], found[black:, ..., 1] = 130.0, 128.0
    return batches(found, np.zeros(COUNT, "int32"), size=10)


@pytest.fixture(scope="module")
def report():
    # Logits of 130 and 128, which are 6 and 6.
    models = {"plain": color_classifier(), "saturated": saturating(1.0)}
    names = ["accuracy", *ATTACKED]
    return evaluate(models, images(), names, verbose=0, gallery=0, pgd_steps=2)


def test_a_model_without_gradients_is_flagged_and_never_the_better_one(report):
    found = report.to_dict()
    plain, saturated = (found["figures"][name] for name in ("plain", "saturated"))
    assert (plain["fgsm_accuracy"]["value"], plain["pgd_accuracy"]["value"]) == (0, 0)
    assert (
        saturated["fgsm_accuracy"]["value"] == saturated["pgd_accuracy"]["value"] == 1
    )
    told = {
        name for name in saturated if "no gradient" in saturated[name].get("flag", "")
    }
    assert set(ATTACKED) == {m.name for m in METRICS.values() if m.attacked}
    # Nor has it a heatmap, which leaves E out.
    assert told == set(saturated) - {"accuracy"} == set(ATTACKED[1:])
    assert not any("no gradient" in each.get("flag", "") for each in plain.values())
    differences = found["differences"]["saturated"]
    assert {differences[name]["better"] for name in ATTACKED[1:]} == {None}
    (note,) = [note for note in found["notes"] if "No attack reaches" in note]
    assert "20 of 20 images of saturated" in note and "flagged" in note


def test_every_form_of_the_report_shows_that_there_is_no_gradient(report):
    rows = list(csv.DictReader(io.StringIO(report.to_csv())))
    flags = {(row["model"], row["metric"]): row["flag"] for row in rows}
    assert flags["saturated", "fgsm_accuracy"] == "no gradient"
    assert flags["plain", "fgsm_accuracy"] == flags["saturated", "accuracy"] == ""
    line = next(x for x in repr(report).splitlines() if "Accuracy under PGD " in x)
    assert "! no gradient" in line and "*" not in line
    assert "no gradient for an attack to follow" in report.to_html()
    assert "! no gradient" in report._repr_html_()


@pytest.mark.parametrize("black, flagged", [(0, False), (2, False), (3, True)])
def test_a_tenth_of_the_images_may_be_without(black, flagged):
    # Logits of 1.30 and 1.28; those of black images are 0, where ReLU6 is flat.
    found = evaluate(
        *(saturating(0.01), images(black), "fgsm_accuracy"), verbose=0, gallery=0
    ).to_dict()
    assert ("flag" in found["figures"]["saturating"]["fgsm_accuracy"]) == flagged
    notes = [note for note in found["notes"] if "No attack reaches" in note]
    assert len(notes) == (black > 0)
    assert all(("flagged" in note) == flagged for note in notes)
