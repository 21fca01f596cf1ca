"""An empty string is a value, and no path; it never stands for a default."""

import numpy as np
import pytest

import keras_xcons as kx
from keras_xcons import checks, cli, models, recipes, zoo
from keras_xcons.recipes import TrainOptions, measure_by, read_recipe
from keras_xcons.recipes.pretrain_options import PretrainOptions
from tests.recipes.test_zoo_training import write_recipe

PICTURE = np.zeros((2, 2, 3), "uint8")
PATHS = {
    "output of a run": recipes.writable_folder,
    "output of options": lambda path: TrainOptions(output=path),
    "dataset of options": lambda path: TrainOptions(dataset=path),
    "pretrained of options": lambda path: TrainOptions(pretrained=path),
    "dataset of a pretraining": lambda path: PretrainOptions(path, "small_cnn"),
    "path of a log": kx.callbacks.FigureLogger,
    "path of a picture": lambda path: kx.plotting.save(PICTURE, path),
    "log_dir of a monitor": lambda path: kx.callbacks.ExplanationMonitor(
        (PICTURE[None], [0]), log_dir=path
    ),
}


@pytest.mark.parametrize("value", ["", "a\0b"])
@pytest.mark.parametrize("call", PATHS)
def test_what_is_no_path_is_refused_by_name(call, value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = call.split()[0]
    with pytest.raises(ValueError, match=f"^`{name}` must be a path") as caught:
        PATHS[call](value)
    assert str(caught.value).endswith(f"Received: {name}={value!r}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [None, 3, b"folder", ["folder"]])
def test_what_is_neither_string_nor_path_is_refused(value):
    with pytest.raises(TypeError, match="`output` must be a path, a string or"):
        checks.path("output", value)


@pytest.fixture
def fails(capsys):
    def run(*arguments):
        assert cli.main([*arguments]) in (1, 2)
        return capsys.readouterr().err

    return run


def test_an_empty_flag_does_not_stand_for_its_default(fails, tmp_path, monkeypatch):
    """Of every flag of a command whose default is `None` or a text."""
    monkeypatch.chdir(tmp_path)
    models.create("small_cnn", 10, 16).save("m.keras")
    (tmp_path / "a.png").touch()
    before = sorted(tmp_path.iterdir())
    evaluate = ("evaluate", "m.keras", "--metrics=accuracy")
    for command, flag in [
        *((("train",), name) for name in ("dataset", "model", "pretrained", "output")),
        *((evaluate, name) for name in ("dataset", "split", "output", "feature_layer")),
        (("evaluate", "m.keras", "--metrics=bg_gap"), "backgrounds"),
        (("evaluate", "m.keras"), "metrics"),
        (("explain", "a.png", "--model=m.keras"), "label"),
        (("explain", "a.png"), "model"),
        (("explain", "a.png", "--model=m.keras"), "output"),
    ]:
        line = fails(*command, f"--{flag}=")
        assert "error: " in line and line.count("\n") == 1, (command, flag, line)
    assert [path for path in sorted(tmp_path.iterdir()) if path not in before] in (
        [],
        [tmp_path / "evaluation"],
        [tmp_path / "evaluation", tmp_path / "heatmaps"],
    )


def test_an_empty_data_set_of_a_recipe_is_not_the_recipes(tmp_path):
    recipe = read_recipe(write_recipe(tmp_path))
    with pytest.raises(ValueError, match="Received: dataset=''"):
        measure_by(recipe, None, dataset="")


def test_an_empty_pattern_finds_nothing():
    assert zoo.list_models("") == [] != zoo.list_models()
