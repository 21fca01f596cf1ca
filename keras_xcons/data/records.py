"""Which images of a split can be read, found out before any work is done with them."""

import dataclasses
import os
import warnings

import numpy as np

from keras_xcons import checks

ON_BAD_RECORD = ("error", "skip")
# How many bad records a message names.
_NAMED = 3


@dataclasses.dataclass(frozen=True)
class Records:
    """What a look at every record of a split has found.

    Attributes:
        labels: Of the records that can be read: int32 `(N,)`, or float32 multi-hot
            `(N, C)`; `None` for images that are drawn, not read.
        bad: Tuple of `(name, reason)` of the records, or files of several records,
            that cannot.
        total: Number of records that the split should have.
    """

    labels: np.ndarray | None
    bad: tuple[tuple[str, str], ...]
    total: int

    @property
    def count(self):
        """Number of records that can be read."""
        return self.total if self.labels is None else len(self.labels)

    def in_words(self, split):
        """One line on what cannot be read: how much, and the first of it by name."""
        first = "; ".join(f"{name}: {why}" for name, why in self.bad[:_NAMED])
        more = len(self.bad) - _NAMED
        return (
            f"{self.total - self.count} of {self.total} images of {split!r} cannot be "
            f"read: {first}" + (f"; and {more} more" if more > 0 else "")
        )


_looked_at = {}


def look(key, function):
    """What has been found of a split, which is looked at once a process.

    Args:
        key: Hashable, all that tells one state of the split from another.
        function: Function without arguments that looks, and returns `Records`.

    Returns:
        `(records, new)`, the second whether they were looked at just now.
    """
    new = key not in _looked_at
    if new:
        _looked_at[key] = function()
    return _looked_at[key], new


def state(path):
    """A file as it is now, which tells it from what it may become."""
    try:
        status = os.stat(path)
    except OSError:
        return path
    return path, status.st_size, status.st_mtime_ns


def check_on_bad_record(value):
    """Refuses what is neither `"error"` nor `"skip"`."""
    if value not in ON_BAD_RECORD:
        raise ValueError(checks.unknown("on_bad_record", value, ON_BAD_RECORD))


def refuse(records, split, on_bad_record):
    """Refuses a split where something, or all of it, cannot be read."""
    them = "it" if len(records.bad) == 1 else "them"
    way = f"Mend {them}" + f", or leave {them} out with on_bad_record='skip'" * bool(
        records.count
    )
    raise ValueError(
        f"{records.in_words(split)}. {way}. Received: on_bad_record={on_bad_record!r}"
    )


def warn_of_skipped(records, split):
    """Tells what is left out, and refuses to leave out everything."""
    if records.bad and not records.count:
        refuse(records, split, "skip")
    if records.bad:
        warnings.warn(f"Left out: {records.in_words(split)}", stacklevel=4)
