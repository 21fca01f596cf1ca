"""HTTP with an end: all that one download may take, whatever the server does.

A socket's own time limit begins anew with each byte. Here every wait for bytes, of an
answer's body as of its head, counts against one limit, which moves with what has been
gained alone.
"""

import functools
import http.client
import io
import time
import urllib.error
import urllib.parse
import urllib.request

from keras_xcons.printable import printable
from keras_xcons.version import __version__
from keras_xcons.zoo import card as cards

# Our choices. Seconds without a byte; seconds that a download may take beyond what the
# lowest rate asks for, its connections included; bytes a second.
SILENCE = 30.0
ALLOWANCE = 60.0
LOWEST_RATE = 16 << 10
# What the heads of answers may take in bytes, those of redirections included.
_HEADS = 1 << 20


def longest(size):
    """Returns how many seconds a download of that many bytes may take at most."""
    return ALLOWANCE + size / LOWEST_RATE


class Limit:
    """The time and the bytes that one download may take.

    It may take `ALLOWANCE` seconds and, at `LOWEST_RATE`, the time of what has been
    gained: at most that of the largest size.

    Args:
        largest: Bytes of the body, at most.

    Example:

    >>> limit = Limit(largest=5_000_000)
    >>> response = open_url("https://example.org/model.weights.h5", limit)
    """

    def __init__(self, largest):
        self._started = time.monotonic()
        self._gained = 0
        self.largest = largest

    def gain(self, count):
        """Moves the limit to what the first `count` bytes of the body may take."""
        self._gained = max(self._gained, min(count, self.largest))

    def left(self):
        """Returns the seconds that are left, 0.0 when the limit is reached."""
        until = self._started + longest(self._gained)
        return max(0.0, until - time.monotonic())

    def wait(self):
        """Returns how long to wait for the next bytes, in seconds.

        Raises:
            TimeoutError: The limit is reached.
        """
        left = self.left()
        if not left:
            spent = time.monotonic() - self._started
            raise TimeoutError(
                f"it is slower than {LOWEST_RATE} bytes a second and was given up "
                f"after {spent:.0f} s and {self._gained} bytes"
            )
        return min(SILENCE, left)


def open_url(url, limit, headers=None):
    """Asks for a URL.

    Args:
        url: An http(s) URL.
        limit: The `Limit` of the download. It goes on with the reading of the answer.
        headers: Dict of further headers. Defaults to `None`.

    Returns:
        The answer, an `http.client.HTTPResponse`.

    Raises:
        urllib.error.HTTPError: The server answers with an error, or leads to what is
            no http(s) URL.
        OSError, http.client.HTTPException, ValueError: No answer, or none that can be
            read.
    """
    opener = urllib.request.OpenerDirector()
    # Those that `urlopen` has, without ftp, files and data.
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirections(),
        _Web(limit),
        _SecureWeb(limit),
    ):
        opener.add_handler(handler)
    agent = {"User-Agent": f"keras-xcons/{__version__}"}
    request = urllib.request.Request(url, headers={**agent, **(headers or {})})
    return opener.open(request, timeout=limit.wait())


def reason(error):
    """Returns in one harmless line why a connection has failed.

    Args:
        error: What `open_url` or the reading of its answer has raised.
    """
    return printable(error) or type(error).__name__


class _Redirections(urllib.request.HTTPRedirectHandler):
    """Follows to http(s) alone."""

    def http_error_302(self, req, fp, code, msg, headers):
        target = headers.get("location") or headers.get("uri")
        if target is not None:
            try:
                address = urllib.parse.urljoin(req.full_url, target)
                fits = cards.is_url(address.replace(" ", "%20"))
            except ValueError:
                fits = False
            if not fits:
                raise urllib.error.HTTPError(
                    req.full_url,
                    code,
                    f"it leads to {target!r}, and only http(s) addresses are followed",
                    headers,
                    fp,
                )
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except Exception:
            fp.close()
            raise

    http_error_301 = http_error_303 = http_error_307 = http_error_302
    http_error_308 = http_error_302


class _Web(urllib.request.HTTPHandler):
    def __init__(self, limit):
        super().__init__()
        self._limit = limit

    def http_open(self, req):
        return self.do_open(_limited(http.client.HTTPConnection, self._limit), req)


class _SecureWeb(urllib.request.HTTPSHandler):
    def __init__(self, limit):
        super().__init__()
        self._limit = limit

    def https_open(self, req):
        return self.do_open(_limited(http.client.HTTPSConnection, self._limit), req)


def _limited(kind, limit):
    """Makes connections of a kind whose answers are read within a limit."""

    def connect(*args, **kwargs):
        connection = kind(*args, **{**kwargs, "timeout": limit.wait()})
        connection.response_class = functools.partial(_Response, limit)
        return connection

    return connect


class _Response(http.client.HTTPResponse):
    def __init__(self, limit, sock, *args, **kwargs):
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_Paced(limit, sock, self.fp.detach()))


class _Paced(io.RawIOBase):
    """The bytes of a socket, as long as there is time and no more than there may be."""

    def __init__(self, limit, sock, raw):
        self._limit, self._socket, self._raw = limit, sock, raw
        self._left = limit.largest + _HEADS

    def readable(self):
        return True

    def readinto(self, buffer):
        self._socket.settimeout(self._limit.wait())
        try:
            count = self._raw.readinto(buffer)
        except TimeoutError:
            # Says which of the two it was.
            self._limit.wait()
            raise
        self._left -= count
        if self._left < 0:
            raise ConnectionError(f"it sends more than {self._limit.largest} bytes")
        return count

    def close(self):
        self._raw.close()
        super().close()
