"""Files of a run: written whole or not at all, refused before any work."""

import os
import pathlib
import tempfile


def writable_folder(path):
    """Makes sure that files can be written into a folder, and makes the folder.

    Args:
        path: The folder. Its parents are made as well.

    Returns:
        `pathlib.Path` of the folder.

    Raises:
        OSError: The folder cannot be made or written to.

    Example:

    >>> folder = writable_folder("xcons_run")
    """
    folder = pathlib.Path(path)
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
    path = pathlib.Path(path)
    unfinished = path.with_name(f"unfinished_{os.getpid()}_{path.name}")
    try:
        model.save(unfinished)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
