import os
import pty
import shutil
import subprocess
import sys

import pytest

from keras_xcons import cli, zoo
from keras_xcons.files import sha256_of_file
from keras_xcons.zoo import cache, fetch
from tests.cli.process import ENTRY
from tests.zoo import server


@pytest.fixture
def served(published, places, monkeypatch):
    """The zoo behind a URL, and nothing of it on this machine."""
    monkeypatch.setattr(fetch, "_PAUSE", 0.0)
    monkeypatch.setenv("KERAS_XCONS_OFFLINE", "0")
    with server.serve(places / "served") as web:
        shutil.copytree(places / "zoo", web.folder, dirs_exist_ok=True)
        monkeypatch.setenv("KERAS_XCONS_ZOO", web.url)
        yield web


def cached(served, name):
    return cache.folder(f"{served.url}/{name}") / "model.weights.h5"


def test_download_shows_where_the_file_lies(served, published, places, capsys):
    path = cached(served, published)
    assert not path.exists()
    for _ in range(2):
        assert cli.main(["download", published]) == 0
        captured = capsys.readouterr()
        size = path.stat().st_size / 1e6
        assert captured.out == f"{published}: {path} ({size:.1f} MB)\n"
        assert captured.err == ""
    assert len(served.sent) == 1
    assert sha256_of_file(path) == zoo.info(published)["sha256"]


def test_one_model_that_fails_does_not_stop_the_others(served, published, capsys):
    assert cli.main(["download", "small_cnn_x", published]) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith(f"{published}: ")
    assert captured.err.count("\n") == 1
    assert captured.err.startswith(
        "keras-xcons download: error: small_cnn_x: Unknown model. Did you mean"
    )


@pytest.mark.parametrize(
    "spoil, message",
    [
        (404, "HTTP Error 404"),
        ("break", "broke off after"),
        ("alter", "is not the published one and was not kept"),
    ],
)
def test_failed_download_is_one_line_and_code_1(
    spoil, message, served, published, fails, places
):
    served.spoil = spoil
    line = fails(["download", published], 1)
    assert line.startswith(f"keras-xcons download: error: {published}: ")
    assert message in line
    assert not cached(served, published).exists()


def test_debug_shows_the_traceback(published):
    with pytest.raises(ValueError, match="Unknown model"):
        cli.main(["download", "nonsense", "--debug"])


def test_download_takes_a_model(fails, places):
    assert "download takes one or more models" in fails(["download"], 2)


@pytest.mark.slow
def test_terminal_shows_the_progress(served, published, places):
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-c", ENTRY, "download", published],
        stdout=theirs,
        stderr=subprocess.PIPE,
        env={**os.environ, "COLUMNS": "80"},
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            block = os.read(ours, 4096)
        except OSError:  # Linux says so at the end of a terminal.
            break
        if not block:
            break
        shown += block
    os.close(ours)
    assert running.wait() == 0, running.stderr.read()
    running.stderr.close()
    size = cached(served, published).stat().st_size
    assert f"{size}/{size}".encode() in shown
