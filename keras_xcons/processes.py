"""Which process is which, on this machine and where machines share a folder."""

import os
import pathlib
import socket
import sys


def host():
    """The name of this machine among those that share a folder with it."""
    return socket.gethostname()


def start_time(pid):
    """When a process of this machine began, which tells it from a later one.

    A process id is given again once its process has ended.

    Args:
        pid: The id of a process.

    Returns:
        An int, in ticks of the machine's clock; `None` where there is no such
        process, it has ended and is only not collected yet, or the system does not
        tell.

    Example:

    >>> start_time(os.getpid()) == start_time(os.getpid())
    True
    """
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # The name of the program stands in brackets and may itself hold some.
    state, *fields = text.rpartition(")")[2].split()
    return None if state in "ZX" else int(fields[18])


def is_running(pid, started=None):
    """Whether a process of this machine still runs.

    Args:
        pid: The id of the process.
        started: Its `start_time`, or `None` where that is not known.

    Returns:
        A bool. Where a system does not tell, the process is taken to run.

    Example:

    >>> is_running(os.getpid())
    True
    """
    if pathlib.Path("/proc/self/stat").exists():
        found = start_time(pid)
        return found is not None and started in (None, found)
    if sys.platform == "win32":  # where signal 0 would interrupt it
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
