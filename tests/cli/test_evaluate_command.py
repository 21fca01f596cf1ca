import csv
import json

import pytest

from keras_xcons import cli, models, recipes, zoo
from keras_xcons.evaluation import EvaluationOptions
from tests.cli.process import pictures

FAST = ["--metrics=accuracy,explanation_consistency", "--gallery=2"]


@pytest.fixture
def data(places):
    return str(pictures(places, 6))


def test_report_is_written_in_three_forms(published, data, places, capsys):
    command = ["evaluate", published, f"--dataset={data}", "-o", "out", *FAST]
    assert cli.main(command) == 0
    out = capsys.readouterr().out
    assert "Accuracy (top-1)" in out and published in out
    assert out.rstrip().endswith("Written to out: report.html, report.csv, report.json")
    folder = places / "out"
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["report.csv", "report.html", "report.json"]
    found = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert found["provenance"]["images"] == 6
    assert list(found["figures"]) == [published]
    with (folder / "report.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["metric"] for row in rows} == {"accuracy", "explanation_consistency"}


def test_models_of_one_name_stand_side_by_side(published, data, places):
    (places / "b").mkdir()
    for folder in (places, places / "b"):
        models.create("small_cnn", 3, 16, width=4).save(folder / "mine.keras")
    command = ["evaluate", published, "mine.keras", "b/mine.keras"]
    assert cli.main([*command, f"--dataset={data}", "-o", "out", *FAST]) == 0
    found = json.loads((places / "out" / "report.json").read_text(encoding="utf-8"))
    assert list(found["figures"]) == [published, "mine", "mine_2"]
    assert list(found["differences"]) == ["mine", "mine_2"]


def test_every_flag_reaches_the_recipe(monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(recipes, "evaluate_models", lambda *a, **k: seen.append((a, k)))
    words = [
        "--split=train",
        "--image_size=32",
        "--batch_size=4",
        "--metrics=gini,pxap",
    ]
    words += ["--metrics=gini,pxap", "--backgrounds=photos"]
    words += ["--dataset=stl10", "--steps=5", "--epsilon=8"]
    words += ["--on_bad_record=skip"]
    words += [
        "--explained=predicted",
        "--explainer=layercam",
        "--seed=3",
        "--gallery=0",
    ]
    assert cli.main(["evaluate", "a", "b.keras", *words, "-o", "out"]) == 0
    ((positional, named),) = seen
    assert positional == (["a", "b.keras"], "stl10", "out")
    expected = {
        "split": "train",
        "image_size": 32,
        "batch_size": 4,
        "metrics": ["gini", "pxap"],
        "backgrounds": "photos",
        "on_bad_record": "skip",
    }
    assert {name: named[name] for name in expected} == expected
    options = EvaluationOptions(
        **{name: value for name, value in named.items() if name not in expected}
    )
    assert options == EvaluationOptions(
        steps=5,
        epsilon=8.0,
        explained="predicted",
        explainer="layercam",
        seed=3,
        gallery=0,
    )


@pytest.mark.parametrize(
    "words, message",
    [
        (["--metrics=acuracy"], "Did you mean 'accuracy'"),
        (["--metrics=pointing_game"], "neither boxes nor masks"),
        (["--steps=0"], "`steps` must be within"),
        (["--split=tset"], "Did you mean 'test'"),
        (["--dataset=./nowhere"], "There is no such folder"),
        (["--dataset=shapes"], "The model has 3 classes, and the data set 'shapes'"),
        (["--output=file"], "The output folder must be a folder"),
        (["--image_size=32"], "as the model takes them"),
    ],
)
def test_bad_value_is_code_1_before_any_model_runs(
    words, message, published, data, capsys, monkeypatch, places
):
    def refuse(*_, **__):
        raise AssertionError("a model ran")

    monkeypatch.setattr("keras_xcons.evaluation.suite.Suite.measure", refuse)
    (places / "file").touch()
    assert cli.main(["evaluate", published, f"--dataset={data}", *words]) == 1
    line = capsys.readouterr().err
    assert line.startswith("keras-xcons evaluate: error: ") and line.count("\n") == 1
    assert message in line
    assert not (places / "evaluation" / "report.html").exists()


def test_other_class_names_are_noted(published, places):
    folder = pictures(places, 6, names=("disc", "ring", "square"))
    command = ["evaluate", published, f"--dataset={folder}", "-o", "out", *FAST]
    assert cli.main(command) == 0
    found = json.loads((places / "out" / "report.json").read_text(encoding="utf-8"))
    assert f"classes of {published} have other names" in " ".join(found["notes"])


def test_class_names_in_another_order_are_refused(published, places, fails):
    # Folders give their names in the order of the alphabet.
    zoo.publish(
        models.create("small_cnn", 3, 16, width=4),
        "small_cnn_turned",
        places / "zoo",
        architecture="small_cnn",
        arguments={"width": 4},
        class_names=["star", "ring", "disc"],
        method="xcons",
        recipe={"epochs": 2},
        metrics={"accuracy": 0.5},
        data_license="CC0-1.0",
        weights_license="Apache-2.0",
        dataset="figures",
        data="drawn figures",
        pretraining="none",
    )
    folder = pictures(places, 6)
    line = fails(["evaluate", "small_cnn_turned", f"--dataset={folder}"], 1)
    assert "in another order. Received: star, ring, disc" in line
