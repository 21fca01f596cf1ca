"""What all tests share."""

import gc
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# TensorFlow turns oneDNN on by the processor it finds. Without it there are no
# convolutions of channels first on a CPU, and sums are rounded otherwise.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import pytest  # noqa: E402


@pytest.fixture(autouse=True, scope="module")
def memory():
    """Frees the models of a module: they hold on to themselves, and gigabytes."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def real_data():
    """Folder of the real data sets; skips where there is none on this machine."""
    folder = os.environ.get("KERAS_XCONS_TEST_DATA")
    if not folder:
        pytest.skip("KERAS_XCONS_TEST_DATA names no folder of real data sets")
    return pathlib.Path(folder)
