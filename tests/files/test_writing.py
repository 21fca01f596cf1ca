import os
import signal
import socket
import subprocess
import sys

import pytest

from keras_xcons import processes
from keras_xcons.files import (
    files_together,
    put_in_place,
    remove_leftovers,
    whole_file,
    writing,
)
from tests.files.test_locking import BARE

NAMES = ["report.csv", "report.html", "report.json"]


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_file_takes_its_place_when_it_is_whole(tmp_path):
    path = tmp_path / "figures.csv"
    path.write_text("old")
    with whole_file(path) as unfinished:
        assert unfinished.parent == tmp_path and unfinished.suffix == ".csv"
        unfinished.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_what_is_not_whole_is_removed_and_an_older_file_stays(error, tmp_path):
    path = tmp_path / "figures.csv"
    path.write_text("old")
    with pytest.raises(error):
        with whole_file(str(path)) as unfinished:
            unfinished.write_text("ne")
            raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "name",
    [
        "n" * 251 + ".csv",
        "\udcff" + "n" * 250 + ".csv",
        "n." + "x" * 249 + ".csv",
        "n." + "x" * 250,
    ],
)
def test_a_name_may_be_as_long_as_the_file_system_allows(name, tmp_path):
    with whole_file(tmp_path / name) as unfinished:
        assert len(unfinished.name) < 128
        unfinished.write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras", ".png", ""])
def test_what_is_unfinished_has_the_suffix_that_writers_go_by(suffix, tmp_path):
    with whole_file(tmp_path / f"name{suffix}") as one:
        with whole_file(tmp_path / f"name{suffix}") as other:
            # Two threads may write the same file.
            assert one != other
            for path in (one, other):
                assert path.name.endswith(suffix)
                path.touch()


def killed(folder, code):
    """Runs code in a process that kills itself; returns its process id."""
    code = f"{BARE}\nimport pathlib\nfrom keras_xcons.files import writing\n{code}"
    done = subprocess.Popen([sys.executable, "-c", code, str(folder)])
    assert done.wait() == -signal.SIGKILL
    return done.pid


WRITE = """
folder = pathlib.Path(sys.argv[1])
with writing.whole_file(folder / "plain.keras") as unfinished:
    unfinished.write_text("half")
    with writing.unfinished_folder(folder) as work:
        (work / "card.json").write_text("{}")
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_leaves_is_removed_and_nothing_else(tmp_path):
    killed(tmp_path, WRITE)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert len(left) == 2
    host, pid = writing._host(), os.getpid()
    kept = [
        f".{2**22}.plain.keras",
        f".keras_xcons-{host}-{2**22}-1.keras",
        ".keras_xcons-notes",
        ".keras_xcons.lock",
        "plain.keras",
        # Of a process that runs.
        f".keras_xcons-{host}-{pid}-{processes.start_time(pid)}-01234567.keras",
        # Of another machine, touched a moment ago.
        ".keras_xcons-00000000-7-1-01234567.keras",
    ]
    for name in kept:
        (tmp_path / name).write_text("kept")
    # A link by such a name, and what it leads to.
    target = tmp_path / "target"
    target.mkdir()
    (target / "mine").write_text("kept")
    link = f".keras_xcons-{host}-{2**22}-1-01234567"
    (tmp_path / link).symlink_to(target)
    old = tmp_path / ".keras_xcons-00000000-7-1-76543210.png"
    old.touch()
    os.utime(old, (0, 0))
    remove_leftovers(tmp_path)
    found = sorted(path.name for path in tmp_path.iterdir())
    assert found == sorted([*kept, "target", link])
    assert (target / "mine").read_text() == "kept"


def test_files_take_their_places_together(tmp_path):
    for name in NAMES:
        (tmp_path / name).write_text("old")
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(KeyboardInterrupt), files_together(tmp_path) as staging:
        (staging / NAMES[0]).write_text("new")
        raise KeyboardInterrupt
    old = {**dict.fromkeys(NAMES, "old"), "mine.txt": "mine"}
    assert contents(tmp_path) == old
    with files_together(tmp_path) as staging:
        for name in NAMES:
            (staging / name).write_text("new")
        assert {name: (tmp_path / name).read_text() for name in NAMES} == dict.fromkeys(
            NAMES, "old"
        )
    assert contents(tmp_path) == {**dict.fromkeys(NAMES, "new"), "mine.txt": "mine"}


# Kills the process when it is about to change the folder for the nth time.
TOGETHER = f"""
folder, left = pathlib.Path(sys.argv[1]), [STEP]

def counted(function):
    def count(*arguments, **named):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **named)
    return count

for name in ("mkdir", "rename", "replace", "unlink", "rmdir"):
    setattr(os, name, counted(getattr(os, name)))
with writing.files_together(folder, LAST) as staging:
    for name in {NAMES}:
        (staging / name).write_text("new")
"""


def test_a_kill_at_any_step_never_leaves_a_new_file_beside_an_old_one(tmp_path):
    outcomes = []
    for step in range(9):
        folder = tmp_path / str(step)
        folder.mkdir()
        for name in NAMES:
            (folder / name).write_text("old")
        killed(folder, TOGETHER.replace("STEP", str(step)).replace("LAST", "None"))
        found = {
            name: (folder / name).read_text()
            for name in NAMES
            if (folder / name).exists()
        }
        assert len(set(found.values())) < 2, (step, found)
        put_in_place(folder)
        remove_leftovers(folder)
        # Whole, the old ones or the new ones, and nothing beside them.
        after = contents(folder)
        assert sorted(after) == NAMES and len(set(after.values())) == 1
        outcomes.append(after[NAMES[0]])
        if outcomes[-1] == "old":
            assert found == after
    # Before the folder is made and before it is complete, and six steps after.
    assert outcomes == ["old"] * 2 + ["new"] * 7


def test_a_kill_at_any_step_leaves_the_file_that_counts_with_its_own(tmp_path):
    for step in range(7):
        folder = tmp_path / str(step)
        folder.mkdir()
        for name in NAMES:
            (folder / name).write_text("old")
        last = NAMES[1]
        code = TOGETHER.replace("STEP", str(step)).replace("LAST", repr(last))
        killed(folder, code)
        found = {n: (folder / n).read_text() for n in NAMES if (folder / n).exists()}
        # Nothing else is ever missing, and beside it there is no other's.
        assert set(NAMES) - set(found) <= {last}
        assert last not in found or len(set(found.values())) == 1, (step, found)
        put_in_place(folder, last)
        remove_leftovers(folder)
        after = contents(folder)
        assert sorted(after) == NAMES and len(set(after.values())) == 1


def test_a_link_is_not_followed(tmp_path):
    target, folder = tmp_path / "target", tmp_path / "folder"
    for one in (target, folder):
        one.mkdir()
    (target / "mine").write_text("kept")
    (folder / ".keras_xcons-ready").symlink_to(target)
    put_in_place(folder)
    assert (target / "mine").exists()
    with pytest.raises(OSError, match="A link is not followed"):
        writing.remove_folder(folder / ".keras_xcons-ready")
    assert (target / "mine").exists()
    writing.remove_folder(target)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_name_tells_the_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "another")
    with whole_file(tmp_path / "a.csv") as unfinished:
        unfinished.touch()
        assert unfinished.name.split("-")[2] == str(os.getpid())
        monkeypatch.undo()
        assert unfinished.name.split("-")[1] != writing._host()
