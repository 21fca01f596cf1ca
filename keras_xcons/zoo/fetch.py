"""Downloads that are whole, checked and in place, or not there at all.

`keras.utils.get_file` is not used: it writes to the final path and has no time
limit, so a run that is killed leaves half a file there, and a server that stops
answering stops the caller for good.
"""

import contextlib
import hashlib
import http.client
import os
import tempfile
import urllib.error
import urllib.request

import keras

from keras_xcons.version import __version__

_TIMEOUT = 30  # seconds without a byte
_BLOCK = 1 << 20
_LARGEST_TEXT = 16 << 20


def is_offline():
    """Whether `KERAS_XCONS_OFFLINE` forbids to touch the network."""
    return os.environ.get("KERAS_XCONS_OFFLINE", "") not in ("", "0")


def sha256(path):
    """Returns the sha256 of a file as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text(url):
    """Reads a small file, such as a card.

    Args:
        url: An http(s) URL.

    Returns:
        Its bytes, or `None` where the server says that there is no such file.

    Raises:
        ConnectionError: No answer, another error, or an answer above 16 MB.
    """
    try:
        with _open(url) as response:
            content = response.read(_LARGEST_TEXT + 1)
    except urllib.error.HTTPError as error:
        if error.code in (404, 410):
            return None
        raise ConnectionError(f"Cannot read {url}: {error}") from error
    except (OSError, http.client.HTTPException) as error:
        raise ConnectionError(f"Cannot read {url}: {error}") from error
    if len(content) > _LARGEST_TEXT:
        raise ConnectionError(f"{url} is larger than {_LARGEST_TEXT} bytes")
    return content


def file(url, target, size, digest):
    """Downloads a file of known size and sha256.

    It is written to a temporary file of the same folder, which takes the final name
    in one step once the whole of it is there and right.

    Args:
        url: An http(s) URL.
        target: `pathlib.Path` to write to. What is there is replaced, on success.
        size: Expected number of bytes.
        digest: Expected sha256, 64 hexadecimal digits.

    Raises:
        ConnectionError: No answer, or the connection broke before the end.
        ValueError: The file is not the expected one.
        OSError: The folder cannot be written to.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(
        dir=target.parent, prefix=f".{target.name}-", suffix=".part"
    )
    try:
        with os.fdopen(handle, "wb") as output:
            received = _copy(url, output, size)
        if received != digest:
            raise ValueError(
                f"The file at {url} is not the published one and was not kept. "
                f"Expected: sha256={digest}. Received: sha256={received}"
            )
        # mkstemp makes the file private; a cache may be shared.
        os.chmod(partial, 0o644)
        os.replace(partial, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)
        # Goes only where nothing else is in it.
        with contextlib.suppress(OSError):
            target.parent.rmdir()


def _copy(url, output, size):
    """Copies a download of `size` bytes to a file and returns its sha256."""
    digest = hashlib.sha256()
    progress = keras.utils.Progbar(size, unit_name="byte")
    count = 0
    try:
        with _open(url) as response:
            while block := response.read(_BLOCK):
                count += len(block)
                if count > size:
                    break
                digest.update(block)
                output.write(block)
                progress.update(count)
    except (urllib.error.URLError, http.client.HTTPException) as error:
        raise ConnectionError(f"Cannot download {url}: {error}") from error
    except (ConnectionError, TimeoutError) as error:
        raise ConnectionError(
            f"The download of {url} broke off after {count} of {size} bytes: {error}"
        ) from error
    if count < size:
        raise ConnectionError(
            f"The download of {url} broke off after {count} of {size} bytes"
        )
    if count > size:
        raise ValueError(
            f"The file at {url} is not the published one and was not kept. "
            f"Expected: bytes={size}. Received: more"
        )
    return digest.hexdigest()


def _open(url):
    agent = {"User-Agent": f"keras-xcons/{__version__}"}
    request = urllib.request.Request(url, headers=agent)
    return urllib.request.urlopen(request, timeout=_TIMEOUT)
