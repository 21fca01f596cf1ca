"""Checks of data in arrays: all of it at once, or a batch as it is given out."""

import math
import types
import warnings

import keras
import numpy as np
import tensorflow as tf

from keras_xcons import checks
from keras_xcons.data import split_sample_ids, unlabelled_of
from keras_xcons.data.pipeline_errors import MARK
from keras_xcons.methods.labels import check_labels
from keras_xcons.methods.specs import (
    check_keys,
    check_size,
    check_spec,
    require_ids,
)


def trained_count(x, validation_split=None):
    """How many images of arrays a `fit` trains on.

    Args:
        x: Array of images, or a dict of one under `"image"`.
        validation_split: Share that `fit` holds out, of which Keras takes the last
            ones; `None` or 0 for none.

    Returns:
        int.
    """
    count = len(split_sample_ids(x)[0])
    return math.floor(count * (1.0 - validation_split)) if validation_split else count


def check_batch(batch, trainer, unlabelled, first=True):
    """Refuses a batch that a trainer cannot learn from.

    Args:
        batch: `(images, labels)` or `(images, labels, sample_weight)`, of arrays.
            The images may be a dict, see `keras_xcons.data.with_sample_ids`.
        trainer: The `keras_xcons.methods.TrainingMethod`.
        unlabelled: Whether -1 stands for an image without a label.
        first: Whether it is the first of an epoch, which tells the size of the others.
            Defaults to `True`.

    Raises:
        TypeError: Images are no numbers.
        ValueError: Something is not as the training model takes it.
    """
    x, y, weights = keras.utils.unpack_x_y_sample_weight(batch)
    check_keys(x, trainer)
    images, ids = split_sample_ids(x)
    more = unlabelled_of(x)
    for each in (images,) if more is None else (images, more):
        checks.image_batch(each, trainer.view.input_shape)
    require_ids(ids, trainer)
    labels = labels_of(y)
    if ids is not None and trainer.options.needs_sample_ids:
        checks.class_labels(ids, len(images), trainer.options.num_samples, "sample_id")
    check_spec(images, labels, trainer)
    check_labels(labels, len(images), trainer, unlabelled)
    if first:
        check_size(len(images), trainer)
    if weights is not None:
        _check_weights(np.asarray(weights))


def _check_weights(weights):
    if weights.dtype.kind not in "uifb" or not np.all(np.isfinite(weights)):
        kind = weights.dtype.name
        with_others = "others" if kind[0] in "uifb" else f"values of dtype {kind}"
        raise ValueError(
            f"sample weights must be finite. Received: sample_weight with {with_others}"
        )


def check_evaluated(batch, trainer):
    """Refuses images and labels of an evaluation that are not as the model takes them.

    Args:
        batch: As for `check_batch`; the labels may be missing.
        trainer: The `keras_xcons.methods.TrainingMethod`.

    Raises:
        TypeError: Images are no numbers.
        ValueError: Something is not as the model takes it.
    """
    x, y, _ = keras.utils.unpack_x_y_sample_weight(batch)
    if is_array(x):
        check_keys(x, trainer)
        checks.image_batch(split_sample_ids(x)[0], trainer.view.input_shape)
    if is_array(y):
        labels = labels_of(y)
        check_labels(labels, len(labels), trainer, False)


def labels_of(y):
    """Labels as a NumPy array.

    Args:
        y: Array or tensor.

    Returns:
        NumPy array.

    Raises:
        ValueError: There are none, or they are no numbers.
    """
    labels = np.asarray(y)
    if y is None or labels.dtype.kind not in "uifb":
        kind = "none" if y is None else f"labels of dtype {labels.dtype}"
        raise ValueError(
            "Labels must be numbers, beside the images: `fit(images, labels)`. "
            f"Received: {kind}"
        )
    return labels


def is_array(value):
    """Whether it is an array or tensor, or a dict of images and ids."""
    return isinstance(value, dict) or hasattr(value, "__array__")


def alone(value):
    """An array that came as the only one of a list, as Keras takes it, too."""
    single = isinstance(value, list | tuple) and len(value) == 1
    return value[0] if single and is_array(value[0]) else value


def batch_by_batch(data, check):
    """Checks each batch as it is given out.

    Args:
        data: What Keras takes as `x`. A `keras.utils.PyDataset` or a generator is
            checked, anything else is not.
        check: Function of a batch, and of whether it is the first one, that raises a
            `ValueError` or `TypeError`.

    Returns:
        Data that Keras takes in the place of `data`.
    """

    def checked(batch, first):
        try:
            check(batch, first)
        except (TypeError, ValueError) as error:
            # Keras gives batches out inside a pipeline, which wraps what is raised.
            raise type(error)(f"{MARK}{error}") from None
        return batch

    if isinstance(data, keras.utils.PyDataset):
        return _CheckedPyDataset(data, checked)
    if isinstance(data, types.GeneratorType):
        return (checked(batch, not place) for place, batch in enumerate(data))
    if isinstance(data, tf.distribute.DistributedDataset):
        raise ValueError(
            "Pass the tf.data.Dataset itself, whose batches are checked; under a "
            "strategy Keras distributes it. Received: a DistributedDataset"
        )
    if data is not None:
        warnings.warn(
            f"Batches of a {type(data).__name__} are not checked: images must be in "
            "0..255, and labels the model's classes.",
            stacklevel=4,
        )
    return data


class _CheckedPyDataset(keras.utils.PyDataset):
    """A `keras.utils.PyDataset` whose batches are checked as they are given out."""

    def __init__(self, data, checked):
        super().__init__(data.workers, data.use_multiprocessing, data.max_queue_size)
        self._data, self._checked = data, checked

    @property
    def num_batches(self):
        return self._data.num_batches

    def __getitem__(self, index):
        return self._checked(self._data[index], index == 0)

    def on_epoch_begin(self):
        self._data.on_epoch_begin()

    def on_epoch_end(self):
        self._data.on_epoch_end()
