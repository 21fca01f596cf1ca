"""Downloads that are whole, checked and in place, or not there at all.

`keras.utils.get_file` is not used: it writes to the final path and has no time
limit, so a run that is killed leaves half a file there, and a server that stops
answering stops the caller for good. Here one limit holds for all attempts together,
see `keras_xcons.zoo.connection`.
"""

import errno
import http.client
import os
import shutil
import sys
import time
import urllib.error

import keras

from keras_xcons.files import LARGEST, sha256_of_file, whole_file
from keras_xcons.offline import is_offline
from keras_xcons.zoo import connection

_BLOCK = 1 << 16
# How often in a row a download may fail without getting further by at least that share
# of the file, and the pause before the second attempt in seconds, which doubles with
# each.
_ATTEMPTS = 3
_STEP = 0.01
_PAUSE = 0.5
# What the network raises, malformed answers and host names included.
_FAILURES = (OSError, http.client.HTTPException, ValueError)


def text(url):
    """Reads a small file, such as a card.

    Args:
        url: An http(s) URL.

    Returns:
        Its bytes, or `None` where the server says that there is no such file.

    Raises:
        ConnectionError: No answer, another error, an answer above 4 MiB or too slow,
            or `KERAS_XCONS_OFFLINE` is set.
    """
    _check_online(url)
    limit = connection.Limit(LARGEST)
    content = bytearray()
    try:
        with connection.open_url(url, limit) as response:
            while len(content) <= LARGEST and (block := response.read1(_BLOCK)):
                content += block
                limit.gain(len(content))
            # What comes short of the length that was told is no error to urllib.
            left = response.length or 0
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (404, 410):
            return None
        raise ConnectionError(_cannot("read", url, error)) from error
    except _FAILURES as error:
        raise ConnectionError(_cannot("read", url, error)) from error
    if len(content) > LARGEST:
        raise ConnectionError(f"{url} is larger than {LARGEST} bytes")
    if left:
        raise ConnectionError(f"Cannot read {url}: it broke off {left} bytes too soon")
    return bytes(content)


def file(url, target, size, digest):
    """Downloads a file of known size and sha256.

    It takes its place once the whole of it is there and right. After a connection that
    was cut it goes on where it was, or from the start where the server cannot do that.

    Args:
        url: An http(s) URL.
        target: `pathlib.Path` to write to, in an existing folder. What is there is
            replaced, on success.
        size: Expected number of bytes.
        digest: Expected sha256, 64 hexadecimal digits.

    Raises:
        ConnectionError: No answer, the connection broke again and again or is too
            slow, or `KERAS_XCONS_OFFLINE` is set.
        ValueError: The file is not the expected one.
        OSError: The folder cannot be written to, or has no space left.
    """
    _check_online(url)
    if shutil.disk_usage(target.parent).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with whole_file(target) as unfinished:
        with open(unfinished, "wb") as output:
            _Transfer(url, output, size).run()
        received = sha256_of_file(unfinished)
        if received != digest:
            raise ValueError(
                f"The file at {url} is not the published one and was not kept. "
                f"Expected: sha256={digest}. Received: sha256={received}"
            )


class _Cut(ConnectionError):
    """A download that another attempt may complete."""


class _Transfer:
    """One file on its way from a URL into an open file."""

    def __init__(self, url, output, size):
        self.url, self.output, self.size = url, output, size
        self.validator = None
        self.limit = connection.Limit(size)
        # A bar in a file that collects what was printed would be many lines.
        self.progress = (
            keras.utils.Progbar(size, unit_name="byte") if sys.stdout.isatty() else None
        )
        self.restart()

    def restart(self):
        self.output.seek(0)
        self.output.truncate()
        self.count = 0

    def run(self):
        """Receives `size` bytes, in several attempts where it must be."""
        furthest, failures = 0, 0
        while True:
            try:
                self.attempt()
                return
            except _Cut:
                if self.count - furthest >= max(1, _STEP * self.size):
                    failures = 0
                furthest = max(furthest, self.count)
                failures += 1
                if failures == _ATTEMPTS or not self.limit.left():
                    raise
            pause = _PAUSE * 2 ** (failures - 1)
            time.sleep(min(pause, self.limit.left()))

    def attempt(self):
        if self.count and self.validator is None:
            self.restart()
        headers = {}
        if self.count:
            # Another file is sent from its start.
            headers = {"Range": f"bytes={self.count}-", "If-Range": self.validator}
        try:
            response = connection.open_url(self.url, self.limit, headers)
        except urllib.error.HTTPError as error:
            error.close()
            passing = error.code >= 500 or error.code in (408, 416, 429)
            if error.code == 416:
                self.restart()
            kind = _Cut if passing else ConnectionError
            raise kind(_cannot("download", self.url, error)) from error
        except _FAILURES as error:
            raise _Cut(_cannot("download", self.url, error)) from error
        with response:
            self.receive(response)
        if self.count < self.size:
            raise self.broken("the connection was closed")

    def receive(self, response):
        if response.status != http.client.PARTIAL_CONTENT:
            self.restart()
        elif not response.headers.get("Content-Range", "").startswith(
            f"bytes {self.count}-"
        ):
            self.restart()
            raise self.broken("the server sent another part of it")
        self.validator = _validator(response.headers)
        # `None` where the server does not say, or says what is no length.
        left = response.length
        if left is not None and self.count + left != self.size:
            raise self.other(f"bytes={self.count + left}")
        while block := self.read(response):
            self.count += len(block)
            if self.count > self.size:
                raise self.other("more")
            self.output.write(block)
            self.limit.gain(self.count)
            if self.progress is not None:
                self.progress.update(self.count)

    def read(self, response):
        try:
            return response.read1(_BLOCK)
        except _FAILURES as error:
            raise self.broken(connection.reason(error)) from error

    def broken(self, reason):
        return _Cut(
            f"The download of {self.url} broke off after {self.count} of {self.size} "
            f"bytes: {reason}"
        )

    def other(self, received):
        return ValueError(
            f"The file at {self.url} is not the published one and was not kept. "
            f"Expected: bytes={self.size}. Received: {received}"
        )


def _validator(headers):
    """What tells a server whether its file is still the same, for `If-Range`."""
    tag = headers.get("ETag")
    strong = tag is not None and not tag.startswith("W/")
    return tag if strong else headers.get("Last-Modified")


def _check_online(url):
    if is_offline():
        raise ConnectionError(f"KERAS_XCONS_OFFLINE is set: {url} was not asked")


def _cannot(action, url, error):
    return f"Cannot {action} {url}: {connection.reason(error)}"
