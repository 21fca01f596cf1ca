"""The tools of the zoo: where recipes start from, and the table of results."""

import csv
import json
import pathlib

import pytest
from pages import renewed

from keras_xcons import recipes, zoo
from tests.test_tools import tool

CHECKOUT = pathlib.Path(__file__).parents[1]


def figure(value, count=1000):
    return {"value": value, "low": value - 0.01, "high": value + 0.01, "n": count}


@pytest.fixture
def small_zoo(tmp_path):
    """Cards and figures of two models, as far as the table reads them."""
    for name, method, accuracy in (("b_net", "xcons", 0.5), ("a_net", "plain", 0.25)):
        folder = tmp_path / "zoo" / name
        folder.mkdir(parents=True)
        card = {
            **{"name": name, "architecture": "net", "method": method, "dataset": "d"},
            **{"pretraining": "none", "input_size": [64, 64], "parameters": 12345},
            "bytes": 2_340_000,
        }
        figures = {
            "accuracy": figure(accuracy),
            "explanation_consistency": figure(0.9, 1200),
        }
        metrics = {"figures": figures, "split": "test", "seed": 0, "commit": "c0ffee"}
        (folder / "card.json").write_text(json.dumps(card))
        (folder / "metrics.json").write_text(json.dumps(metrics))
    (tmp_path / "zoo" / "unpublished").mkdir()
    return tmp_path / "zoo"


def test_the_table_has_every_published_model(small_zoo):
    results = tool("zoo_results")
    lines = results.table(results.rows(small_zoo))
    assert lines[0].startswith("| model | method | px | parameters | MB | top-1 |")
    assert lines[1].count("|") == lines[0].count("|") == lines[2].count("|")
    assert lines[2:] == [
        "| [`a_net`](zoo/a_net/README.md) | plain | 64 | 12,345 | 2.3 "
        "| 25.0 [24.0, 26.0] | – | – | – | 0.900 [0.890, 0.910] | 1,000 |",
        "| [`b_net`](zoo/b_net/README.md) | xcons | 64 | 12,345 | 2.3 "
        "| 50.0 [49.0, 51.0] | – | – | – | 0.900 [0.890, 0.910] | 1,000 |",
    ]


def test_the_in_sample_value_is_shown_where_there_is_one(small_zoo):
    results = tool("zoo_results")
    assert "max_box_acc_v2_in_sample" not in results.rows(small_zoo)[0]
    measured = small_zoo / "b_net" / "metrics.json"
    content = json.loads(measured.read_text())
    content["figures"]["max_box_acc_v2"] = {**figure(0.5), "in_sample": 0.525}
    measured.write_text(json.dumps(content))
    found = results.rows(small_zoo)
    assert [row["max_box_acc_v2_in_sample"] for row in found] == ["", 0.525]
    assert list(found[0]) == list(found[1])
    lines = results.table(found)
    assert "| – | – | – | 0.900" in lines[2]
    assert "| 50.0 [49.0, 51.0] (in-sample 52.5) | 0.900" in lines[3]


def test_a_figure_that_says_nothing_is_marked(small_zoo):
    results = tool("zoo_results")
    measured = small_zoo / "b_net" / "metrics.json"
    content = json.loads(measured.read_text())
    content["figures"]["explanation_consistency"]["flag"] = "flat maps"
    measured.write_text(json.dumps(content))
    other = small_zoo / "a_net" / "metrics.json"
    content = json.loads(other.read_text())
    content["figures"]["max_box_acc_v2"] = {**figure(0.5), "in_sample": 0.525}
    other.write_text(json.dumps(content))
    found = results.rows(small_zoo)
    assert [row["explanation_consistency_flag"] for row in found] == ["", "flat maps"]
    assert list(found[0]) == list(found[1])
    assert list(found[0])[-4:] == [
        *("explanation_consistency_high", "explanation_consistency_flag"),
        *("seed", "commit"),
    ]
    lines = results.table(found)
    assert "| 50.0 [49.0, 51.0] (in-sample 52.5) | 0.900 [0.890, 0.910] |" in lines[2]
    assert "| 0.900 (flat maps) [0.890, 0.910] |" in lines[3]


def test_a_table_of_nothing_is_refused(small_zoo):
    results = tool("zoo_results")
    with pytest.raises(ValueError, match="No model is published there. Received: zoo="):
        results.rows(small_zoo / "unpublished")
    measured = small_zoo / "a_net" / "metrics.json"
    measured.write_text(json.dumps({"figures": {}, "seed": 0, "commit": "c0ffee"}))
    with pytest.raises(ValueError, match=r"metrics.json must .* without \['split'\]"):
        results.rows(small_zoo)


def test_a_model_without_accuracy_has_no_count(small_zoo):
    results = tool("zoo_results")
    measured = small_zoo / "a_net" / "metrics.json"
    content = {"figures": {}, "split": "test", "seed": 0, "commit": "c0ffee"}
    measured.write_text(json.dumps(content))
    assert results.table(results.rows(small_zoo))[2].endswith("| – | – |")


def test_results_of_this_zoo_are_those_of_its_metrics():
    results = tool("zoo_results")
    found = results.rows(CHECKOUT / "zoo")
    assert {row["model"] for row in found} == {
        path.parent.name for path in (CHECKOUT / "zoo").glob("*/card.json")
    }
    with (CHECKOUT / "zoo" / "results.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert written == [{k: str(v) for k, v in row.items()} for row in found]
    page = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    lines = results.table(found)
    assert renewed(page, results.START, results.END, lambda place: lines) == page


def test_a_recipe_starts_from_a_run_a_published_model_or_a_file(tmp_path, monkeypatch):
    train_zoo = tool("train_zoo")
    find = train_zoo.find_pretrained
    assert find(None, tmp_path) is None
    assert find("imagenet", tmp_path) == "imagenet"
    assert find("some/file.weights.h5", tmp_path) == "some/file.weights.h5"
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    name = zoo.list_models()[0]
    assert find(name, tmp_path) == str(zoo.download(name))
    run = tmp_path / name / "model.weights.h5"
    run.parent.mkdir()
    run.touch()
    assert find(name, tmp_path) == str(run)
    with pytest.raises(FileNotFoundError, match="train_zoo.py no_such_model"):
        find("no_such_model", tmp_path)


def test_data_lies_in_the_folder_of_data_sets_or_has_a_name(tmp_path):
    (tmp_path / "birds").mkdir()
    assert recipes.find_dataset("birds", tmp_path) == str(tmp_path / "birds")
    assert recipes.find_dataset("shapes", tmp_path) == "shapes"
    assert recipes.find_dataset("shapes", None) == "shapes"


def test_every_recipe_of_the_zoo_can_be_used():
    found = {
        path.parent.name: recipes.read_recipe(path)
        for path in (CHECKOUT / "zoo").glob("*/recipe.json")
    }
    assert found
    for name, recipe in found.items():
        start = recipe.training.get("pretrained")
        # What it starts from can be had.
        assert start in (None, "imagenet") or start in found, name


def test_figures_that_moved_by_more_than_their_interval():
    measure = tool("measure_zoo")
    before = {"a": figure(0.5), "b": figure(0.5), "c": figure(0.5), "old": figure(0.1)}
    after = {"a": figure(0.505), "b": figure(0.52), "new": figure(0.9)}
    after["c"] = {"value": 0.505, "low": 0.502, "high": 0.508, "n": 1000}
    assert measure.moved(before, after) == ["b", "c"]
