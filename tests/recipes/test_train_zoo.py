"""tools/train_zoo.py as a command: stopped and continued, other data, refused."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from keras_xcons import zoo
from keras_xcons.files import sha256_of_file
from keras_xcons.recipes import read_recipe
from tests.recipes.test_zoo_training import CONTENT, write_recipe

CHECKOUT = pathlib.Path(__file__).parents[2]


def tool(folder, *flags):
    """The command that trains and publishes the model `tiny` of a zoo."""
    script = CHECKOUT / "tools" / "train_zoo.py"
    zoo_flags = [f"--zoo={folder / 'zoo'}", f"--work={folder / 'runs'}"]
    return [sys.executable, str(script), "tiny", *zoo_flags, *flags]


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
    while not list(backup.glob("[12].*.weights.h5")):
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


def failed(folder, *flags):
    done = subprocess.run(tool(folder, *flags), capture_output=True, text=True)
    assert done.returncode != 0
    return done.stdout + done.stderr


@pytest.mark.slow
def test_the_same_recipe_on_another_data_set(tmp_path, pictures, weights):
    small = {"image_size": 16, "batch_size": 8, "epochs": 1}
    write_recipe(
        tmp_path,
        training={**CONTENT["training"], **small},
        evaluation={"metrics": ["accuracy"]},
    )
    flags = [f"--dataset={pictures.name}", f"--data_dir={pictures.parent}"]
    flags += [f"--pretrained={weights}", "--pretraining=three colours"]
    command = tool(tmp_path, *flags)
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "zoo" / "tiny"
    card = json.loads((folder / "card.json").read_text())
    assert card["data"] == f"{pictures.name}: 24 training images of 2 classes"
    assert (card["dataset"], card["class_names"]) == (pictures.name, ["blue", "red"])
    assert card["pretraining"] == (
        "three colours "
        f"(small_cnn.weights.h5, sha256 {sha256_of_file(weights)[:12]}...)"
    )
    metrics = json.loads((folder / "metrics.json").read_text())
    assert (metrics["split"], metrics["figures"]["accuracy"]["n"]) == ("test", 6)
    assert read_recipe(folder / "recipe.json").dataset == pictures.name
    assert zoo.load(folder).output_shape == (None, 2)


@pytest.mark.slow
def test_flags_that_do_not_fit_together(tmp_path):
    training = {"dataset": "shapes"}
    write_recipe(tmp_path, method={"name": "pretraining"}, training=training)
    message = "begins with random weights. Received: --pretrained=some.weights.h5"
    assert message in failed(tmp_path, "--pretrained=some.weights.h5")
    message = "is for --pretrained alone. Received: --pretraining=ImageNet"
    assert message in failed(tmp_path, "--pretraining=ImageNet")
