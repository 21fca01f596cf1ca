"""Checks of the arguments that several functions of this room share."""

import pathlib

import numpy as np

from keras_xcons import checks

MIN_IMAGE_SIZE = 16
MOST_CHANNELS = 2**14  # of one layer
MOST_GENERATED = 10**8  # images


def is_whole(value):
    """Whether a value is an integer, Python's or NumPy's, and not a bool."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def check_count(value, name, most=checks.LARGEST):
    """Refuses what is not an integer of at least 1 and at most `most`."""
    if not is_whole(value) or not 1 <= value <= most:
        bound = f"at most {most}" if is_whole(value) and value > most else "at least 1"
        raise ValueError(
            f"`{name}` must be an int of {bound}. Received: "
            f"{name}={checks.shown(value)}"
        )


def check_seed(value, name="seed"):
    """Refuses what is not an integer in 0..2**31 - 1."""
    if not is_whole(value) or not 0 <= value < 2**31:
        raise ValueError(
            f"`{name}` must be an int in 0..2**31 - 1. Received: "
            f"{name}={checks.shown(value)}"
        )


def check_image_size(value):
    """Returns `(height, width)`, each at least 16 pixels, of an int or a pair."""
    size = checks.image_size(value, "image_size")
    if min(size) < MIN_IMAGE_SIZE:
        raise ValueError(
            f"`image_size` must be at least {MIN_IMAGE_SIZE} pixels a side. "
            f"Received: image_size={value!r}"
        )
    return size


def existing_folder(path):
    """Returns a path as a `pathlib.Path`, if it is that of an existing folder."""
    directory = pathlib.Path(path).expanduser()
    if not directory.exists():
        raise FileNotFoundError(f"There is no such folder. Received: {str(path)!r}")
    if not directory.is_dir():
        raise NotADirectoryError(
            f"A folder is needed, and this is a file. Received: {str(path)!r}"
        )
    return directory
