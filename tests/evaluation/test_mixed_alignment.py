"""Models of which some are moved by their offset and others are not."""

import pytest

from keras_xcons import evaluate
from keras_xcons.evaluation import METRICS
from keras_xcons.models import split
from keras_xcons.models.offset import Offset, remember_offset
from tests.evaluation.colors import IMAGES, LABELS, batches, color_classifier, masks

NAMES = [
    *("accuracy", "pointing_game", "energy_pointing_game", "deletion", "gini"),
    *("explanation_consistency", "fgsm_background_accuracy", "fgsm_accuracy"),
]
PLACED = [
    *("pointing_game", "energy_pointing_game", "deletion"),
    *("explanation_consistency", "fgsm_background_accuracy"),
]


def known(rows=4.0, columns=0.5):
    """A classifier whose heatmaps are known to be off by so many cells."""
    model = color_classifier()
    remember_offset(model, split(model).feature_layer, Offset(rows, columns))
    return model


def report(models, explainer="gradcam++", metrics=NAMES, **options):
    # As many that the intervals of what differs leave out zero.
    data = batches(*(part[[0, 1, 2, 4] * 10] for part in (IMAGES, LABELS, masks())))
    found = dict(explainer=explainer, gallery=0, verbose=0, **options)
    return evaluate(models, data, metrics, **found)


@pytest.fixture(scope="module")
def mixed():
    return report({"seed 1": known(), "seed 2": color_classifier()})


def test_what_depends_on_where_maps_lie_is_flagged(mixed):
    found = mixed.to_dict()
    first, second = (found["figures"][name] for name in ("seed 1", "seed 2"))
    assert not any("flag" in figure for figure in first.values())
    flagged = {name for name, figure in second.items() if "flag" in figure}
    assert flagged == set(PLACED) == {n for n in NAMES if METRICS[n].placed}
    assert {second[name]["flag"] for name in PLACED} == {"not aligned"}


def test_weights_that_changed_since_the_calibration_are_told():
    fresh, changed, aligned = known(), known(), known()
    for model in (changed, aligned):
        model.set_weights([2 * each for each in model.get_weights()])
    models = {"fresh": fresh, "changed": changed}
    (note,) = [each for each in report(models).to_dict()["notes"] if "weights" in each]
    assert note.startswith("The weights of changed have changed since the offset")
    models = {"fresh": fresh, "placed": split(aligned, align=(1, 0))}
    found = report(models).to_dict()["notes"]
    assert not [each for each in found if "weights" in each]


def test_no_model_is_better_where_maps_lie_differently(mixed):
    changes = mixed.to_dict()["differences"]["seed 2"]
    assert abs(changes["energy_pointing_game"]["value"]) > 0.2
    assert {changes[name]["better"] for name in PLACED} == {None}


def test_a_note_says_which_are_moved_and_what_to_do(mixed):
    found = mixed.to_dict()
    (note,) = [note for note in found["notes"] if "moved" in note]
    assert note.startswith(
        "The heatmaps of seed 1 are moved by their offset, those of seed 2 are not, as "
        "nobody has measured it: figures that depend on where maps lie are not "
        "comparable"
    )
    assert "Call kx.calibrate of each, or evaluate all with align=False." in note
    assert found["provenance"]["heatmaps"].endswith(
        "moved (down, right): seed 1 +4.0, +0.5 px; seed 2 not, its offset was never "
        "measured"
    )
    for text in (str(mixed), mixed.to_html(), mixed._repr_html_()):
        assert note in text and "not aligned" in text
    assert "flat maps" not in mixed.to_html()


@pytest.mark.parametrize("align", [False, "geometric", (1.0, 1.0)])
def test_maps_that_are_all_laid_alike_are_compared(align):
    models = {"seed 1": known(), "seed 2": color_classifier()}
    found = report(models, align=align).to_dict()
    assert not any("flag" in f for m in found["figures"].values() for f in m.values())
    assert not any("comparable" in note for note in found["notes"])


def test_models_that_are_all_known_or_all_unknown_are_compared():
    for make in (known, color_classifier):
        found = report({"a": make(), "b": make()}, metrics=PLACED[:1]).to_dict()
        assert "flag" not in found["figures"]["b"]["pointing_game"]
    assert found["provenance"]["heatmaps"].endswith(
        ", not moved, their offsets were never measured"
    )


def test_a_known_offset_of_nothing_is_known():
    models = {"a": known(0.0, 0.0), "b": color_classifier()}
    found = report(models, metrics=PLACED[:1]).to_dict()
    assert found["figures"]["b"]["pointing_game"]["flag"] == "not aligned"
    assert "a +0.0, +0.0 px; b not" in found["provenance"]["heatmaps"]


def test_maps_of_pixels_have_no_offset():
    models = {"a": known(), "b": color_classifier()}
    found = report(models, "saliency", PLACED[:1]).to_dict()
    assert "flag" not in found["figures"]["b"]["pointing_game"]
    assert found["provenance"]["heatmaps"].endswith(", of the pixels themselves")


def test_views_with_an_alignment_of_their_own_are_told_apart():
    models = {
        "a": split(color_classifier(), align=(4, 4)),
        "b": split(color_classifier(), align=False),
    }
    found = report(models, metrics=PLACED[:1]).to_dict()
    assert found["figures"]["b"]["pointing_game"]["flag"] == "not aligned"
    assert found["provenance"]["heatmaps"].endswith("a +4.0, +4.0 px; b as it is")
    assert any("those of b are not: figures" in note for note in found["notes"])
