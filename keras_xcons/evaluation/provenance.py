"""What measured a figure: versions and commit, so that it can be made again."""

import importlib.metadata
import pathlib
import platform
import subprocess

import keras
import numpy as np
import tensorflow as tf

from keras_xcons.version import __version__


def provenance():
    """What this process measures with.

    Returns:
        Dict of `commit`, that of the checkout this package runs from with `-dirty`
        where files differ from it, or `None`, `versions`, and `device`.

    Example:

    >>> provenance()["versions"]["keras"]
    '3.15.1'
    """
    return {
        "commit": _commit(),
        "versions": {
            "keras_xcons": __version__,
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
            "scipy": importlib.metadata.version("scipy"),
            "python": platform.python_version(),
        },
        "device": _device(),
    }


def _commit():
    try:
        # An installed package may lie inside another project's checkout.
        _git("ls-files", "--error-unmatch", pathlib.Path(__file__).name)
        return _git("describe", "--always", "--dirty", "--abbrev=12")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*words):
    folder = str(pathlib.Path(__file__).parent)
    command = ["git", "-C", folder, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _device():
    """What computes: the GPUs by name, or the kind of processor."""
    gpus = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    names = [each.get("device_name", "GPU") for each in details]
    return ", ".join(names) or f"CPU ({platform.machine()})"
