"""Servers that never come to an end, each in its own way."""

import contextlib
import itertools
import re
import socket
import threading
import time

PAUSE = 0.02  # seconds between two bytes
LONGEST = 5.0  # seconds of one answer, so that a test ends that fails
HEAD = b'HTTP/1.1 200 OK\r\nETag: "x"\r\n'


class Server:
    """Answers every connection by a function that yields bytes, one after a pause.

    Args:
        answer: Function of this server and of what was asked, as text.
        size: What the function may need to know.
    """

    def __init__(self, answer, size):
        self.answer, self.size = answer, size
        self.connections = self.sent = 0
        self.stopped = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.threads = [threading.Thread(target=self.accept)]
        self.threads[0].start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.connections += 1
                self.threads.append(
                    threading.Thread(target=self.serve, args=(connection,))
                )
                self.threads[-1].start()

    def serve(self, connection):
        connection.settimeout(1.0)
        with connection, contextlib.suppress(OSError):
            until = time.monotonic() + LONGEST
            asked = connection.recv(65536).decode("latin-1")
            for part in self.answer(self, asked):
                if self.stopped.is_set() or time.monotonic() > until:
                    return
                if part is None:
                    self.stopped.wait(PAUSE)
                else:
                    connection.sendall(part)
                    self.sent += len(part)

    def stop(self):
        self.stopped.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join()


@contextlib.contextmanager
def serve(answer, size=100_000):
    """Runs a server until the block ends."""
    server = Server(answer, size)
    try:
        yield server
    finally:
        server.stop()


def _drip(start, endless):
    yield start
    for part in itertools.cycle(endless):
        yield None
        yield part


def nothing(server, asked):
    """Takes the connection and says nothing."""
    yield from itertools.repeat(None)


def body(server, asked):
    """One byte of the body at a time."""
    yield from _drip(HEAD + b"Content-Length: %d\r\n\r\n" % server.size, [b"x"])


def body_of_no_length(server, asked):
    """One byte at a time, of how many it does not say."""
    yield from _drip(HEAD + b"\r\n", [b"x"])


def chunks(server, asked):
    """One chunk of one byte at a time."""
    start = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    yield from _drip(start, [b"1\r\nx\r\n"])


def trailers(server, asked):
    """No chunk, and trailers without end."""
    start = HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"
    yield from _drip(start, [b"X: y\r\n"])


def head(server, asked):
    """One byte of a header at a time."""
    yield from _drip(HEAD + b"X: ", [b"y"])


def status(server, asked):
    """One byte of the status line at a time."""
    yield from _drip(b"HTTP/1.1 200 ", [b"O"])


def not_yet(server, asked):
    """`100 Continue` again and again."""
    yield from _drip(b"", [b"HTTP/1.1 100 Continue\r\n\r\n"])


def not_yet_at_once(server, asked):
    """`100 Continue` as fast as it can."""
    yield from itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


def elsewhere(server, asked):
    """A redirection with a body that drips."""
    start = b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 9999\r\n\r\n"
    yield from _drip(start, [b"x"])


def elsewhere_at_length(server, asked):
    """A redirection with a body without end."""
    yield b"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n"
    yield from itertools.repeat(b"x" * 65536)


def error(server, asked):
    """An error whose head drips."""
    yield from _drip(b"HTTP/1.1 500 Oh\r\nX: ", [b"y"])


def byte_a_connection(server, asked):
    """One byte, then the connection is closed; with `Range` it goes on from there."""
    found = re.search(r"Range: bytes=(\d+)-", asked)
    start = int(found[1]) if found else 0
    left = server.size - start
    if start:
        span = b"bytes %d-%d/%d" % (start, server.size - 1, server.size)
        yield b'HTTP/1.1 206 Partial\r\nETag: "x"\r\nContent-Range: ' + span + b"\r\n"
    else:
        yield HEAD
    yield b"Content-Length: %d\r\n\r\nx" % left


def byte_a_connection_of_no_length(server, asked):
    """One byte and a closed connection, from the start each time."""
    yield b"HTTP/1.1 200 OK\r\n\r\nx"


FOR_ALL = [
    *(nothing, body, body_of_no_length, chunks, trailers, head, status, not_yet),
    *(not_yet_at_once, elsewhere, elsewhere_at_length, error),
]
FOR_FILES = [*FOR_ALL, byte_a_connection, byte_a_connection_of_no_length]
