"""A `fit` that was stopped goes on as if it had not been, on every Keras backend."""

import pathlib

import keras

from keras_xcons.writing import whole_file

# With TensorFlow, `fit` makes an iterator as an epoch begins and, unused, another one
# as it ends; the others do not begin to read the second.
_ITERATORS_AN_EPOCH = {"tensorflow": 2}


class Backup(keras.callbacks.Callback):
    """Saves weights and optimizer after each epoch, and goes on from them.

    What `keras.callbacks.BackupAndRestore` does; but that one writes two files in
    place, and a process that is killed meanwhile leaves one torn, or both of different
    epochs. Here a file appears whole, and its name tells the epoch.

    Args:
        folder: Folder for the file, made when needed. It stays after the training.

    Example:

    >>> model.fit(dataset, epochs=3, callbacks=[Backup("run/backup")])
    """

    def __init__(self, folder):
        super().__init__()
        self._folder = pathlib.Path(folder)

    def on_train_begin(self, logs=None):
        epochs = self._epochs()
        if epochs:
            # Or there would be no variables for the optimizer's state.
            self.model.optimizer.build(self.model.trainable_variables)
            self.model.load_weights(self._path(max(epochs)))
            self.model._initial_epoch = max(epochs)  # as Keras' own callback does

    def on_epoch_end(self, epoch, logs=None):
        self._folder.mkdir(parents=True, exist_ok=True)
        with whole_file(self._path(epoch + 1)) as unfinished:
            self.model.save_weights(unfinished)
        for older in self._epochs() - {epoch + 1}:
            self._path(older).unlink()

    def _path(self, epochs):
        return self._folder / f"{epochs}.weights.h5"

    def _epochs(self):
        """Numbers of finished epochs that there are files of."""
        files = self._folder.glob("[0-9]*.weights.h5")
        return {int(path.name.partition(".")[0]) for path in files}


class Forward(keras.callbacks.Callback):
    """Moves the data of a continued run on to the epoch that it goes on with.

    Each iterator over a shuffled data set draws another order, and augmentation; a
    continued run would begin with those of the first epoch again.

    Args:
        dataset: The `tf.data.Dataset` that `fit` is given, of known length.

    Example:

    >>> model.fit(dataset, epochs=3, callbacks=[Backup("backup"), Forward(dataset)])
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
