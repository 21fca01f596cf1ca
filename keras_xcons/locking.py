"""A folder that one process at a time works in."""

import contextlib
import errno
import json
import os
import pathlib
import stat
import threading
import time

from keras_xcons import processes

try:
    import fcntl
except ImportError:  # a system without it
    fcntl = None

LOCK_FILE = ".keras_xcons.lock"
# The lock of a process elsewhere is touched every `_BEAT` seconds, and counts as left
# behind when it has not been for `_SILENCE`.
_BEAT, _SILENCE = 10.0, 120.0
_POLL = 0.1
_LARGEST = 4096  # bytes of a lock file
# What a file system answers that has no locks.
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
_held, _guard = {}, threading.RLock()


class InUseError(OSError):
    """Another process, or another thread, works in a folder."""


@contextlib.contextmanager
def locked(folder, wait=0.0):
    """Keeps other processes out of a folder while the block runs.

    The lock is the file `.keras_xcons.lock` in the folder, which says who holds it. The
    operating system frees it when its process ends, however that ends; so what a killed
    process has left is taken over. A lock that is held on another machine, where this
    one cannot ask for the process, counts as left behind when its file has not been
    touched for two minutes.

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
    until = time.monotonic() + wait
    while not _enter(path):
        if time.monotonic() >= until:
            raise InUseError(_refusal(path))
        time.sleep(_POLL)
    try:
        yield
    finally:
        _leave(path)


def _enter(path):
    """Whether this thread holds the folder now."""
    me = threading.get_ident()
    with _guard:
        lock = _held.get(path)
        if lock is None:
            descriptor = _take(path)
            if descriptor is None:
                return False
            lock = _held[path] = _Lock(path, descriptor, me)
        elif lock.thread != me:
            return False
        lock.times += 1
        return True


def _leave(path):
    with _guard:
        lock = _held.get(path)
        if lock is None:  # in a fork of the process that holds it
            return
        lock.times -= 1
        if not lock.times:
            del _held[path]
            lock.release()


class _Lock:
    """A lock that this process holds, and touches until it is released."""

    def __init__(self, path, descriptor, thread):
        self.thread, self.times = thread, 0
        self._path, self.descriptor = path, descriptor
        self._released = threading.Event()
        self._beats = threading.Thread(target=self._beat, daemon=True)
        self._beats.start()

    def _beat(self):
        while not self._released.wait(_BEAT):
            with contextlib.suppress(OSError):
                os.utime(self._path, follow_symlinks=False)

    def release(self):
        self._released.set()
        self._beats.join()
        # Removed before it is free, so that nobody waits for a file without a name.
        if _is_at(self._path, self.descriptor):
            with contextlib.suppress(OSError):
                self._path.unlink()
        os.close(self.descriptor)


def _forget_in_child():
    """A fork has the open file too, and would hold the lock when its parent is gone."""
    global _guard
    for lock in _held.values():
        with contextlib.suppress(OSError):
            os.close(lock.descriptor)
    _held.clear()
    _guard = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)


def _take(path):
    """The open file of a lock that is ours now, or `None` if it is another's."""
    while True:
        descriptor = _open(path)
        try:
            exclusive = _flock(descriptor)
            if exclusive is False or _has_holder(descriptor, path, exclusive):
                os.close(descriptor)
                return None
            # Whoever held it may have removed it before we had it.
            if _is_at(path, descriptor):
                _write(descriptor)
                if exclusive or _is_ours_still(path):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _open(path):
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(path, flags, 0o644)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR):
            raise _foreign(path) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _foreign(path)
    return descriptor


def _foreign(path):
    return FileExistsError(
        "Something else has the name of the lock of a folder: move it away. Received: "
        f"{str(path)!r}"
    )


def _flock(descriptor):
    """Whether the system has given us the lock; `None` where it has none to give."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES):
            return False
        if error.errno in _NO_LOCKS:
            return None
        raise
    return True


def _has_holder(descriptor, path, exclusive):
    """Whether somebody holds a lock of whom the system has not told."""
    holder = _read(descriptor)
    if holder is None:
        raise _foreign(path)
    if not holder:
        return False
    if holder["host"] != processes.host():
        return time.time() - os.fstat(descriptor).st_mtime < _SILENCE
    if exclusive or holder["pid"] == os.getpid():
        return False
    return processes.is_running(holder["pid"], holder.get("started"))


def _is_at(path, descriptor):
    """Whether an open file is still the one of that name."""
    try:
        return os.path.samestat(
            os.stat(path, follow_symlinks=False), os.fstat(descriptor)
        )
    except OSError:
        return False


def _write(descriptor):
    pid = os.getpid()
    holder = {
        "keras_xcons": "lock",
        "pid": pid,
        "host": processes.host(),
        "started": processes.start_time(pid),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, json.dumps(holder).encode())


def _read(descriptor):
    """Who holds a lock: a dict, empty before it is written, `None` if it is no lock."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    content = os.read(descriptor, _LARGEST)
    if not content:
        return {}
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.get("keras_xcons") != "lock":
        return None
    texts = [found.get("host"), found.get("since")]
    fits = all(isinstance(text, str) and text.isprintable() for text in texts)
    return found if fits and isinstance(found.get("pid"), int) else None


def _is_ours_still(path):
    """Where there are no locks, the last of those who wrote at once has it."""
    time.sleep(2 * _POLL)
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(path.read_text())
        return (found["pid"], found["host"]) == (os.getpid(), processes.host())
    return False


def _refusal(path):
    holder = {}
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            holder = _read(descriptor) or {}
        finally:
            os.close(descriptor)
    who, remedy = "Another process", "wait until it has ended, or take another folder"
    if holder.get("pid") == os.getpid() and holder["host"] == processes.host():
        who = "Another thread of this process"
    elif holder:
        who = f"Another process ({holder['pid']} on {holder['host']}, since "
        who += f"{holder['since']})"
        if holder["host"] != processes.host():
            remedy += f"; if it is gone, remove {path}"
    return f"{who} works in the folder: {remedy}. Received: folder={str(path.parent)!r}"
