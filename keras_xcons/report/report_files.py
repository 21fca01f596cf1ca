"""Files of a report: refused before any work, written whole or not at all."""

from keras_xcons import checks
from keras_xcons.files import whole_file


def checked(path, suffix):
    """Makes sure that a file may be written, before what it holds is made.

    Args:
        path: Name of the file. Its folder must exist.
        suffix: What the name must end in, such as `".html"`.

    Returns:
        `pathlib.Path` of the file.

    Raises:
        FileNotFoundError: The folder does not exist.
        IsADirectoryError: `path` is a folder.
        ValueError: The name does not end in `suffix`.

    Example:

    >>> checked("report.html", ".html").name
    'report.html'
    """
    path = checks.path("path", path)
    if path.suffix.lower() != suffix:
        raise ValueError(
            f"The file's name must end in '{suffix}'. Received: path={str(path)!r}"
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"The file's folder must exist. Received: path={str(path)!r}"
        )
    if path.is_dir():
        raise IsADirectoryError(
            f"The path must be that of a file. Received: path={str(path)!r}, a folder"
        )
    return path


def write(path, text):
    """Writes a text as UTF-8, whole or not at all. An older file is replaced.

    Args:
        path: `pathlib.Path` of the file, from `checked`.
        text: What to write.

    Raises:
        OSError: It cannot be written.

    Example:

    >>> write(checked("report.csv", ".csv"), "model,metric")
    """
    with whole_file(path) as unfinished:
        # Names come from file names as well, which need not be valid text.
        unfinished.write_bytes(text.encode("utf-8", "backslashreplace"))
