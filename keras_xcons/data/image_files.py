"""Finds the image files in folders, and says what else lies there."""

import collections
import os
import pathlib

from keras_xcons.data.photographs import IMAGE_SUFFIXES, shown


def find(directory):
    """Looks through a folder and the folders within it, symbolic links included.

    Names with a dot in front are hidden and no user's images: `._x.jpg`, `.git`.

    Args:
        directory: The folder.

    Returns:
        `(found, others)`: sorted lists of `pathlib.Path`, of the files whose names
        end as those of images, in any case of letters, and of all other files. An
        image that is a broken link is found, too, so that reading it says so.

    Raises:
        OSError: A folder cannot be read.

    Example:

    >>> found, others = find("photographs")
    """
    found, others, entered = [], [], set()
    for folder, folders, names in os.walk(directory, onerror=_fail, followlinks=True):
        # A link to a folder above would be followed for ever.
        place = os.path.realpath(folder)
        folders[:] = [name for name in folders if not name.startswith(".")]
        if place in entered:
            folders.clear()
            continue
        entered.add(place)
        for name in names:
            path = pathlib.Path(folder, name)
            if name.startswith("."):
                continue
            readable = path.is_file() or path.is_symlink()
            named = path.suffix.lower() in IMAGE_SUFFIXES
            (found if named and readable else others).append(path)
    return sorted(found), sorted(others)


def _fail(error):
    raise error


def accepted():
    """The endings of image files as text."""
    return ", ".join(IMAGE_SUFFIXES)


def others_in_words(others):
    """How many files are no images by their names, which endings, and one of them."""
    endings = collections.Counter(path.suffix.lower() or "none" for path in others)
    listed = ", ".join(shown(ending) for ending, _ in endings.most_common(5))
    files = "1 file" if len(others) == 1 else f"{len(others)} files"
    return f"{files} not named as an image ({listed}), as {shown(others[0])}"
