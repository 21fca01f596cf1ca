"""The data that prototypes are taken from, checked as they are read."""

import numpy as np
import tensorflow as tf

from keras_xcons import checks
from keras_xcons.data import split_sample_ids
from keras_xcons.explainers import find_targets


def check_dataset(dataset):
    """Refuses data that are no finite dataset of images and labels.

    Args:
        dataset: What the caller passed.

    Raises:
        TypeError: It is no `tf.data.Dataset`.
        ValueError: It is endless, or does not give images and labels.

    Example:

    >>> check_dataset(keras_xcons.data.load("shapes", image_size=64))
    """
    if not isinstance(dataset, tf.data.Dataset):
        raise TypeError(
            "`dataset` must be a tf.data.Dataset of (images, labels). Received: "
            f"dataset of type {type(dataset).__name__}"
        )
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            "All of the data are gone through once, so they must not be endless. "
            "Received: an endless dataset"
        )
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) < 2:
        raise ValueError(
            "`dataset` must give batches (images, labels). Received: elements of "
            f"{spec}"
        )


def checked_batches(dataset, view):
    """Reads a dataset once, and refuses a batch that is not as described.

    Args:
        dataset: `tf.data.Dataset` of batches `(images, labels)`, the images with
            sample ids or without, the labels integers `(B,)` or one-hot `(B, C)`.
        view: `PrototypeView` that the images and labels must fit.

    Yields:
        `(images, ids, classes)`: float32 tensor `(B, H, W, 3)`, and two int32
        tensors `(B,)`. Without sample ids they are the places in the dataset.

    Raises:
        TypeError, ValueError: As `check_dataset`; or images or labels do not fit.

    Example:

    >>> for images, ids, classes in checked_batches(dataset, prototype_view(model)):
    ...     patches = view.space(images)
    """
    check_dataset(dataset)
    seen, num_classes = 0, view.dense.units
    for x, labels, *_ in dataset:
        images, ids = split_sample_ids(x)
        images = checks.image_batch(images, view.model.input_shape[1:])
        classes = np.asarray(find_targets(labels, num_classes).classes)[:, 0]
        classes = checks.class_labels(classes, len(images), num_classes)
        if ids is None:
            ids = np.arange(seen, seen + len(images))
            seen += len(images)
        yield tf.constant(images), tf.cast(ids, tf.int32), tf.constant(classes)
