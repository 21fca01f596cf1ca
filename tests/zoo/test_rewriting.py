"""The tool that brings cards and recipes into the present formats."""

import json
import pathlib

import pytest

from keras_xcons import zoo
from tests.test_tools import tool
from tests.zoo.published import card_of, publish, write_card


@pytest.fixture
def rewrite(capsys):
    """`rewrite(folder)`: its exit code, and what it told on the two streams."""

    def run(folder):
        from absl import flags

        module = tool("rewrite_zoo")
        flags.FLAGS(["rewrite_zoo", f"--zoo={folder}"])
        with pytest.raises(SystemExit) as ended:
            module.main(["rewrite_zoo"])
        told = capsys.readouterr()
        return ended.value.code, told.out, told.err

    return run


def as_format_1(folder):
    card = card_of(folder)
    logits = card.pop("check")["logits"]
    del card["explainer"]
    card = {**card, "format": 1, "logits_check": {"logits": logits}}
    write_card(folder, card)
    (folder / "recipe.json").unlink()
    return card


@pytest.fixture
def recipe_of():
    """Puts the recipe of a published model beside a card."""
    path = pathlib.Path(__file__).parents[2] / "zoo" / "shapes_cnn" / "recipe.json"
    told = json.loads(path.read_text("utf-8"))

    def put(folder):
        (folder / "recipe.json").write_text(json.dumps(told))

    return put


def test_a_card_of_format_1_gets_its_heatmap(rewrite, recipe_of, tmp_path):
    good, bad = (publish(tmp_path, name) for name in ("b_good", "a_bad"))
    expected = card_of(good)["check"]["heatmap"]
    as_format_1(good)
    logits = as_format_1(bad)["logits_check"]["logits"]
    write_card(
        bad,
        {**card_of(bad), "logits_check": {"logits": [one + 1.0 for one in logits]}},
    )
    for folder in (good, bad):
        recipe_of(folder)
    weights = (good / "model.weights.h5").read_bytes()
    code, out, err = rewrite(tmp_path)
    assert code == 1 and f"Not rewritten: {bad / 'card.json'}: The logits" in err
    assert f"Rewritten: {good / 'card.json'}" in out
    told = card_of(good)
    assert (told["format"], told["explainer"]) == (2, "gradcam++")
    assert told["check"]["heatmap"] == expected and zoo.verify(good) < 1e-5
    assert (good / "model.weights.h5").read_bytes() == weights
    assert card_of(bad)["format"] == 1
    # A second time nothing is left to do for the good one.
    assert "Rewritten" not in rewrite(tmp_path)[1]


def test_a_folder_that_is_no_zoo_is_refused(rewrite, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, _ = rewrite(tmp_path)
    assert "one folder a model" in code and str(tmp_path) in code


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"explainer": "gradcam"}, "came with format 2: \\['explainer'\\]"),
        ({"logits_check": None}, "lacks the fields \\['logits_check'\\]"),
    ],
)
def test_cards_between_the_formats_are_refused(change, match, tmp_path):
    folder = publish(tmp_path)
    card = {**as_format_1(folder), **change}
    write_card(folder, {name: value for name, value in card.items() if value})
    with pytest.raises(ValueError, match=match):
        zoo.load(folder)


def test_a_heatmap_of_another_shape_is_refused(tmp_path):
    folder = publish(tmp_path)
    card = card_of(folder)
    for heatmap in ([[0.5]], [[0.5] * 8]):
        write_card(folder, {**card, "check": {**card["check"], "heatmap": heatmap}})
        with pytest.raises(ValueError, match="The heatmap of .* must be as its card"):
            zoo.verify(folder)
