"""Files that are written whole or not at all, one by one or together."""

import contextlib
import os
import pathlib
import re
import secrets
import shutil
import stat
import time

from keras_xcons import processes
from keras_xcons.files.sha256 import sha256_of_text

_OURS = ".keras_xcons"
# Which machine and process something unfinished is of, and when that one began.
_UNFINISHED = re.compile(r"\.keras_xcons-([0-9a-f]{8})-(\d+)-(\d+)-[0-9a-f]{8}(\..*)?")
# Files that are complete, and on the way to their places together.
_READY = f"{_OURS}-ready"
# What another machine has not touched for so long it does not write any more.
_ABANDONED = 24 * 3600.0


@contextlib.contextmanager
def whole_file(path):
    """Stands in for a file until all of it is written.

    What is written beside it takes its place when the block ends, and is removed if
    the block is left by an error or an interruption: an older file then stays.

    Args:
        path: The file. Its folder must exist.

    Yields:
        `pathlib.Path` to write to, in the same folder and of the same suffixes.

    Example:

    >>> with whole_file("figures.csv") as unfinished:
    ...     unfinished.write_text("epoch,loss")
    """
    path = pathlib.Path(path)
    unfinished = _unfinished(path.parent, _suffixes(path))
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextlib.contextmanager
def unfinished_folder(folder):
    """A folder for what is not finished, which is removed when the block ends.

    Args:
        folder: The folder to make it in.

    Yields:
        `pathlib.Path` of the new folder.

    Example:

    >>> with unfinished_folder("zoo") as work:
    ...     (work / "card.json").write_text("{}")
    """
    work = _unfinished(pathlib.Path(folder))
    work.mkdir()
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextlib.contextmanager
def files_together(folder, last=None):
    """Stands in for a folder until all of several files are written.

    When the block ends, all of them take their places, those that they replace having
    gone before the first one comes; so there is never a new file beside an old one. A
    process that is killed before leaves the old ones as they are; for one that is
    killed in between, `put_in_place` goes on. Under `keras_xcons.files.locked`.

    Args:
        folder: `pathlib.Path` of an existing folder.
        last: Name of the file without which the others do not count: the old one of it
            goes first and the new one comes last, and the others stay until they are
            replaced. Defaults to `None`.

    Yields:
        `pathlib.Path` of a folder to write them into.

    Example:

    >>> with files_together(folder) as staging:
    ...     (staging / "report.json").write_text("{}")
    ...     (staging / "report.csv").write_text("model,value")
    """
    put_in_place(folder, last)
    with unfinished_folder(folder) as staging:
        yield staging
        os.rename(staging, folder / _READY)
    try:
        put_in_place(folder, last)
    except KeyboardInterrupt:
        put_in_place(folder, last)
        raise


def is_stopped_in_between(folder):
    """Whether a folder has files that were to take their places together, and have not.

    Args:
        folder: `pathlib.Path` of a folder.

    Returns:
        A bool.
    """
    ready = folder / _READY
    return ready.is_dir() and not ready.is_symlink()


def put_in_place(folder, last=None):
    """Goes on with files that were to take their places together, where there are some.

    Args:
        folder: `pathlib.Path` of an existing folder.
        last: As for `files_together`.
    """
    ready = folder / _READY
    if not is_stopped_in_between(folder):
        return
    names = sorted(path.name for path in ready.iterdir())
    names.sort(key=lambda name: name == last)
    for name in names if last is None else {last}.intersection(names):
        (folder / name).unlink(missing_ok=True)
    for name in names:
        os.replace(ready / name, folder / name)
    ready.rmdir()


def remove_folder(folder):
    """Removes a folder with all that is in it, which a kill cannot leave half removed.

    Args:
        folder: `pathlib.Path` of the folder. A link is refused.

    Raises:
        OSError: It is a link, or cannot be removed.
    """
    if folder.is_symlink():
        raise OSError(f"A link is not followed to remove a folder. Received: {folder}")
    gone = _unfinished(folder.parent)
    os.rename(folder, gone)
    shutil.rmtree(gone)


def remove_leftovers(folder):
    """Removes what killed processes have left of what this module writes.

    Nothing but files and folders that bear its own kind of name, and whose process has
    ended; of another machine, where that cannot be seen, those that have not been
    touched for a day.

    Args:
        folder: `pathlib.Path` of an existing folder.
    """
    for path in folder.glob(f"{_OURS}-*"):
        with contextlib.suppress(FileNotFoundError):
            found = path.lstat()
            if not _is_left_over(path.name, found.st_mtime):
                continue
            if stat.S_ISDIR(found.st_mode):
                shutil.rmtree(path, ignore_errors=True)
            elif stat.S_ISREG(found.st_mode):
                path.unlink()


def _unfinished(folder, suffixes=""):
    """A new name that tells whose it is, of a length that any name may have."""
    pid = os.getpid()
    started = processes.start_time(pid) or 0
    return (
        folder / f"{_OURS}-{_host()}-{pid}-{started}-{secrets.token_hex(4)}{suffixes}"
    )


def _host():
    return sha256_of_text(processes.host())[:8]


def _suffixes(path):
    """What writers take a format from, such as `.weights.h5`; nothing that is long."""
    for count in (2, 1):
        suffixes = "".join(path.suffixes[-count:])
        if len(os.fsencode(suffixes)) <= 32:
            return suffixes
    return ""


def _is_left_over(name, touched):
    parts = _UNFINISHED.fullmatch(name)
    if parts is None:
        return False
    host, pid, started = parts[1], int(parts[2]), int(parts[3])
    if host != _host():
        return time.time() - touched > _ABANDONED
    return not processes.is_running(pid, started or None)
