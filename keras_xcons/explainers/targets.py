"""The classes that an image is explained for, told from its label."""

import typing

import numpy as np
import tensorflow as tf
from keras import ops


class Targets(typing.NamedTuple):
    """The classes to explain in each image, `(B, P)`, and which of them count."""

    classes: tf.Tensor
    valid: tf.Tensor


def find_targets(labels, num_classes, multi_label=False):
    """The classes whose maps are looked at, told from the labels.

    Args:
        labels: Integers `(B,)` or `(B, 1)`, one-hot `(B, C)`, or, if `multi_label`,
            multi-hot `(B, C)`. Of a model with one output also soft labels in 0..1,
            which stand for the nearer class.
        num_classes: Number of classes C.
        multi_label: Whether labels are multi-hot.

    Returns:
        `Targets(classes, valid)`, int32 and float32 `(B, P)`: `P` is 1, or C if
        `multi_label`.
    """
    if multi_label:
        classes = ops.broadcast_to(ops.arange(num_classes), ops.shape(labels))
        return Targets(classes, ops.cast(labels > 0, "float32"))
    if len(labels.shape) == 2 and labels.shape[-1] == num_classes:
        labels = ops.argmax(labels, axis=-1)
    labels = ops.reshape(labels, (-1, 1))
    if labels.dtype.is_floating:
        labels = ops.round(labels)
    classes = ops.cast(labels, "int32")
    return Targets(classes, ops.ones_like(classes, dtype="float32"))


def most_likely(logits, classes=None):
    """The class with the highest score in each image.

    Args:
        logits: Float array `(B, C)`.
        classes: List of the classes to choose from, or `None` for all.

    Returns:
        Int array `(B,)`.

    Example:

    >>> most_likely([[0.1, 0.9, 0.3]], classes=[0, 2])
    array([2])
    """
    logits = np.asarray(logits)
    if classes is None:
        return logits.argmax(axis=-1)
    return np.asarray(classes)[logits[:, classes].argmax(axis=-1)]


def shown_maps(maps, targets):
    """One map an image: the largest value that any explained class has at a place.

    Args:
        maps: Float tensor `(B, P, h, w)`.
        targets: `Targets`.

    Returns:
        Float32 tensor `(B, h, w)`.
    """
    return ops.max(maps * targets.valid[:, :, None, None], axis=1)
