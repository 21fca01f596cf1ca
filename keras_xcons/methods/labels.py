"""Checks of labels, at once or in the pipeline that feeds a model."""

import numpy as np
import tensorflow as tf

from keras_xcons import checks

# What the pipeline's own refusals begin with, among TensorFlow's words.
MARK = "keras_xcons refused a batch: "
_SHARES = "one-hot and multi-hot labels must be within 0..1."
_ONE_CLASS = (
    "one-hot labels must sum to 1; for images of several classes, or of none, pass "
    "`multi_label=True`. Received: labels with sum="
)
# Of shares that were rounded to a half type.
_NEAR = 0.02


def check_labels(labels, count, trainer, unlabelled):
    """Refuses an array of labels with one that is none of the model's.

    Args:
        labels: NumPy array, of the label or one-hot or multi-hot labels of each image.
        count: How many images there are.
        trainer: The `keras_xcons.methods.TrainingMethod`.
        unlabelled: Whether -1 stands for an image without a label.

    Raises:
        ValueError: There is one.
    """
    if not _are_indices(labels.shape, trainer):
        if not np.all((labels >= 0) & (labels <= 1)):
            raise ValueError(f"{_SHARES} Received: labels with other values")
        sums = labels.astype("float64").sum(axis=-1)
        if not trainer.options.multi_label and np.abs(sums - 1.0).max() > _NEAR:
            raise ValueError(f"{_ONE_CLASS}{sums[np.abs(sums - 1.0).argmax()]:g}")
        return
    indices = labels.reshape(-1)
    if unlabelled:
        indices = np.where(indices == -1, 0, indices)
    if trainer.view.binary:
        _check_soft(indices)
        indices = np.round(indices)
    if indices.dtype.kind == "f" and not np.all(indices == np.floor(indices)):
        raise ValueError(
            "`labels` must be whole numbers, the index of a class. Received: labels "
            "with other values"
        )
    # Keras takes class indices as floats and booleans, too.
    indices = indices.astype("int64") if indices.dtype.kind in "fb" else indices
    checks.class_labels(indices, count, trainer.view.num_classes)


def refusals(labels, trainer, unlabelled, also=""):
    """Asserts that refuse a batch of labels with one that is none of the model's.

    Args:
        labels: Tensor of labels.
        trainer: As for `check_labels`.
        unlabelled: As for `check_labels`.
        also: What the message adds to what is accepted.

    Returns:
        List of operations.
    """
    view = trainer.view
    if not _are_indices(labels.shape, trainer):
        shares = tf.cast(labels, tf.float32)
        inside = tf.reduce_all((shares >= 0.0) & (shares <= 1.0))
        found = [refuse(inside, f"{_SHARES} Received: labels with other values")]
        if not trainer.options.multi_label:
            sums = tf.reduce_sum(shares, axis=-1)
            near = tf.abs(sums - 1.0) <= _NEAR
            wrong = first_outside(sums, near)
            found.append(refuse(tf.reduce_all(near), _ONE_CLASS, wrong))
        return found
    told = tf.cast(labels, tf.float32)
    # Labels of a model with one output may be soft, but not 1.5.
    below = told <= 1.0 if view.binary else told < view.num_classes
    whole = tf.constant(True) if view.binary else told == tf.floor(told)
    known = (told >= 0.0) & below & whole
    if unlabelled:
        known, also = known | (told == -1.0), " or -1 for none"
    message = (
        f"labels must be within 0..{view.num_classes - 1}, the classes of the "
        f"model{also}. Received: label="
    )
    return [refuse(tf.reduce_all(known), message, first_outside(told, known))]


def refuse(condition, message, *value):
    """An assert that `keras_xcons.methods.inputs.plain_errors` turns into one line.

    Args:
        condition: Boolean scalar tensor.
        message: What is refused where it is false.
        *value: Scalar tensor that is told after the message.

    Returns:
        Operation.
    """
    return tf.debugging.Assert(condition, [MARK + message, *value])


def _are_indices(shape, trainer):
    """Whether labels are class indices, and not one-hot or multi-hot."""
    several = trainer.options.multi_label
    return not several and tuple(shape[1:]) != (trainer.view.num_classes,)


def _check_soft(labels):
    """Labels of a model with one output may be soft, but not beyond its classes."""
    if labels.size and not (labels.min() >= 0 and labels.max() <= 1):
        raise ValueError(
            "`labels` must be within 0..1, as the model has one output. Received: "
            f"labels with minimum {labels.min()} and maximum {labels.max()}"
        )


def first_outside(values, known):
    """The first of values that are not known.

    Args:
        values: Tensor.
        known: Boolean tensor of the same shape.

    Returns:
        Scalar tensor, 0 where all are known.
    """
    outside = tf.boolean_mask(values, tf.logical_not(known))
    return tf.concat([outside, tf.zeros(1, outside.dtype)], 0)[0]
