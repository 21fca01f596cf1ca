"""Nothing of a user's is removed or replaced; a folder is for one job at a time."""

import json
import os
import pathlib
import subprocess
import sys

import keras
import pytest

from keras_xcons.files import LOCK_FILE, InUseError, locked
from keras_xcons.methods import XConsModel
from keras_xcons.recipes import (
    evaluate_models,
    ownership,
    read_recipe,
    train,
    train_by,
)
from keras_xcons.recipes.pretrain_options import PretrainOptions
from keras_xcons.recipes.pretraining import pretrain
from tests.cli.process import ENTRY
from tests.files.test_locking import HOLD, start
from tests.files.test_writing import WRITE, killed
from tests.recipes.test_zoo_training import write_recipe

CHECKOUT = pathlib.Path(__file__).parents[2]


def quiet(line):
    del line


@pytest.fixture(autouse=True)
def no_work(monkeypatch):
    """What is refused is refused before any work."""

    def refuse(*_, **__):
        raise AssertionError("a model was trained or measured")

    monkeypatch.setattr(keras.Model, "fit", refuse)
    monkeypatch.setattr(XConsModel, "fit", refuse)
    monkeypatch.setattr("keras_xcons.evaluation.suite.Suite.measure", refuse)


@pytest.fixture
def jobs(picture_options, pictures, tmp_path):
    """Every job that writes into an output folder: a function of that folder."""
    recipe = read_recipe(write_recipe(tmp_path / "recipes"))
    small = PretrainOptions(str(pictures), "small_cnn", phases=((16, 1),))
    return {
        "train": lambda output: train(picture_options(output=output), quiet),
        "train_by": lambda output: train_by(recipe, output, quiet),
        "pretrain": lambda output: pretrain(small, output, quiet),
        "evaluate": lambda output: evaluate_models(["m"], "shapes", output, quiet),
    }


TRAINING = ["train", "train_by", "pretrain"]


def tree(folder):
    """Everything below a folder, with what the files hold."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("job", TRAINING)
@pytest.mark.parametrize("kind", ["folder", "empty folder", "file", "link", "marked"])
def test_a_users_own_unfinished_is_refused_and_left_alone(job, kind, jobs, tmp_path):
    output, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    for folder in (output, elsewhere):
        folder.mkdir()
    (elsewhere / "thesis.txt").write_text("three years")
    mine = output / "unfinished"
    if kind == "file":
        mine.write_text("mine")
    elif kind == "link":
        mine.symlink_to(elsewhere)
    elif kind == "marked":
        # A link to what is really ours, which is not ours where the link is.
        ownership.claim(elsewhere)
        mine.symlink_to(elsewhere / "unfinished")
    else:
        mine.mkdir()
        if kind == "folder":
            (mine / "thesis.txt").write_text("three years")
            (mine / "settings.json").write_text('{"epochs": 3}')
    before = tree(tmp_path)
    with pytest.raises(FileExistsError) as caught:
        jobs[job](output)
    assert str(caught.value).startswith(f"{mine} is in the way of what the run keeps")
    assert str(caught.value).endswith(f"Received: output={str(output)!r}")
    assert tree(tmp_path) == before


RESULTS = {
    "train": ["plain.keras", "xcons.keras", "metrics.json", "heatmaps.png"],
    "train_by": ["xcons.keras"],
    "pretrain": ["model.weights.h5", "metrics.json"],
    "evaluate": ["report.html", "report.csv", "report.json"],
}


@pytest.mark.parametrize("job", RESULTS)
def test_a_users_own_file_is_not_replaced_by_a_result(job, jobs, tmp_path):
    for number, name in enumerate(RESULTS[job]):
        output = tmp_path / str(number)
        output.mkdir()
        (output / name).write_text(
            '{"accuracy": 1.0, "options": {"dataset": "a", "model": "b", "seed": 1}}'
        )
        before = tree(output)
        with pytest.raises(FileExistsError) as caught:
            jobs[job](output)
        assert str(caught.value).startswith(f"{name} in {output} would be replaced")
        assert tree(output) == before


@pytest.mark.parametrize("job", ["train", "evaluate"])
def test_a_folder_where_a_result_belongs_is_refused(job, jobs, tmp_path):
    """Even beside results that are a job's own."""
    told = {
        "options": {"dataset": "shapes", "model": "small_cnn", "seed": 0},
        **dict.fromkeys(("runs", "background_gap", "minus_plain"), {}),
        "provenance": {"versions": {"keras_xcons": "1.0"}},
    }
    first, last = RESULTS[job][0], RESULTS[job][-1]
    own = "metrics.json" if job == "train" else last
    (tmp_path / own).write_text(json.dumps(told))
    (tmp_path / first).mkdir()
    with pytest.raises(FileExistsError, match=f"^{first} in .* would be replaced"):
        jobs[job](tmp_path)


@pytest.mark.parametrize("job", RESULTS)
def test_a_second_job_in_a_folder_is_refused(job, jobs, tmp_path):
    with start(tmp_path, HOLD) as holder:
        holder.stdout.readline()
        before = tree(tmp_path)
        with pytest.raises(InUseError, match=f"^Another process .{holder.pid} on"):
            jobs[job](tmp_path)
        assert tree(tmp_path) == before
        holder.kill()
        holder.wait()
    # What it has left of the lock is in nobody's way.
    assert LOCK_FILE in tree(tmp_path)
    (tmp_path / RESULTS[job][0]).write_text("mine")
    with pytest.raises(FileExistsError):
        jobs[job](tmp_path)
    assert LOCK_FILE not in tree(tmp_path)


def test_what_a_killed_job_has_left_is_removed(tmp_path):
    folder = ownership.claim(tmp_path)
    (folder / "xcons").mkdir()
    before = tree(tmp_path)
    for place in (tmp_path, folder, folder / "xcons"):
        killed(place, WRITE)
    assert len(tree(tmp_path)) == len(before) + 3 * 3
    with ownership.job_folder(tmp_path, []) as output:
        ownership.claim(output)
    assert tree(tmp_path) == before


def commands(folder, pictures):
    """Each command that works in a folder, and how its errors begin."""
    recipe = write_recipe(folder.with_name("zoo_of_recipes"))
    tool = [sys.executable, str(CHECKOUT / "tools" / "train_zoo.py"), "tiny"]
    zoo = f"--zoo={recipe.parents[1]}"
    output, data = f"--output={folder}", f"--dataset={pictures}"
    program = [sys.executable, str(CHECKOUT / "tools" / "pretrain.py")]
    return {
        "keras-xcons train": [*COMMAND, "train", output],
        "keras-xcons evaluate": [*COMMAND, "evaluate", "m", output],
        "train_zoo": [*tool, zoo, f"--work={folder.parent}"],
        "pretrain": [*program, "--model=small_cnn", data, output],
    }


COMMAND = [sys.executable, "-c", ENTRY]


@pytest.mark.slow
def test_a_second_command_says_one_line_and_fails(tmp_path, pictures):
    folder = tmp_path / "tiny"
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)  # each chooses it
    with locked(folder):
        running = {
            begins: subprocess.Popen(
                command,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for begins, command in commands(folder, pictures).items()
        }
        for begins, process in running.items():
            out, err = process.communicate()
            assert (process.returncode, out) == (1, ""), err
            *before, line = err.splitlines()
            assert line.startswith(f"{begins}: error: Another process ("), err
            # The tools let TensorFlow speak first.
            assert not before or not begins.startswith("keras-xcons"), err
            assert "Traceback" not in err


def test_the_marker_says_what_the_folder_is(tmp_path):
    folder = ownership.claim(tmp_path)
    assert ownership.claim(tmp_path) == folder
    text = (folder / ownership.MARKER).read_text()
    assert text.startswith("This folder is keras-xcons' own")
    ownership.note_settings(folder, {"epochs": 3})
    assert ownership.is_ours(folder)
    assert ownership.has_settings(folder, {"epochs": 3})
    assert not ownership.has_settings(folder, {"epochs": 4})
    (folder / ownership.MARKER).write_text(text.replace("own", "OWN"))
    assert not ownership.is_ours(folder)
