"""Checks what is fed to a training model, batch by batch, in the input pipeline.

The checks run as part of `tf.data`, so they see every batch before the step that
would learn from it, also where the step is compiled by XLA, which drops asserts.
"""

import contextlib
import re
import warnings

import numpy as np
import tensorflow as tf

from keras_xcons import checks
from keras_xcons.data import split_sample_ids, unlabelled_of
from keras_xcons.data.pipeline_errors import plain_message
from keras_xcons.methods.labels import (
    MARK,
    check_labels,
    first_outside,
    refusals,
    refuse,
)

_REFUSED = re.compile(r"([^\]'\n]*)(?:\] \[(-?[\d.e+-]+)\])?")


def checked(x, y, trainer, batch_size=None, class_weight=None):
    """Checks training data, at once or as it is read.

    Args:
        x: What `fit` got as `x`: a `tf.data.Dataset`, or an array of images, or a
            dict of `image`, `sample_id` and what else the method takes. Other kinds
            pass unchecked.
        y: What `fit` got as `y`.
        trainer: The `keras_xcons.methods.TrainingMethod`, whose view, options and
            class attributes say what is taken.
        batch_size: What `fit` got as `batch_size`, for arrays.
        class_weight: What `fit` got as `class_weight`, which knows no label -1.

    Returns:
        `x`, with a check mapped over it if it is a dataset.

    Raises:
        ValueError: Sample ids are missing, or images, labels or ids are not as the
            training model takes them.
    """
    unlabelled = trainer.takes_unlabelled and class_weight is None
    if isinstance(x, tf.data.Dataset):
        spec = x.element_spec
        if not isinstance(spec, tuple) or len(spec) < 2:
            raise ValueError(
                "The training dataset must give (images, labels) or (images, labels, "
                f"sample_weight). Received: elements of {spec}"
            )
        _check_keys(spec[0], trainer)
        images, ids = split_sample_ids(spec[0])
        _check_spec(images, spec[1], trainer)
        more = unlabelled_of(spec[0])
        if more is not None:
            _check_spec(more, spec[1], trainer)
        _check_size(images.shape[0], trainer)
        _require_ids(ids, trainer)
        return x.enumerate().map(
            lambda number, batch: _assert_batch(number, batch, trainer, unlabelled),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
    if isinstance(x, np.ndarray | tf.Tensor | dict):
        _check_keys(x, trainer)
        if unlabelled_of(x) is not None:
            raise ValueError(
                "Unlabelled images come in a dataset, batch by batch, see "
                "`keras_xcons.data.with_unlabelled`. Received: arrays with the keys "
                f"{sorted(x)}"
            )
        images, ids = split_sample_ids(x)
        checks.image_batch(images, trainer.view.input_shape)
        _check_size(min(batch_size or 32, len(images)), trainer)
        _require_ids(ids, trainer)
        labels = np.asarray(y)
        if ids is not None and trainer.options.needs_sample_ids:
            checks.class_labels(
                ids, len(labels), trainer.options.num_samples, "sample_id"
            )
        _check_spec(images, labels, trainer)
        check_labels(labels, len(images), trainer, unlabelled)
    return x


def _check_keys(x, trainer):
    """Refuses a dict with a key that nothing would read."""
    if not isinstance(x, dict):
        return
    accepted = ("image", *trainer.keys)
    for name in x:
        if name not in accepted:
            raise ValueError(checks.unknown("key of a batch", name, accepted))
    if "image" not in x:
        raise ValueError(
            "The dict of a batch must hold the images under 'image'. Received: keys "
            f"{sorted(x)}"
        )


@contextlib.contextmanager
def plain_errors():
    """Turns the pipeline's refusal of a batch into a one-line `ValueError`."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        _, mark, rest = str(error).partition(MARK)
        if not mark:
            message = plain_message(str(error))
            if message is None:
                raise
            raise ValueError(message) from None
        # TensorFlow writes what it was given in brackets, one pair each.
        message, value = _REFUSED.match(rest).groups()
        raise ValueError(message.strip() + (value or "")) from None


def _require_ids(ids, trainer):
    if trainer.options.needs_sample_ids and ids is None:
        raise ValueError(
            f"{trainer.method.title} needs sample ids with these options. Wrap the "
            "dataset with `keras_xcons.data.with_sample_ids` before shuffling and "
            "batching. Received: images without a 'sample_id'"
        )


def _check_spec(images, labels, trainer):
    """Ranks and channels, which a dataset tells before it is read."""
    view = trainer.view
    rank, channels = len(images.shape), view.input_shape[-1]
    if rank != 4 or images.shape[-1] not in (None, channels):
        raise ValueError(
            f"Images must be batches of (batch, height, width, {channels}). Received: "
            f"shape {tuple(images.shape)}; is the dataset batched?"
        )
    trainer.check_image_size(tuple(images.shape[1:3]))
    label_shape = tuple(labels.shape)
    accepted, wanted = [(), (1,), (None,)], "(batch,) integers"
    if trainer.options.multi_label:
        accepted = [(view.num_classes,)]
        wanted = f"(batch, {view.num_classes}) multi-hot"
    elif view.binary:
        wanted = "(batch,) or (batch, 1) of 0 and 1, as the model has one output"
    else:
        accepted.append((view.num_classes,))
        wanted += f" or (batch, {view.num_classes}) one-hot"
    if label_shape[1:] not in accepted:
        raise ValueError(f"Labels must be {wanted}. Received: shape {label_shape}")


def _check_size(count, trainer):
    """Refuses batches that are known to be too small."""
    if count is not None and count < trainer.fewest_images:
        raise ValueError(f"{too_small(trainer)} Received: batch_size={count}")


def too_small(trainer):
    """What to tell of batches that are smaller than a method needs.

    Args:
        trainer: The `keras_xcons.methods.TrainingMethod`.

    Returns:
        A sentence.
    """
    return (
        f"{trainer.method.title} compares the images of a batch, which must be at "
        f"least {trainer.fewest_images}."
    )


def _assert_batch(number, batch, trainer, unlabelled):
    options = trainer.options
    images, ids = split_sample_ids(batch[0])
    labels = batch[1]
    values = tf.cast(images, tf.float32)
    more = unlabelled_of(batch[0])
    if more is not None:
        values = tf.concat([values, tf.cast(more, tf.float32)], axis=0)
    if images.dtype.is_floating:
        # Python is asked only about batches that may well be in 0..1.
        low = tf.reduce_all((values >= 0.0) & (values <= 1.0))
        values = tf.cond(
            low & tf.reduce_any(values > 0.0), lambda: _warned(values), lambda: values
        )
    inside = tf.reduce_all((values >= 0.0) & (values <= 255.0))
    asserts = [
        refuse(
            inside,
            "images must be finite and within 0..255; preprocessing belongs inside "
            "the model. Received: images with other values",
        )
    ]
    if trainer.fewest_images > 1:
        count = tf.shape(images)[0]
        # The last one of an epoch may be smaller; the first tells the size.
        enough = (number > 0) | (count >= trainer.fewest_images)
        refusal = f"{too_small(trainer)} Received: batch_size="
        asserts.append(refuse(enough, refusal, tf.cast(count, tf.float32)))
    asserts += refusals(labels, trainer, unlabelled)
    if len(batch) > 2:
        finite = tf.reduce_all(tf.math.is_finite(tf.cast(batch[2], tf.float32)))
        message = "sample weights must be finite. Received: sample_weight with others"
        asserts.append(refuse(finite, message))
    if options.needs_sample_ids:
        known = (ids >= 0) & (ids < options.num_samples)
        asserts.append(
            refuse(
                tf.reduce_all(known),
                f"sample ids must be within 0..{options.num_samples - 1}, as "
                f"num_samples={options.num_samples} says; pass the number of all "
                "samples of the data set. Received: sample_id=",
                first_outside(ids, known),
            )
        )
    with tf.control_dependencies(asserts):
        return tf.nest.map_structure(tf.identity, batch)


def _warned(images):
    """The images, after a warning if they are in 0..1."""
    return tf.ensure_shape(
        tf.numpy_function(
            checks.warn_of_unit_range, [images], tf.float32, stateful=False
        ),
        images.shape,
    )


def warn_of_logits(view, loss):
    """Warns where a loss that wants probabilities would get logits.

    Keras would cut the logits to 0..1 and train on nonsense without a word.

    Args:
        view: `ClassifierView` of the classifier.
        loss: What `compile` got as `loss`.
    """
    wants = isinstance(loss, str) and "crossentropy" in loss
    wants = wants or getattr(loss, "from_logits", True) is False
    if wants and view.activation is None:
        kind = "Binary" if view.binary else "SparseCategorical"
        warnings.warn(
            "The classifier returns logits, but the loss expects probabilities. Use "
            f"keras.losses.{kind}Crossentropy(from_logits=True) or its like. "
            f"Received: loss={loss!r}",
            stacklevel=3,
        )
