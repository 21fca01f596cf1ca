"""From a recipe to a published model, stopped and continued on the way."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from keras_xcons import data, models, zoo
from keras_xcons.recipes import measure_by, publish_by, read_recipe, train_by
from keras_xcons.zoo.fetch import sha256

CHECKOUT = pathlib.Path(__file__).parents[2]
CONTENT = {
    "format": 1,
    "method": "xcons",
    "options": {
        **{"dataset": "shapes", "model": "small_cnn", "image_size": 32},
        **{"num_samples": 48, "batch_size": 16, "epochs": 3},
    },
    "data": "48 generated images",
    "pretraining": "none, random weights",
    "data_license": "none, the images are generated",
    "weights_license": "Apache-2.0",
    "metrics": ["accuracy", "pointing_game"],
}


def tool(folder, *flags):
    """The command that trains and publishes the model `tiny` of a zoo."""
    script = CHECKOUT / "tools" / "train_zoo.py"
    zoo_flags = [f"--zoo={folder / 'zoo'}", f"--work={folder / 'runs'}"]
    return [sys.executable, str(script), "tiny", *zoo_flags, *flags]


def write_recipe(folder, **changes):
    (folder / "zoo" / "tiny").mkdir(parents=True)
    path = folder / "zoo" / "tiny" / "recipe.json"
    path.write_text(json.dumps({**CONTENT, **changes}))
    return path


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_to_the_same_weights(tmp_path):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    for folder in (whole, stopped):
        write_recipe(folder)
    subprocess.run(tool(whole), check=True, capture_output=True)
    backup = stopped / "runs" / "tiny" / "unfinished" / "xcons"
    process = subprocess.Popen(
        tool(stopped), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 300
    while not list(backup.glob("[12].weights.h5")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (stopped / "zoo" / "tiny" / "card.json").exists()
    done = subprocess.run(tool(stopped), check=True, capture_output=True, text=True)
    assert "Continuing the run" in done.stdout
    models = [zoo.load(folder / "zoo" / "tiny") for folder in (whole, stopped)]
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(one, other)
    # What is published is not trained again by mistake.
    again = subprocess.run(tool(whole), capture_output=True, text=True)
    assert again.returncode != 0
    assert "is published; pass --overwrite" in again.stderr


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A model that was trained, measured and published by its recipe."""
    folder = tmp_path_factory.mktemp("published")
    recipe = read_recipe(write_recipe(folder))
    model = train_by(recipe, folder / "run", report=lambda line: None)
    metrics = measure_by(recipe, model)
    return (
        recipe,
        model,
        metrics,
        publish_by(recipe, model, "tiny", folder / "zoo", metrics),
    )


def test_what_is_published_says_how_it_was_made(published):
    recipe, _, metrics, folder = published
    card = json.loads((folder / "card.json").read_text())
    assert card["architecture"] == "small_cnn"
    assert card["dataset"] == "shapes"
    assert card["data"] == CONTENT["data"]
    assert card["pretraining"] == CONTENT["pretraining"]
    assert card["method"] == "xcons"
    assert card["paper"] == "Wu et al. 2024, arXiv 2408.04600"
    assert card["input_size"] == [32, 32]
    assert read_recipe(folder / "recipe.json").to_dict() == recipe.to_dict()
    assert json.loads((folder / "metrics.json").read_text()) == metrics


def test_figures_have_intervals_and_say_what_they_are_of(published):
    _, _, metrics, _ = published
    assert sorted(metrics["figures"]) == ["accuracy", "pointing_game"]
    for figure in metrics["figures"].values():
        assert figure["n"] == 1000
        assert figure["low"] <= figure["value"] <= figure["high"]
    assert (metrics["dataset"], metrics["split"]) == ("shapes", "original")
    assert metrics["seed"] == 0
    assert "keras" in metrics["versions"]


def test_what_is_loaded_is_what_was_trained(published):
    _, model, _, folder = published
    images = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype("float32")
    one, other = (np.asarray(each(images)) for each in (model, zoo.load(folder)))
    assert np.ptp(one) > 0.1
    np.testing.assert_allclose(one, other, atol=0.02 * np.abs(one).max())


def test_plain_training_has_no_weights_of_samples(published, tmp_path):
    path = write_recipe(tmp_path, method="plain")
    plain = train_by(read_recipe(path), tmp_path / "run", report=lambda line: None)
    xcons = published[1]
    pairs = zip(plain.get_weights(), xcons.get_weights(), strict=True)
    assert any(np.abs(one - other).max() > 1e-4 for one, other in pairs)


def test_pretrained_weights_are_named_in_the_card(published, tmp_path, weights):
    recipe = read_recipe(
        write_recipe(tmp_path, pretraining="a picture of noise", metrics=["accuracy"])
    )
    _, model, metrics, _ = published
    folder = publish_by(
        *(recipe, model, "tiny", tmp_path / "other", metrics), pretrained=weights
    )
    card = json.loads((folder / "card.json").read_text())
    digest = sha256(weights)
    assert card["pretraining"] == (
        f"a picture of noise (small_cnn.weights.h5, sha256 {digest[:12]}...)"
    )


def test_pretraining_is_measured_and_published_as_any_other(tmp_path):
    options = {"dataset": "shapes", "model": "small_cnn", "phases": [[32, 1]]}
    options |= {"steps_per_epoch": 2, "batch_size": 16}
    recipe = read_recipe(write_recipe(tmp_path, method="pretraining", options=options))
    model = train_by(recipe, tmp_path / "run", report=lambda line: None)
    metrics = measure_by(recipe, model)
    folder = publish_by(recipe, model, "tiny", tmp_path / "zoo", metrics)
    assert (tmp_path / "run" / "model.weights.h5").is_file()
    card = json.loads((folder / "card.json").read_text())
    assert (card["method"], card["paper"]) == ("pretraining", None)
    assert card["input_size"] == [32, 32]


def test_other_metrics_need_no_other_training(published, tmp_path):
    folder = tmp_path / "run"
    recipe = read_recipe(write_recipe(tmp_path))
    first = train_by(recipe, folder, report=lambda line: None)
    written = (folder / "xcons.keras").stat().st_mtime_ns
    lines = []
    changed = dataclasses.replace(recipe, metrics=("accuracy",), data="other words")
    second = train_by(changed, folder, report=lines.append)
    assert f"Continuing the run in {folder}" in lines
    assert (folder / "xcons.keras").stat().st_mtime_ns == written
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    # Other options are another run.
    longer = {**recipe.options, "epochs": 4}
    train_by(
        dataclasses.replace(recipe, options=longer), folder, report=lambda line: None
    )
    assert (folder / "xcons.keras").stat().st_mtime_ns != written


@pytest.mark.parametrize("method", ["plain", "xcons"])
def test_a_protopnet_is_published_with_its_prototypes(tmp_path, pictures, method):
    options = {"dataset": str(pictures), "model": "protopnet", "image_size": 16}
    recipe = read_recipe(
        write_recipe(
            tmp_path,
            method=method,
            options=options | {"batch_size": 8, "epochs": 3, "learning_rate": 1e-3},
            architecture={"backbone": "small_cnn", "prototypes": 2, "channels": 8},
            stages={"warm_epochs": 1, "push_start": 2, "last_epochs": 1},
            metrics=["accuracy"],
        )
    )
    model = train_by(recipe, tmp_path / "run", report=lambda line: None)
    metrics = measure_by(recipe, model)
    folder = publish_by(recipe, model, "tiny", tmp_path / "zoo", metrics)
    card = json.loads((folder / "card.json").read_text())
    assert card["architecture"] == "protopnet"
    assert card["arguments"]["prototypes"] == [2, 2]
    layer = models.prototype_view(zoo.load(folder)).layer
    # Each knows the training image that it was taken from, of its own class.
    assert layer.pushed
    sources = layer.source_image.numpy()
    labels = [int(label) for _, label in data.load(pictures, image_size=16)]
    assert [labels[source] for source in sources] == [0, 0, 1, 1]
    trained = models.prototype_view(model).layer
    np.testing.assert_array_equal(sources, trained.source_image.numpy())
