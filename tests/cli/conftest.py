"""A zoo of one small model, and what a command says."""

import keras
import numpy as np
import pytest
from PIL import Image

from keras_xcons import cli, models, recipes, zoo


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """A zoo and a cache of the test's own, and a folder for what is written."""
    (tmp_path / "zoo").mkdir()
    monkeypatch.setenv("KERAS_XCONS_ZOO", str(tmp_path / "zoo"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def published(places):
    keras.utils.set_random_seed(0)
    zoo.publish(
        models.create("small_cnn", 3, 16, width=4),
        "small_cnn_figures",
        places / "zoo",
        architecture="small_cnn",
        arguments={"width": 4},
        class_names=["disc", "ring", "star"],
        method="xcons",
        recipe={"epochs": 2},
        metrics={"accuracy": 0.5},
        data_license="CC0-1.0",
        weights_license="Apache-2.0",
        dataset="figures",
        data="drawn figures",
        pretraining="none",
    )
    return "small_cnn_figures"


@pytest.fixture
def image_file(places):
    """`image_file("a.png")` writes a picture and returns its path."""

    def write(name):
        pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3))
        Image.fromarray(pixels.astype("uint8")).save(places / name)
        return str(places / name)

    return write


@pytest.fixture
def trained(monkeypatch):
    """The options that `train` is called with; nothing is trained."""
    seen = []
    monkeypatch.setattr(recipes, "train", seen.append)
    return seen


@pytest.fixture
def fails(capsys):
    """`fails(arguments, code)`: the one line that a command fails with."""

    def run(arguments, code):
        assert cli.main(arguments) == code
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.count("\n") == 1 and captured.err.endswith("\n")
        return captured.err.rstrip("\n")

    return run
