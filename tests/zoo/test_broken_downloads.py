import os
import pathlib
import subprocess
import sys
import time

import pytest

from keras_xcons import zoo
from keras_xcons.files import sha256_of_file
from keras_xcons.zoo import cache, fetch
from tests.zoo import server
from tests.zoo.published import NAME, card_of, contents

CHECKOUT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize(
    "spoil, error, message",
    [
        ("break", ConnectionError, r"broke off after \d+ of \d+ bytes"),
        ("silent", ConnectionError, r"broke off after \d+ of \d+ bytes"),
        (500, ConnectionError, "Cannot download .*500"),
        (404, ConnectionError, "Cannot download .*404"),
        (403, ConnectionError, "Cannot download .*403"),
        ("alter", ValueError, "not kept. Expected: sha256=.*Received: sha256="),
        ("truncated", ValueError, r"not kept. Expected: bytes=\d+. Received: bytes="),
        ("longer", ValueError, r"not kept. Expected: bytes=\d+. Received: bytes=\d+"),
        ("silently longer", ValueError, "not kept. Expected: .*. Received: more"),
    ],
)
def test_failed_download_leaves_nothing(by_card, spoil, error, message):
    by_card.spoil, by_card.ranges = spoil, False
    with pytest.raises(error, match=message):
        zoo.load(NAME)
    assert contents(cache.root()) == []
    by_card.spoil = None
    zoo.load(NAME)


@pytest.mark.parametrize(
    "spoil, attempts", [(404, 1), (403, 1), (500, 3), ("alter", 1), ("truncated", 1)]
)
def test_only_what_may_pass_is_tried_again(by_card, spoil, attempts):
    by_card.spoil = spoil
    with pytest.raises((ConnectionError, ValueError)):
        zoo.download(NAME)
    assert len(by_card.asked) == attempts


def test_download_goes_on_where_it_was_cut(by_card, folder):
    size = card_of(folder)["bytes"]
    # Each answer is cut in its middle, and the download still gets further.
    by_card.spoil = lambda asked: "break" if asked <= 5 else None
    path = zoo.download(NAME)
    assert sha256_of_file(path) == card_of(folder)["sha256"]
    starts = [start for start, _ in by_card.sent]
    assert len(starts) == 6 and starts[0] == 0
    assert starts == sorted(starts) and starts[5] > 0.95 * size
    assert all(start + sent == size for start, sent in by_card.sent)


def test_download_starts_anew_where_the_server_knows_no_ranges(by_card, folder):
    by_card.ranges = False
    by_card.spoil = lambda asked: "break" if asked <= 2 else None
    assert sha256_of_file(zoo.download(NAME)) == card_of(folder)["sha256"]
    assert [start for start, _ in by_card.sent] == [0, 0, 0]


def test_download_starts_anew_when_the_file_has_changed(by_card, folder):
    # What came first is of another file, of which the server then knows no more.
    def spoil(asked):
        if asked == 1:
            path = by_card.folder / f"{NAME}.weights.h5"
            right = path.read_bytes()
            path.write_bytes(bytes([right[0] ^ 1]) + right[1:])
            by_card.right = right
            return "break"
        (by_card.folder / f"{NAME}.weights.h5").write_bytes(by_card.right)
        return None

    by_card.spoil = spoil
    assert sha256_of_file(zoo.download(NAME)) == card_of(folder)["sha256"]
    assert [start for start, _ in by_card.sent] == [0, 0]


def test_another_part_than_the_one_asked_for_is_not_taken(by_card, folder):
    parts = {1: "break", 2: "elsewhere"}
    by_card.spoil = lambda asked: parts.get(asked)
    assert sha256_of_file(zoo.download(NAME)) == card_of(folder)["sha256"]
    assert [start > 0 for start, _ in by_card.sent] == [False, True, False]


def test_download_gives_up_when_it_gets_no_further(by_card):
    by_card.spoil = lambda asked: "break" if asked == 1 else 503
    with pytest.raises(ConnectionError, match="503"):
        zoo.download(NAME)
    assert len(by_card.asked) == 3
    assert contents(cache.root()) == []


def test_pause_doubles_between_attempts(by_card, monkeypatch):
    monkeypatch.setattr(fetch, "_PAUSE", 0.1)
    by_card.spoil = 500
    start = time.monotonic()
    with pytest.raises(ConnectionError):
        zoo.download(NAME)
    assert 0.3 <= time.monotonic() - start < 5.0


def test_disk_without_enough_space_is_not_written_to(by_card):
    # No disk of these days has an exbibyte left.
    cache.root().mkdir(parents=True)
    with pytest.raises(OSError, match="No space left on device"):
        fetch.file(f"{by_card.url}/x", cache.root() / "y", 1 << 60, "0" * 64)
    assert by_card.asked == []
    assert contents(cache.root()) == []


def test_card_that_is_cut_off_is_told_as_such(by_url):
    by_url.spoil = "break text"
    with pytest.raises(ConnectionError, match=r"card.json: it broke off \d+ bytes"):
        zoo.load(NAME)


@pytest.mark.parametrize("home, reason", [("/sys", "not permitted|denied|Read-only")])
def test_cache_that_cannot_be_written_to(home, reason, by_card, monkeypatch):
    # Not even the administrator may make a folder there.
    monkeypatch.setenv("KERAS_HOME", home)
    message = f"Cannot write the .* ({reason}).*folder='/sys/keras_xcons'"
    with pytest.raises(OSError, match=message):
        zoo.download(NAME)
    assert by_card.asked == []


def test_cache_below_a_file_cannot_be_written_to(by_card, tmp_path, monkeypatch):
    (tmp_path / "home").write_text("a file")
    with pytest.raises(OSError, match="Not a directory; KERAS_HOME can name another"):
        zoo.download(NAME)


def test_read_only_cache_is_read(by_url, monkeypatch):
    path = zoo.download(NAME)
    before = {one: one.stat().st_mtime_ns for one in cache.root().rglob("*")}
    for folder in (path.parent, path.parent.parent):
        folder.chmod(0o555)
    try:
        zoo.load(NAME)
        monkeypatch.setenv("KERAS_XCONS_OFFLINE", "1")
        zoo.load(NAME)
    finally:
        for folder in (path.parent.parent, path.parent):
            folder.chmod(0o755)
    after = {one: one.stat().st_mtime_ns for one in cache.root().rglob("*")}
    assert after == before


def start(code, **environment):
    """A process of its own that runs `code` with `zoo` at hand."""
    return subprocess.Popen(
        [sys.executable, "-c", f"from keras_xcons import zoo\n{code}"],
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_file_system_that_is_full_is_told_in_one_line(by_url):
    running = start(
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        f"try: zoo.download({NAME!r})\n"
        "except OSError as error: print(error)\n"
    )
    out, _ = running.communicate()
    assert running.returncode == 0
    assert out.count("\n") == 1
    assert "nothing of them was kept: File too large; KERAS_HOME can name" in out
    assert contents(cache.root()) == []


@pytest.mark.parametrize("name", [".x.part", "{entry}/.x.part", "x", "{entry}/x"])
def test_no_folder_in_the_cache_blocks_a_download(name, by_url):
    entry = cache.folder(f"{by_url.url}/{NAME}").name
    blocking = cache.root() / name.format(entry=entry)
    (blocking / "of the user").mkdir(parents=True)
    os.utime(blocking, (0, 0))
    zoo.load(NAME)
    assert (blocking / "of the user").is_dir()


class Waiting(server.Handler):
    """Keeps weights back until as many as `server.expected` cards were asked for."""

    def do_GET(self):
        if self.path.endswith(".h5"):
            cards = f"/{NAME}/card.json"
            while self.server.asked.count(cards) < self.server.expected:
                time.sleep(0.01)
        super().do_GET()


@pytest.mark.slow
def test_two_processes_at_once_download_once(original, tmp_path):
    with server.serve(tmp_path / "served", Waiting) as web:
        web.expected = 2
        (web.folder / NAME).symlink_to(original)
        code = f"print(zoo.download({NAME!r})); zoo.load({NAME!r})"
        both = [start(code, KERAS_XCONS_ZOO=web.url) for _ in range(2)]
        told = [one.communicate() for one in both]
    entry = cache.folder(f"{web.url}/{NAME}")
    path = entry / "model.weights.h5"
    assert [one.returncode for one in both] == [0, 0], told
    assert [out for out, _ in told] == [f"{path}\n"] * 2
    assert len(web.sent) == 1
    assert sha256_of_file(path) == card_of(original)["sha256"]
    assert sorted(os.listdir(entry)) == FILES


@pytest.mark.slow
def test_killed_download_is_in_nobodys_way(original, tmp_path, monkeypatch):
    with server.serve(tmp_path / "served", Waiting) as web:
        web.expected = 2
        (web.folder / NAME).symlink_to(original)
        running = start(f"zoo.download({NAME!r})", KERAS_XCONS_ZOO=web.url)
        entry = cache.folder(f"{web.url}/{NAME}")
        while not list(entry.glob(".keras_xcons-*/*")):
            time.sleep(0.01)
        running.kill()
        running.communicate()
        assert len(os.listdir(entry)) == 2  # what is unfinished, and the lock
        monkeypatch.setenv("KERAS_XCONS_ZOO", web.url)
        zoo.load(NAME)
    assert sorted(os.listdir(entry)) == FILES


FILES = ["card.json", "metrics.json", "model.weights.h5", "origin.json"]


def test_download_that_was_killed_on_its_way_into_place_goes_on(by_url, monkeypatch):
    path = zoo.download(NAME)
    # As `keras_xcons.files` leaves it.
    ready = path.parent / ".keras_xcons-ready"
    ready.mkdir()
    for name in ("card.json", "origin.json"):
        (path.parent / name).rename(ready / name)
    monkeypatch.setenv("KERAS_XCONS_OFFLINE", "1")
    assert zoo.list_models() == []
    zoo.load(NAME)
    assert sorted(os.listdir(path.parent)) == FILES
    assert zoo.list_models() == [NAME]
