"""What measured a figure: versions and commit, so that it can be made again."""

import pathlib
import platform
import subprocess

import keras
import tensorflow as tf

from keras_xcons.version import __version__


def provenance():
    """What this process measures with.

    Returns:
        Dict of `commit`, that of the checkout this package runs from with `-dirty`
        where files differ from it, or `None`, and `versions`.

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
            "python": platform.python_version(),
        },
    }


def _commit():
    here = pathlib.Path(__file__).parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
