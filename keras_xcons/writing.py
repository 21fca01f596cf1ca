"""Files that are written whole or not at all."""

import contextlib
import os
import pathlib
import zlib


@contextlib.contextmanager
def whole_file(path):
    """Stands in for a file until all of it is written.

    What is written beside it takes its place when the block ends, and is removed if
    the block is left by an error or an interruption: an older file then stays.

    Args:
        path: The file. Its folder must exist.

    Yields:
        `pathlib.Path` to write to, in the same folder and of the same suffix.

    Example:

    >>> with whole_file("figures.csv") as unfinished:
    ...     unfinished.write_text("epoch,loss")
    """
    path = pathlib.Path(path)
    # Of fixed length: a name may be as long as a file system allows.
    number = zlib.crc32(os.fsencode(path.name))
    unfinished = path.with_name(f".{os.getpid()}.{number:08x}{path.suffix}")
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
