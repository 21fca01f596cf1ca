"""Files of a run: written whole or not at all, refused before any work."""

import tempfile

from keras_xcons import checks
from keras_xcons.files import whole_file


def writable_folder(path):
    """Makes sure that files can be written into a folder, and makes the folder.

    Args:
        path: The folder. Its parents are made as well.

    Returns:
        `pathlib.Path` of the folder.

    Raises:
        OSError: The folder cannot be made or written to.
        TypeError, ValueError: `path` cannot be a path.

    Example:

    >>> folder = writable_folder("xcons_run")
    """
    folder = checks.path("output", path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Permissions alone do not tell: a file system can be read-only, or full.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(
            f"The output folder must be a folder that can be written to "
            f"({error.strerror}). Received: output={str(path)!r}"
        ) from error
    return folder


def save_model(model, path):
    """Saves a model as `.keras`, whole or not at all.

    Args:
        model: A `keras.Model`.
        path: The file, ending in `.keras`. Its folder must exist.

    Example:

    >>> save_model(model, "xcons_run/xcons.keras")
    """
    with whole_file(path) as unfinished:
        model.save(unfinished)
