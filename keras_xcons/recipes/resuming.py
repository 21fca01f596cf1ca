"""A `fit` that was stopped goes on as if it had not been, on every Keras backend."""

import os
import pathlib
import re
import shutil

import keras
import numpy as np

from keras_xcons.files import sha256_of_file, unfinished_folder

# With TensorFlow, `fit` makes an iterator as an epoch begins and, unused, another one
# as it ends; the others do not begin to read the second.
_ITERATORS_AN_EPOCH = {"tensorflow": 2}
# Draws of an epoch, as a power of 2, that no other epoch makes; of 4,096 epochs.
_DRAWS_AN_EPOCH = 20
_NAME = re.compile(r"(\d{1,9})\.[0-9a-f]{16}\.weights\.h5")


class Backup(keras.callbacks.Callback):
    """Saves weights and optimizer after each epoch, and goes on from them.

    What `keras.callbacks.BackupAndRestore` does; but that one writes two files in
    place, and a process that is killed meanwhile leaves one torn, or both of different
    epochs. Here a file appears whole, and its name tells the epoch and what it holds,
    by the start of its sha256. The last two are kept: should the last be damaged, the
    one before is gone on from. Keras saves no state of dropout and its like either, so
    each epoch begins with states that follow from its number.

    Args:
        folder: Folder for the files, made when needed. They stay after the training.
        report: Function that is told of a damaged file. Defaults to `print`.

    Example:

    >>> model.fit(dataset, epochs=3, callbacks=[Backup("run/backup")])
    """

    def __init__(self, folder, report=print):
        super().__init__()
        self._folder = pathlib.Path(folder)
        self._report = report
        self._last = None

    def on_train_begin(self, logs=None):
        for epochs, path in reversed(self._files()):
            if _digest(path) == path.name.split(".")[1]:
                self._go_on(epochs, path)
                return
            self._report(f"{path} is damaged, and not used")
        if self._files():
            self._report("No whole checkpoint is left: the run begins anew")

    def on_epoch_begin(self, epoch, logs=None):
        weights = {id(weight) for weight in self.model.weights}
        found = (v for v in self.model.non_trainable_variables if id(v) not in weights)
        states = (v for v in found if "seed" in v.name and tuple(v.shape) == (2,))
        for place, state in enumerate(states):
            # A generator counts in the second number, once a draw.
            state.assign([place, epoch << _DRAWS_AN_EPOCH])

    def on_epoch_end(self, epoch, logs=None):
        self._folder.mkdir(parents=True, exist_ok=True)
        self._check_room()
        with unfinished_folder(self._folder) as work:
            saved = work / "all.weights.h5"
            self.model.save_weights(saved)
            path = self._folder / f"{epoch + 1}.{_digest(saved)}.weights.h5"
            os.replace(saved, path)
        for _, older in self._files():
            if older not in (path, self._last):
                older.unlink()
        self._last = path

    def _check_room(self):
        """Refuses a disk that is full: HDF5 would bring down the process."""
        variables = [*self.model.variables, *self.model.optimizer.variables]
        # Of each the values and what HDF5 keeps beside them.
        needed = sum(4 * int(np.prod(v.shape)) + 4096 for v in variables)
        _, _, free = shutil.disk_usage(self._folder)
        if free < needed:
            raise OSError(
                f"No space is left for a checkpoint of {needed / 1e6:.1f} MB: make "
                "room, and start the run again, which goes on from the last one. "
                f"Received: folder={str(self._folder)!r}"
            )

    def _go_on(self, epochs, path):
        # Or there would be no variables for the optimizer's state.
        self.model.optimizer.build(self.model.trainable_variables)
        try:
            self.model.load_weights(path)
        except Exception as error:
            raise ValueError(
                f"The checkpoint {path} is whole, and does not fit the model; remove "
                f"its folder to begin anew ({error})"
            ) from error
        self.model._initial_epoch = epochs  # as Keras' own callback does
        self._last = path

    def _files(self):
        """The numbers of finished epochs and the files of them, in order."""
        if not self._folder.is_dir():
            return []
        named = ((_NAME.fullmatch(path.name), path) for path in self._folder.iterdir())
        return sorted((int(name[1]), path) for name, path in named if name)


def _digest(path):
    return sha256_of_file(path)[:16]


class SkipSeenEpochs(keras.callbacks.Callback):
    """Moves the data of a continued run on to the epoch that it goes on with.

    Each iterator over a shuffled data set draws another order, and augmentation; a
    continued run would begin with those of the first epoch again.

    Args:
        dataset: The `tf.data.Dataset` that `fit` is given, of known length.

    Example:

    >>> callbacks = [Backup("backup"), SkipSeenEpochs(dataset)]
    >>> model.fit(dataset, epochs=3, callbacks=callbacks)
    """

    def __init__(self, dataset):
        super().__init__()
        self._dataset = dataset
        self._epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        each = _ITERATORS_AN_EPOCH.get(keras.backend.backend(), 1)
        for _ in range(each * (epoch - self._epoch)):
            iter(self._dataset)  # reads nothing yet
        self._epoch = epoch + 1
