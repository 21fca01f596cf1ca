"""Keras callbacks that the training methods need."""

import keras
import numpy as np

from keras_xcons.data import arguments
from keras_xcons.methods.sample_table import UNSEEN


class EpochCounter(keras.callbacks.Callback):
    """Tells a model that has an `epoch` variable which epoch it is in.

    A `train_step` does not know the epoch; warm-up needs it. The number that `fit`
    counts is right after `BackupAndRestore` too.
    """

    def on_epoch_begin(self, epoch, logs=None):
        self.model.epoch.assign(epoch)


class EpochReweighting(keras.callbacks.Callback):
    """Refreshes the sample table of a training model every few epochs.

    `XConsModel(schedule="epoch")` adds this callback by itself, over the data that
    it is fitted on. Add it yourself to sweep other data, such as the same samples
    without augmentation.

    Args:
        dataset: `tf.data.Dataset` of batches with sample ids, see
            `keras_xcons.data.with_sample_ids`, or another iterable of such batches
            that can be read again.
        every: Number of epochs from one sweep to the next. Defaults to 1.

    Logs: `consistency` and `zero_gradient` of the last sweep, NaN before the first.

    Raises:
        ValueError: `every` is no int of at least 1.

    Example:

    >>> sweep = EpochReweighting(train_ds, every=2)
    >>> trainer.fit(train_ds, epochs=10, callbacks=[sweep])
    """

    def __init__(self, dataset, every=1):
        super().__init__()
        arguments.check_count(every, "every")
        self.dataset = dataset
        self.every = every

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every == 0:
            self.model.refresh_table(self.dataset)
        if logs is not None:
            # In every epoch: a file of logs has the columns of the first.
            found = np.asarray(self.model.last_sweep)
            told = np.where(found == UNSEEN, np.nan, found).tolist()
            logs |= zip(("consistency", "zero_gradient"), told, strict=True)
