"""No server keeps a download from ending, with a line that says why."""

import time

import pytest

from keras_xcons.zoo import connection, fetch
from tests.zoo import dripping
from tests.zoo.published import contents

LIMIT = 0.6  # seconds; 60 outside the tests
SLACK = 1.0  # for a machine that has more to do


@pytest.fixture(autouse=True)
def short_limits(monkeypatch):
    monkeypatch.setattr(connection, "ALLOWANCE", LIMIT)


def name(answer):
    return answer.__name__


@pytest.mark.parametrize("answer", dripping.FOR_ALL, ids=name)
def test_text(answer):
    with dripping.serve(answer) as server:
        start = time.monotonic()
        with pytest.raises(ConnectionError) as error:
            fetch.text(f"{server.url}/card.json")
        assert time.monotonic() - start < LIMIT + SLACK
    told = str(error.value)
    assert told.startswith(f"Cannot read {server.url}/card.json: ")
    assert told.isprintable()


@pytest.mark.parametrize("answer", dripping.FOR_FILES, ids=name)
def test_file(answer, tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    with dripping.serve(answer) as server:
        url = f"{server.url}/model.weights.h5"
        start = time.monotonic()
        with pytest.raises(ConnectionError) as error:
            fetch.file(url, folder / "x", server.size, "0" * 64)
        assert time.monotonic() - start < LIMIT + SLACK
        assert server.connections <= 30
    told = str(error.value)
    assert told.startswith((f"Cannot download {url}: ", f"The download of {url} broke"))
    assert told.isprintable()
    assert contents(folder) == []


@pytest.mark.parametrize(
    "answer", [dripping.elsewhere_at_length, dripping.not_yet_at_once], ids=name
)
def test_what_nobody_needs_is_not_read(answer, monkeypatch):
    monkeypatch.setattr(connection, "ALLOWANCE", 3.0)
    with dripping.serve(answer) as server:
        with pytest.raises(ConnectionError, match="it sends more than 4194304 bytes"):
            fetch.text(f"{server.url}/card.json")
    assert server.sent < 40 << 20  # buffers of the system included


def test_connections_that_each_gain_a_little_are_bounded(tmp_path):
    # One byte of two hundred is less than a hundredth each.
    with dripping.serve(dripping.byte_a_connection, size=200) as server:
        with pytest.raises(ConnectionError, match="broke off after 3 of 200 bytes"):
            fetch.file(f"{server.url}/x", tmp_path / "x", 200, "0" * 64)
        assert server.connections == 3


def test_limit_is_that_of_the_lowest_rate(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    limit = connection.Limit(largest=32 << 10)
    assert limit.left() == pytest.approx(LIMIT)
    limit.gain(16 << 10)  # a second's worth at 16 KiB/s
    assert limit.left() == pytest.approx(LIMIT + 1.0)
    limit.gain(8 << 10)  # again what is there already
    limit.gain(1 << 40)  # no more than there is
    assert limit.left() == pytest.approx(LIMIT + 2.0)
    now[0] += LIMIT + 2.0
    assert limit.left() == 0.0
    with pytest.raises(TimeoutError, match="slower than 16384 bytes a second and was"):
        limit.wait()


def test_slow_server_above_the_lowest_rate_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "LOWEST_RATE", 10)

    def slow(server, asked):
        yield dripping.HEAD + b"Content-Length: 60\r\n\r\n"
        for _ in range(60):
            yield None
            yield b"x"

    with dripping.serve(slow) as server:
        start = time.monotonic()
        assert fetch.text(f"{server.url}/card.json") == b"x" * 60
        assert time.monotonic() - start > LIMIT
