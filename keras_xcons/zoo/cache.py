"""What was downloaded, each under the address that it came from.

A card says itself what its model is called; the folder in the cache is named by the
address instead, and says it in a file. So what one address serves is found again by
that address, or by its name in the zoo at that address, and never in the place of
anything else.
"""

import contextlib
import os
import pathlib
import re
import urllib.parse

from keras_xcons.files import (
    LARGEST,
    InUseError,
    files_together,
    locked,
    put_in_place,
    read_json,
    remove_leftovers,
    sha256_of_text,
    write_json,
)
from keras_xcons.zoo import connection

ORIGIN_FILE = "origin.json"
# What a folder is called is for whoever looks into the cache; the digest tells them
# apart. Together with what is put around them they stay below 255 characters.
_LONGEST_NAME = 128
_DIGITS = 32
# How often to make a folder that another process removes, as its download has failed.
_TRIES = 10


def root():
    """Returns the folder of downloaded models, under the Keras home."""
    home = os.environ.get("KERAS_HOME") or os.path.join("~", ".keras")
    return pathlib.Path(home).expanduser() / "keras_xcons"


def origin_of(address):
    """Returns an address as the cache knows it.

    Args:
        address: `http(s)://...` or `hf://...`. How the first two parts of a URL are
            spelled and whether it ends in a slash makes no difference.
    """
    address = address.rstrip("/")
    parts = urllib.parse.urlsplit(address)
    if parts.scheme not in ("http", "https"):
        return address
    return parts._replace(netloc=parts.netloc.lower()).geturl()


def folder(origin):
    """Returns the folder of what comes from an address, which need not exist.

    Args:
        origin: As `origin_of` returns it, or another text for what is no model.
    """
    name = re.sub("[^A-Za-z0-9_.-]", "_", origin.rpartition("/")[2]).lstrip(".")
    digest = sha256_of_text(origin)
    return root() / f"{name[:_LONGEST_NAME]}-{digest[:_DIGITS]}"


def find(origin):
    """Returns the folder of what came from an address, `None` where there is none."""
    path = folder(origin)
    if _read_origin(path) == origin:
        return path
    # A process that was killed may have left it for others to put in place.
    if path.is_dir():
        with contextlib.suppress(OSError), locked(path):
            put_in_place(path)
    return path if _read_origin(path) == origin else None


def found():
    """Yields `(origin, folder)` of everything in the cache, sorted by folder."""
    for path in sorted(root().glob(f"*/{ORIGIN_FILE}")):
        origin = _read_origin(path.parent)
        if origin is not None and folder(origin) == path.parent:
            yield origin, path.parent


@contextlib.contextmanager
def replacing(origin, size, is_there):
    """Replaces the files of what comes from an address, together or not at all.

    One process or thread at a time does so; others wait for as long as the download
    may take.

    Args:
        origin: As for `folder`.
        size: Bytes of the largest of them.
        is_there: Function without arguments that says whether all of them are there.

    Yields:
        `pathlib.Path` of a folder to write them into, or `None` where another process
        has written them meanwhile.

    Raises:
        InUseError: Another process has not come to its end.
        OSError: The cache cannot be written to, or has no space left.
    """
    path = folder(origin)
    try:
        with contextlib.ExitStack() as stack:
            _lock(stack, path, connection.longest(size))
            try:
                remove_leftovers(path)
                put_in_place(path)
                if is_there():
                    yield None
                else:
                    with files_together(path) as staging:
                        yield staging
                        write_json(staging / ORIGIN_FILE, {"origin": origin})
            finally:
                stack.close()
                # Of a download that has failed nothing is left.
                with contextlib.suppress(OSError):
                    path.rmdir()
    except (ConnectionError, InUseError):
        raise
    except OSError as error:
        raise OSError(
            error.errno,
            f"Cannot write the {size} bytes of {origin}, nothing of them was kept: "
            f"{error.strerror or error}; KERAS_HOME can name another place. "
            f"Received: folder={str(root())!r}",
        ) from error


def _lock(stack, path, wait):
    for left in reversed(range(_TRIES)):
        path.mkdir(parents=True, exist_ok=True)
        try:
            stack.enter_context(locked(path, wait))
            return
        except FileNotFoundError:
            if not left:
                raise


def _read_origin(path):
    """The address that a folder says it is from, `None` where it says none."""
    file = path / ORIGIN_FILE
    try:
        with open(file, "rb") as opened:
            origin = read_json(opened.read(LARGEST), f"The file {file}")["origin"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return origin if isinstance(origin, str) else None
