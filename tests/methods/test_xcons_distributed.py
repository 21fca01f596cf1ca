"""Two logical CPU devices under `MirroredStrategy` give the run of one device."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

SCRIPT = pathlib.Path(__file__).with_name("distributed_run.py")
ROOT = pathlib.Path(__file__).parents[2]
RUNS = (
    "uniform",
    "batch",
    "padded",
    "padded memory",
    "memory",
    "epoch",
    "loss",
    "terms",
    "balance",
)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What one device and two devices found, as dictionaries of arrays."""
    folder, found = tmp_path_factory.mktemp("distributed"), []
    for devices in ("1", "2"):
        done = subprocess.run(
            [sys.executable, str(SCRIPT), devices, str(folder / f"{devices}.npz")],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert not done.returncode, done.stderr[-2000:]
        found.append(dict(np.load(folder / f"{devices}.npz")))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_two_devices_give_the_run_of_one(name, results):
    one, two = results
    keys = {key for key in one if key.startswith(f"{name}/")}
    assert keys and keys == {key for key in two if key.startswith(f"{name}/")}
    for key in keys:
        np.testing.assert_allclose(
            two[key], one[key], rtol=1e-4, atol=1e-5, err_msg=key
        )
    if f"{name}/table" in keys:
        unseen = np.flatnonzero(one[f"{name}/table"] < 0.0)
        assert unseen.tolist() == ([3, 28, 29, 30, 31] if "padded" in name else [])


@pytest.mark.slow
def test_every_run_is_compared_and_predicts_the_same(results):
    np.testing.assert_allclose(
        results[1]["predict"], results[0]["predict"], rtol=1e-4, atol=1e-5
    )
    names = {key.split("/")[0] for key in results[0] if "/" in key}
    assert names == set(RUNS)


@pytest.mark.slow
def test_evaluates_batches_that_do_not_divide_evenly(results):
    for found in results:
        expected = found["evaluate plain"]
        np.testing.assert_allclose(found["evaluate trainer"], expected, rtol=1e-5)
