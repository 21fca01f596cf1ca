"""Locks of folders, held by real processes."""

import errno
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import filelock
import pytest

from keras_xcons import processes
from keras_xcons.files import LOCK_FILE, InUseError, locked, locking

PACKAGE = pathlib.Path(locking.__file__).parents[1]
# The modules at the bottom of the house, without the package's own start: seconds of
# TensorFlow, which a lock does not need.
BARE = f"""
import os, signal, sys, time, types
package = types.ModuleType("keras_xcons")
package.__path__ = [{str(PACKAGE)!r}]
sys.modules["keras_xcons"] = package
from keras_xcons.files import locking
"""


def start(folder, code):
    return subprocess.Popen(
        [sys.executable, "-c", BARE + code, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


# As in a process whose file system has no locks.
SOFT = """
import errno, filelock
def without(self, *arguments, **options):
    raise OSError(errno.ENOLCK, "No locks available")
filelock.FileLock.acquire = without
try:
    with locking.locked(sys.argv[1]):
        pass
except locking.InUseError:
    print("refused", flush=True)
    sys.exit()
"""
HOLD = """
with locking.locked(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the folder until a line is written to it."""
    with start(tmp_path, HOLD) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_lock_says_who_holds_it_and_is_gone_afterwards(tmp_path):
    with locked(tmp_path):
        with locked(str(tmp_path)):  # the same thread may
            pass
        found = json.loads((tmp_path / LOCK_FILE).read_text())
        assert (found["pid"], found["host"]) == (os.getpid(), processes.host())
    assert list(tmp_path.iterdir()) == []


def test_a_second_process_is_refused_in_one_line(tmp_path, holder):
    with pytest.raises(InUseError) as caught, locked(tmp_path):
        pass
    line = str(caught.value)
    assert line.startswith(
        f"Another process ({holder.pid} on {processes.host()}, since"
    )
    assert line.endswith(
        "works in the folder: wait until it has ended, or take another folder. "
        f"Received: folder={str(tmp_path)!r}"
    )
    # Neither by another name of the folder.
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    with pytest.raises(InUseError), locked(link):
        pass
    holder.stdin.write("\n")
    holder.stdin.close()
    holder.wait()
    with locked(tmp_path):
        assert (tmp_path / LOCK_FILE).exists()


def test_a_killed_process_leaves_a_lock_that_is_taken_over(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with locked(tmp_path):
        assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == os.getpid()


def test_who_waits_gets_it_in_turn(tmp_path, holder):
    def release():
        holder.stdin.write("\n")
        holder.stdin.flush()

    later = threading.Timer(0.3, release)
    began = time.monotonic()
    later.start()
    with locked(tmp_path, wait=20.0):
        assert time.monotonic() - began > 0.2
    later.join()


def test_another_thread_is_refused(tmp_path):
    found = []

    def enter():
        try:
            with locked(tmp_path):
                found.append("entered")
        except InUseError as error:
            found.append(str(error))

    with locked(tmp_path):
        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
    assert found[0].startswith("Another thread of this process works in the folder")
    enter()
    assert found[1:] == ["entered"]


def test_of_processes_that_start_together_one_at_a_time_is_inside(tmp_path):
    """Each adds one to a number a hundred times, which no two do at once."""
    (tmp_path / "number").write_text("0")
    count = """
import pathlib
number = pathlib.Path(sys.argv[1], "number")
print("ready", flush=True)
sys.stdin.readline()
done = 0
while done < 100:
    try:
        with locking.locked(sys.argv[1]):
            value = int(number.read_text())
            number.write_text(str(value + 1))
            done += 1
    except locking.InUseError:
        pass
"""
    running = [start(tmp_path, count) for _ in range(4)]
    for process in running:
        process.stdout.readline()
    for process in running:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in running:
        process.communicate()
        assert process.returncode == 0
    assert (tmp_path / "number").read_text() == "400"
    assert [path.name for path in tmp_path.iterdir()] == ["number"]


def test_a_fork_does_not_keep_the_lock_of_its_parent(tmp_path):
    fork = """
with locking.locked(sys.argv[1]):
    if os.fork() == 0:
        os.close(1)
        time.sleep(60)
    print("held", flush=True)
    sys.stdin.readline()
"""
    with start(tmp_path, fork) as process:
        process.stdout.readline()
        with pytest.raises(InUseError), locked(tmp_path):
            pass
        process.kill()
        process.wait()
        with locked(tmp_path, wait=20.0):  # the fork may only just have begun
            pass


def test_where_a_file_system_has_no_locks_the_file_tells(tmp_path, monkeypatch):
    def without(self, *arguments, **options):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(filelock.FileLock, "acquire", without)
    with locked(tmp_path):
        pid = (tmp_path / LOCK_FILE).read_text().splitlines()[0]
        assert pid == str(os.getpid())
        with start(tmp_path, SOFT) as second:
            assert second.stdout.read() == "refused\n"
    # What a killed process has left is taken over.
    with start(tmp_path, SOFT + HOLD) as killed:
        assert killed.stdout.readline() == "held\n"
        killed.kill()
    with locked(tmp_path):
        pass


@pytest.mark.parametrize("content", ["mine", '{"pid": 1}', "[" * 4000])
def test_a_file_of_the_users_is_not_taken_for_a_lock(tmp_path, content):
    (tmp_path / LOCK_FILE).write_text(content)
    with pytest.raises(FileExistsError, match="move it away. Received"):
        with locked(tmp_path):
            pass
    assert (tmp_path / LOCK_FILE).read_text() == content


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_what_is_no_file_is_not_taken_for_a_lock(tmp_path, kind):
    path, target = tmp_path / LOCK_FILE, tmp_path / "target"
    target.write_text("kept")
    if kind == "link":
        path.symlink_to(target)
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    with pytest.raises(FileExistsError, match="move it away. Received"):
        with locked(tmp_path):
            pass
    assert os.path.lexists(path) and target.read_text() == "kept"
