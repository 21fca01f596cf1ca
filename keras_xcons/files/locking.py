"""A folder that one process at a time works in."""

import contextlib
import errno
import json
import os
import pathlib
import stat
import time

import filelock

from keras_xcons import processes

LOCK_FILE = ".keras_xcons.lock"
_LARGEST = 4096  # bytes of a lock file
# What a file system answers that has no locks.
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


class InUseError(OSError):
    """Another process, or another thread, works in a folder."""


@contextlib.contextmanager
def locked(folder, wait=0.0):
    """Keeps other processes out of a folder while the block runs.

    The lock is the file `.keras_xcons.lock` in the folder, which says who holds it. The
    operating system frees it when its process ends, however that ends; so what a killed
    process has left is taken over. A file system without locks is told by the file
    alone, and what it names must have ended.

    A thread that holds a folder may lock it again; other threads are kept out.

    Args:
        folder: An existing folder.
        wait: Seconds to wait for another process. Defaults to 0.0: it is refused at
            once.

    Raises:
        InUseError: Another process or thread holds the folder. One line says who, and
            what to do.
        OSError: The folder cannot be written to, or a file of the user's has the
            name of the lock.

    Example:

    >>> with locked("xcons_run"):
    ...     pass
    """
    path = pathlib.Path(folder).resolve() / LOCK_FILE
    _refuse_foreign(path)
    try:
        lock = _acquired(path, wait)
    except filelock.Timeout as error:
        raise InUseError(_refusal(path)) from error
    try:
        yield
    finally:
        if lock.lock_counter == 1 and isinstance(lock, filelock.UnixFileLock):
            # The library leaves the file. Removed while it is held, as whoever waits
            # for a file without a name tries again.
            path.unlink(missing_ok=True)
        lock.release()


def _acquired(path, wait):
    lock = filelock.FileLock(path, is_singleton=True, on_acquired=_write)
    try:
        lock.acquire(timeout=wait)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        lock = filelock.SoftFileLock(path, is_singleton=True)
        lock.acquire(timeout=wait)
    return lock


def _write(descriptor):
    holder = {
        "keras_xcons": "lock",
        "pid": os.getpid(),
        "host": processes.host(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(holder).encode(), 0)


def _refuse_foreign(path):
    """Refuses what has the name of a lock and is none: writing would destroy it."""
    try:
        is_file = stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return
    if not is_file or _holder(path) is None:
        raise FileExistsError(
            "Something else has the name of the lock of a folder: move it away. "
            f"Received: {str(path)!r}"
        )


def _holder(path):
    """Who holds a lock: a dict, `{}` where it does not say, `None` if it is none."""
    try:
        with path.open("rb") as opened:
            content = opened.read(_LARGEST)
    except FileNotFoundError:
        return {}
    if not content:
        return {}
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict) and found.get("keras_xcons") == "lock":
        texts = [found.get("host"), found.get("since")]
        fits = all(isinstance(text, str) and text.isprintable() for text in texts)
        return found if fits and isinstance(found.get("pid"), int) else None
    # What the library writes where the file system has no locks.
    lines = content.decode("utf-8", "replace").splitlines()
    return {} if lines[0].strip().isdecimal() else None


def _refusal(path):
    holder = _holder(path)
    who = "Another process"
    if holder:
        who += f" ({holder['pid']} on {holder['host']}, since {holder['since']})"
        if (holder["pid"], holder["host"]) == (os.getpid(), processes.host()):
            who = "Another thread of this process"
    return (
        f"{who} works in the folder: wait until it has ended, or take another folder. "
        f"Received: folder={str(path.parent)!r}"
    )
