"""A CSV file of all figures of a training run."""

import csv

import keras
import numpy as np

from keras_xcons import checks
from keras_xcons.files import csv_cell, whole_file

_EPOCH = "epoch"


class FigureLogger(keras.callbacks.Callback):
    """Writes the figures of each epoch into a CSV file, one row an epoch.

    Unlike `keras.callbacks.CSVLogger`, whose columns are those of the first epoch,
    a figure that comes later, or only every few epochs, has its column: it is empty
    in the epochs without it. The file is whole at any time. An epoch that is run
    again, as after `keras.callbacks.BackupAndRestore`, replaces its row.

    Put it behind the callbacks whose figures it is to write.

    Args:
        path: Name of the file. Its folder must exist.
        append: Whether to keep the rows of an existing file, to continue a run.
            Defaults to `False`: the file is replaced when the first epoch ends.

    Raises:
        TypeError: `path` is no path.
        FileNotFoundError: The folder does not exist.
        IsADirectoryError: `path` is a folder.
        ValueError: `path` is empty or holds a NUL character; from `fit`, if the file to
            append to is not one of epochs.

    Example:

    >>> monitor = ExplanationMonitor(validation)
    >>> log = FigureLogger("figures.csv", append=True)
    >>> model.fit(train, epochs=10, callbacks=[monitor, log])
    """

    def __init__(self, path, append=False):
        super().__init__()
        self.path = checks.path("path", path)
        if not self.path.parent.is_dir():
            raise FileNotFoundError(
                f"The folder of the log does not exist. Received: path={str(path)!r}"
            )
        if self.path.is_dir():
            raise IsADirectoryError(
                f"The log must be a file, not a folder. Received: path={str(path)!r}"
            )
        self.append = append
        self._columns, self._rows = [_EPOCH], {}

    def on_train_begin(self, logs=None):
        self._columns, self._rows = [_EPOCH], {}
        if self.append and self.path.exists():
            self._read()

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        row = {csv_cell(name): csv_cell(_plain(v)) for name, v in logs.items()}
        self._columns += [name for name in row if name not in self._columns]
        self._rows[epoch] = {**row, _EPOCH: epoch}
        self._write()

    def _read(self):
        with self.path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or [_EPOCH]
            rows = list(reader)
        epochs = [row.get(_EPOCH) or "" for row in rows]
        if _EPOCH not in columns or not all(_is_epoch(epoch) for epoch in epochs):
            raise ValueError(
                "A log to append to must be a CSV file with a column 'epoch' of whole "
                f"numbers. Received: path={str(self.path)!r} with the columns {columns}"
            )
        # The reader puts values that have no column under None.
        if any(None in row for row in rows):
            raise ValueError(
                "A log to append to must have a column for each value of a row. "
                f"Received: path={str(self.path)!r} with the columns {columns} and a "
                "longer row"
            )
        self._columns = list(columns)
        self._rows = {int(epoch): row for epoch, row in zip(epochs, rows, strict=True)}

    def _write(self):
        with whole_file(self.path) as unfinished:
            with unfinished.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, self._columns, restval="")
                writer.writeheader()
                writer.writerows(row for _, row in sorted(self._rows.items()))


def _is_epoch(text):
    """Whether a text is a number of an epoch, not one of any length."""
    return text.isdecimal() and len(text) < 10


def _plain(value):
    """A number as it is written to a file; an array as a list."""
    return np.asarray(value).tolist()
