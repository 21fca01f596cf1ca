"""Checks what is fed to a training model, at once or batch by batch.

The checks of a `tf.data.Dataset` run as part of it, so they see every batch before the
step that would learn from it, also where the step is compiled by XLA, which drops
asserts.
"""

import contextlib
import re
import warnings

import numpy as np
import tensorflow as tf

from keras_xcons import checks
from keras_xcons.data import split_sample_ids, unlabelled_of
from keras_xcons.data.pipeline_errors import plain_message
from keras_xcons.methods.array_inputs import (
    alone,
    batch_by_batch,
    check_batch,
    check_evaluated,
    is_array,
    trained_count,
)
from keras_xcons.methods.labels import MARK, first_outside, refusals, refuse
from keras_xcons.methods.losses import the_loss
from keras_xcons.methods.specs import (
    check_keys,
    check_size,
    check_spec,
    require_ids,
    settled,
    too_small,
)

_REFUSED = re.compile(r"([^\]'\n]*)(?:\] \[(-?[\d.e+-]+|nan|inf)\])?")


def checked(x, y, trainer, batch_size=None, class_weight=None, **given):
    """Checks training data, at once or as it is read.

    Args:
        x: What `fit` got as `x`: a `tf.data.Dataset`, a `keras.utils.PyDataset`, a
            generator, or an array of images, or a dict of `image`, `sample_id` and
            what else the method takes. Other kinds pass unchecked.
        y: What `fit` got as `y`.
        trainer: The `keras_xcons.methods.TrainingMethod`, whose view, options and
            class attributes say what is taken.
        batch_size: What `fit` got as `batch_size`, for arrays.
        class_weight: What `fit` got as `class_weight`, which knows no label -1.
        **given: Of the arguments of `fit`, `sample_weight` and `validation_split` are
            looked at.

    Returns:
        `(x, y)`, with a check of each batch where `x` is read batch by batch.

    Raises:
        ValueError: Sample ids are missing, or images, labels or ids are not as the
            training model takes them.
    """
    unlabelled = trainer.takes_unlabelled and not class_weight
    if isinstance(x, tf.data.Dataset):
        return _checked_dataset(x, trainer, unlabelled), y
    x, y = alone(x), alone(y)
    if not is_array(x):
        return batch_by_batch(
            x, lambda batch, first: check_batch(batch, trainer, unlabelled, first)
        ), y
    if unlabelled_of(x) is not None:
        raise ValueError(
            "Unlabelled images come in a dataset, batch by batch, see "
            "`keras_xcons.data.with_unlabelled`. Received: arrays with the keys "
            f"{sorted(x)}"
        )
    check_batch((x, y, given.get("sample_weight")), trainer, unlabelled)
    count = trained_count(x, given.get("validation_split"))
    if given.get("validation_split"):
        check_evaluated((None, np.asarray(y)[count:]), trainer)
    check_size(min(batch_size or 32, count), trainer)
    return x, y


def checked_evaluation(x, y, trainer):
    """Checks the labels that a trainer is evaluated with, all of which must be known.

    Args:
        x: What `evaluate` got as `x`, or a part of `validation_data`, as for `checked`.
        y: What it got as `y`.
        trainer: The `keras_xcons.methods.TrainingMethod`.

    Returns:
        `(x, y)`, as `checked` does.

    Raises:
        ValueError: A label is none of the model's classes.
    """
    if not isinstance(x, tf.data.Dataset):
        x, y = alone(x), alone(y)
        check_evaluated((x, y), trainer)
        if is_array(x) or x is None:
            return x, y
        return batch_by_batch(
            x, lambda batch, first: check_evaluated(batch, trainer)
        ), y
    x = settled(x, trainer)
    spec = x.element_spec
    if not isinstance(spec, tuple) or len(spec) < 2:
        return x, y
    check_keys(spec[0], trainer)
    check_spec(split_sample_ids(spec[0])[0], spec[1], trainer)

    def assert_batch(*batch):
        asserts = [_refuse_images(split_sample_ids(batch[0])[0])]
        asserts += refusals(batch[1], trainer, False)
        with tf.control_dependencies(asserts):
            return tf.nest.map_structure(tf.identity, batch)

    return x.map(assert_batch, num_parallel_calls=tf.data.AUTOTUNE), y


def _checked_dataset(data, trainer, unlabelled):
    data = settled(data, trainer)
    spec = data.element_spec
    if not isinstance(spec, tuple) or len(spec) < 2:
        raise ValueError(
            "The training dataset must give (images, labels) or (images, labels, "
            f"sample_weight). Received: elements of {spec}"
        )
    check_keys(spec[0], trainer)
    images, ids = split_sample_ids(spec[0])
    more = unlabelled_of(spec[0])
    for each in (images,) if more is None else (images, more):
        check_spec(each, spec[1], trainer)
    check_size(images.shape[0], trainer)
    require_ids(ids, trainer)
    return data.enumerate().map(
        lambda number, batch: _assert_batch(number, batch, trainer, unlabelled),
        num_parallel_calls=tf.data.AUTOTUNE,
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
    except (TypeError, ValueError) as error:
        # Keras looks at the first batches of a generator before its pipeline does.
        message = plain_message(str(error))
        if message is None:
            raise
        raise type(error)(message) from None


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
    asserts = [_refuse_images(values)]
    if trainer.fewest_images > 1:
        count = tf.shape(images)[0]
        # The last one of an epoch may be smaller; the first tells the size.
        enough = (number > 0) | (count >= trainer.fewest_images)
        refusal = f"{too_small(trainer)} Received: batch_size="
        asserts.append(refuse(enough, refusal, tf.cast(count, tf.float32)))
    also = ""
    if trainer.takes_unlabelled and not unlabelled:
        also = "; -1 for none is for training without `class_weight`"
    asserts += refusals(labels, trainer, unlabelled, also)
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


def _refuse_images(images):
    values = tf.cast(images, tf.float32)
    return refuse(
        tf.reduce_all((values >= 0.0) & (values <= 255.0)),
        "images must be finite and within 0..255; preprocessing belongs inside "
        "the model. Received: images with other values",
    )


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
    loss = the_loss(loss)
    keras_own = getattr(loss, "__module__", "").startswith("keras.")
    name = getattr(loss, "__name__", "") if keras_own else loss
    wants = isinstance(name, str) and "crossentropy" in name
    wants = wants or getattr(loss, "from_logits", True) is False
    if wants and view.activation is None:
        kind = "Binary" if view.binary else "SparseCategorical"
        warnings.warn(
            "The classifier returns logits, but the loss expects probabilities. Use "
            f"keras.losses.{kind}Crossentropy(from_logits=True) or its like. "
            f"Received: loss={loss!r}",
            stacklevel=3,
        )
