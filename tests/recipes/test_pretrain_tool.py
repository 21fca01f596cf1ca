"""tools/pretrain.py in processes of its own, on another backend of Keras."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest

from keras_xcons import models

CHECKOUT = pathlib.Path(__file__).parents[2]
TOOL = CHECKOUT / "tools" / "pretrain.py"
# The tool, killed as soon as the first epoch at 24 px is saved.
KILLED = """
import os, runpy, signal, sys
from keras_xcons.recipes.resuming import Backup

save = Backup.on_epoch_end

def save_and_die(self, epoch, logs=None):
    save(self, epoch, logs)
    if self.model.input_shape[1] == 24:
        os.kill(os.getpid(), signal.SIGKILL)

Backup.on_epoch_end = save_and_die
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(*arguments, killed=False, backend="jax"):
    """Runs the tool; returns its exit code and what it printed and complained of."""
    start = [sys.executable, *(("-c", KILLED) if killed else ()), str(TOOL)]
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(CHECKOUT),
    }
    done = subprocess.run(
        [*start, *map(str, arguments)], env=environment, capture_output=True, text=True
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def flags(pictures):
    """Two steps an epoch on tiny pictures."""
    return [
        "--model=small_cnn",
        f"--dataset={pictures}",
        "--phases=16x1,24x2",
        "--batch_size=8",
        "--steps_per_epoch=2",
        "--learning_rate=0.05",
        "--seed=3",
    ]


@pytest.mark.slow
def test_killed_run_on_jax_goes_on_and_equals_an_uninterrupted_one(flags, tmp_path):
    code, out, errors = run(*flags, f"--output={tmp_path / 'whole'}")
    assert code == 0, errors
    assert "Phase 2 of 2: 2 epochs at 24 px" in out

    stopped = tmp_path / "stopped"
    assert run(*flags, f"--output={stopped}", killed=True)[0] == -signal.SIGKILL
    assert not (stopped / "metrics.json").exists()
    code, out, errors = run(*flags, f"--output={stopped}")
    assert code == 0, errors
    assert f"Continuing the run in {stopped}" in out
    assert "Epoch 2/2" in out and "Epoch 1/2" not in out

    metrics = [
        json.loads((one / "metrics.json").read_text())
        for one in (tmp_path / "whole", stopped)
    ]
    assert metrics[0]["options"]["seed"] == 3
    assert metrics[0]["options"]["learning_rate"] == 0.05
    assert len(metrics[0]["epochs"]) == 3
    assert metrics[0] == metrics[1]
    # What JAX has trained, TensorFlow loads.
    loaded = []
    for folder in (tmp_path / "whole", stopped):
        model = models.create("small_cnn", num_classes=2, input_size=24)
        model.load_weights(folder / "model.weights.h5")
        loaded.append(model.get_weights())
    for left, right in zip(*loaded, strict=True):
        np.testing.assert_array_equal(left, right)
    start = models.create(
        "small_cnn",
        num_classes=2,
        input_size=24,
        pretrained=(tmp_path / "whole" / "model.weights.h5"),
    )
    np.testing.assert_array_equal(start.get_weights()[0], loaded[0][0])


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--phases=32"], "A phase is SIZExEPOCHS, as 64x4. Received: '32'"),
        (["--phases=32x8,x4"], "A phase is SIZExEPOCHS, as 64x4. Received: 'x4'"),
        (["--phases=32x8x2"], "Received: '32x8x2'"),
        (["shapes"], r"Unexpected arguments: ['shapes']"),
        (["--epochs=3"], "Unknown command line flag 'epochs'"),
    ],
)
def test_wrong_flags_are_refused(arguments, message, flags, tmp_path):
    output = tmp_path / "run"
    code, out, errors = run(*flags, f"--output={output}", *arguments)
    assert code == 1
    assert message in out + errors
    assert not output.exists()


@pytest.mark.parametrize("missing", ["model", "dataset", "output"])
def test_flags_that_are_needed_are_named(missing, flags):
    flags = [one for one in flags if not one.startswith(f"--{missing}=")]
    if missing != "output":
        flags.append("--output=nowhere")
    code, out, errors = run(*flags)
    assert code == 1
    assert f"--{missing}" in out + errors


def test_bad_value_is_refused_before_any_work(flags, tmp_path):
    code, _, errors = run(*flags, "--dtype=float8", f"--output={tmp_path / 'run'}")
    assert code == 1
    assert "Unknown dtype." in errors.strip().splitlines()[-1]
    assert not (tmp_path / "run").exists()
