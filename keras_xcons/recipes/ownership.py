"""What in an output folder is a job's own, and what is the user's."""

import contextlib
import json
import os
import pathlib

from keras_xcons.files import (
    LARGEST,
    locked,
    put_in_place,
    read_json,
    remove_leftovers,
    sha256_of_text,
    unfinished_folder,
    whole_file,
)
from keras_xcons.recipes import run_files

_FOLDER, MARKER = "unfinished", "keras_xcons.txt"
_TEXT = (
    "This folder is keras-xcons' own: what a run needs to go on when it is stopped. "
    "The run removes it and all that is in it; keep nothing here."
)


@contextlib.contextmanager
def job_folder(output, results, is_result=None):
    """The output folder of a job, in which no other job works while the block runs.

    What a killed job has left unfinished in it is removed, and files that were on
    their way into it together arrive.

    Args:
        output: The folder. It is made, with its parents.
        results: Names of the files that the job will write.
        is_result: Function that tells of a dict, read from a JSON file among them,
            whether a job like this has written it; the others are then its own, too.
            Defaults to `None`: what it keeps in the folder tells.

    Yields:
        `pathlib.Path` of the folder.

    Raises:
        OSError: It cannot be made or written to, another process works in it, or it
            holds something of the user's that the job would replace.

    Example:

    >>> with job_folder("xcons_run", ["metrics.json"], lambda found: True) as folder:
    ...     pass
    """
    folder = run_files.writable_folder(output)
    with locked(folder):
        remove_leftovers(folder)
        put_in_place(folder)
        _refuse_foreign(folder, results, is_result)
        yield folder


def unfinished(output):
    """`pathlib.Path` of what a job keeps in its output folder to go on with."""
    return pathlib.Path(output) / _FOLDER


def claim(output):
    """The folder of what a job keeps to go on with, which is made where it is not.

    Only a folder that holds the file which says so is a job's own.

    Args:
        output: `pathlib.Path` of the output folder, from `job_folder`.

    Returns:
        `pathlib.Path` of the folder.

    Raises:
        FileExistsError: A user's own file, folder or link has its name.
    """
    folder = unfinished(output)
    if is_ours(folder):
        for one in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
            if one.is_dir():
                remove_leftovers(one)
        return folder
    if os.path.lexists(folder):
        raise FileExistsError(
            f"{folder} is in the way of what the run keeps there: it is not one of "
            "keras-xcons' own and is left alone. Move it away, or take another output "
            f"folder. Received: output={str(output)!r}"
        )
    with unfinished_folder(output) as new:
        (new / MARKER).write_text(f"{_TEXT}\n", encoding="utf-8")
        new.rename(folder)
    return folder


def is_ours(folder):
    """Whether a folder holds the file that says that a job has made it."""
    marker = folder / MARKER
    if folder.is_symlink() or marker.is_symlink() or not marker.is_file():
        return False
    with marker.open("rb") as opened:
        return opened.readline(len(_TEXT) + 1).strip() == _TEXT.encode()


def note_settings(folder, settings):
    """Keeps a digest of the settings beside them, for when they get damaged.

    Args:
        folder: `pathlib.Path` from `claim`.
        settings: Dict of plain values.
    """
    with whole_file(folder / MARKER) as new:
        new.write_text(f"{_TEXT}\n{_digest(settings)}\n", encoding="utf-8")


def has_settings(folder, settings):
    """Whether `note_settings` was last called with these settings."""
    text = (folder / MARKER).read_bytes().decode("utf-8", "replace")
    return text.splitlines()[1:2] == [_digest(settings)]


def _digest(settings):
    text = json.dumps(settings, sort_keys=True)
    return f"settings sha256 {sha256_of_text(text)}"


def read_object(path):
    """The dict of a JSON file, `None` where there is none or it is damaged."""
    try:
        if path.stat().st_size > LARGEST:
            return None
        found = read_json(path.read_bytes(), "it")
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _refuse_foreign(folder, results, is_result):
    """Refuses to replace what no job has written."""
    there = [name for name in results if os.path.lexists(folder / name)]
    ours = is_ours(folder / _FOLDER)
    if is_result is not None:
        told = [read_object(folder / n) for n in there if n.endswith(".json")]
        ours = ours or any(is_result(found) for found in told if found is not None)
    # A folder cannot be replaced, whoever has made it.
    foreign = [n for n in there if not ours or not (folder / n).is_file()]
    if foreign:
        raise FileExistsError(
            f"{', '.join(foreign)} in {folder} would be replaced, and nothing there "
            "shows that keras-xcons has written it: move it away, or take another "
            f"output folder. Received: output={str(folder)!r}"
        )
