"""Reads what is evaluated: batches of a data set, checked before any other work."""

import collections
import dataclasses
import zlib

import keras
import numpy as np
import tensorflow as tf

from keras_xcons import checks
from keras_xcons.data import split_sample_ids
from keras_xcons.metrics import truth

# A part of a batch is told by the rank and the last axis of its shape.
_KINDS = {(3, 4): "boxes", (4, 1): "masks"}


@dataclasses.dataclass(frozen=True)
class DataFacts:
    """What a look at every image of a data set has found.

    Attributes:
        num_images: Number of images.
        image_shape: `(height, width, channels)` of each of them.
        truth: `"boxes"`, `"masks"` or `None`, what is known of where objects are.
        multi_label: Whether an image can be of several classes.
        class_counts: Tuple, number of images of each class.
        without_object: Number of images whose boxes have no area, or whose mask is
            empty.
        weighted: Whether the batches hold sample weights, which are not used.
        fingerprints: Of each batch, by which it is known again.
    """

    num_images: int
    image_shape: tuple[int, int, int]
    truth: str | None
    multi_label: bool
    class_counts: tuple[int, ...]
    without_object: int
    weighted: bool
    fingerprints: tuple[int, ...]

    @property
    def image_size(self):
        """`(height, width)` of the images, in pixels."""
        return self.image_shape[:2]


def parts(element):
    """Takes a batch apart.

    Args:
        element: `(images, labels)`, `(images, labels, boxes)`, `(images, labels,
            masks)`, or `(images, labels, sample_weight)`; images with or without
            sample ids.

    Returns:
        `(images, labels, where)`: float32 `(B, H, W, channels)`, the labels, and a
        dict of `"boxes"` or `"masks"`, empty where there are none.

    Raises:
        TypeError: Images are no numbers.
        ValueError: The batch has another form.
    """
    if not isinstance(element, tuple | list) or len(element) not in (2, 3):
        raise ValueError(
            "A data set to evaluate on must have batches (images, labels), (images, "
            "labels, boxes) or (images, labels, masks). Received: batches of "
            f"{_forms(element)}"
        )
    images, _ = split_sample_ids(element[0])
    images, labels = tf.convert_to_tensor(images), tf.convert_to_tensor(element[1])
    if not (images.dtype.is_floating or images.dtype.is_integer):
        raise TypeError(
            "`images` must be numbers, uint8 or float in 0..255. Received: images of "
            f"dtype {images.dtype.name}"
        )
    images = tf.cast(images, tf.float32)
    if len(element) == 2 or len(element[2].shape) == 1:
        return images, labels, {}
    third = element[2]
    if isinstance(third, tf.RaggedTensor):
        third = third.to_tensor(shape=(None, None, 4))  # boxes without area are padding
    shape = tuple(third.shape)
    kind = _KINDS.get((len(shape), shape[-1]))
    if kind is None:
        raise ValueError(
            "The third part of a batch must be boxes (batch, boxes, 4), masks (batch, "
            "height, width, 1) or sample weights (batch,). Received: a third part of "
            f"shape {shape}"
        )
    return images, labels, {kind: np.asarray(third)}


def inspect(dataset, views, multi_label=None, verbose=0):
    """Looks at every batch of a data set, before any model does.

    Args:
        dataset: `tf.data.Dataset` of batches, see `parts`.
        views: Sequence of the `ClassifierView` that will be evaluated.
        multi_label: Whether labels are multi-hot, or `None` to tell it: labels of
            rank 2 in which some image has not exactly one class. Never of a model
            with one output, which tells two classes apart.
        verbose: 1 to show a progress bar. Defaults to 0.

    Returns:
        `DataFacts`.

    Raises:
        TypeError: `dataset` is not a `tf.data.Dataset`, or its images are no
            numbers.
        ValueError: The data set is empty or endless; images, labels, boxes or masks
            are not as described, or do not fit a model.
    """
    _check_dataset(dataset, views)
    view = views[0]
    counts = np.zeros(view.num_classes, "int64")
    found = collections.Counter()
    shape, kind, fingerprints = None, None, []
    progress = keras.utils.Progbar(length(dataset), verbose=verbose, unit_name="batch")
    for element in dataset:
        images, labels, where = parts(element)
        this_shape, this_kind = tuple(images.shape[1:]), next(iter(where), None)
        if fingerprints and (this_shape, this_kind) != (shape, kind):
            raise ValueError(
                "Every batch must have images of one size and the same annotations. "
                f"Received: images of {shape} with {kind}, and of {this_shape} with "
                f"{this_kind}"
            )
        shape, kind = this_shape, this_kind
        for each in views:
            checks.image_batch(images.numpy(), each.input_shape)
        classes, several = _count(labels.numpy(), len(images), view.num_classes)
        counts += classes
        found["several"] += several
        found["indices"] += len(labels.shape) == 1
        found["images"] += len(images)
        _check_truth(where, images.shape)
        if where:
            found["without_object"] += int(np.sum(~truth.has_object(**where)))
        found["weighted"] += len(element) == 3 and not where
        fingerprints.append(_fingerprint(images, labels, where))
        progress.update(len(fingerprints))
    if not found["images"]:
        raise ValueError("The data set to evaluate on is empty. Received: no batch")
    return DataFacts(
        num_images=found["images"],
        image_shape=shape,
        truth=kind,
        multi_label=_is_multi_label(multi_label, found, views),
        class_counts=tuple(int(count) for count in counts),
        without_object=found["without_object"],
        weighted=bool(found["weighted"]),
        fingerprints=tuple(fingerprints),
    )


def batches(dataset, facts):
    """Reads a data set again, which must give what it gave when it was looked at.

    Args:
        dataset: The data set.
        facts: `DataFacts` of it.

    Yields:
        What `parts` makes of each batch.

    Raises:
        ValueError: Images, labels or annotations are others, or in another order.
    """
    expected = iter((*facts.fingerprints, None))
    for element in dataset:
        batch = parts(element)
        if _fingerprint(*batch) != next(expected, None):
            _refuse_change("other batches")
        yield batch
    if next(expected) is not None:
        _refuse_change("fewer batches")


def _refuse_change(what):
    raise ValueError(
        "A data set to evaluate on must give the same images and labels in the same "
        "order each time it is read, without shuffling or augmentation. Received: "
        f"{what} than at the first reading"
    )


def _fingerprint(images, labels, where):
    """A number by which a batch is known again."""
    number = 0
    for values in (images, labels, *where.values()):
        number = zlib.crc32(np.ascontiguousarray(values), number)
    return number


def _is_multi_label(asked, found, views):
    """Whether labels are multi-hot, as the caller says or the labels tell."""
    several, binary = found["several"], any(view.binary for view in views)
    if binary and several:
        raise ValueError(
            "A model with one output takes labels of 0 and 1, one an image. Received: "
            f"{several} images that do not have exactly one of two classes"
        )
    if asked and found["indices"] and not binary:
        raise ValueError(
            f"Multi-hot labels must have the shape (batch, {views[0].num_classes}). "
            "Received: multi_label=True with labels of one index an image"
        )
    if asked is False and several:
        raise ValueError(
            f"{several} images do not have exactly one label. Received: "
            "multi_label=False"
        )
    if binary:
        return False
    return several > 0 if asked is None else asked


def length(dataset):
    """The number of batches of a data set, or `None` where it is not known."""
    count = int(dataset.cardinality())
    return count if count > 0 else None


def class_indices(labels, multi_label):
    """Labels in the form that metrics take.

    Args:
        labels: Integers `(B,)`, or one-hot or multi-hot `(B, C)`.
        multi_label: Whether several classes can be right.

    Returns:
        Int32 tensor `(B,)`, or float32 `(B, C)` if `multi_label`.
    """
    if multi_label:
        labels = labels if len(labels.shape) == 2 else labels[:, None]
        return tf.cast(labels, tf.float32)
    if len(labels.shape) == 2:
        one = labels.shape[1] == 1
        labels = labels[:, 0] if one else tf.argmax(labels, axis=-1)
    return tf.cast(labels, tf.int32)


def _check_dataset(dataset, views):
    if not isinstance(dataset, tf.data.Dataset):
        raise TypeError(
            "A data set to evaluate on must be a tf.data.Dataset of batches, or the "
            f"name or folder of one. Received: dataset of type {type(dataset).__name__}"
        )
    if int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            "A data set to evaluate on must end. Received: an endless dataset"
        )
    sizes = sorted({view.num_classes for view in views})
    if len(sizes) > 1:
        raise ValueError(
            "Models are compared over the same classes. Received: models with "
            f"{' and '.join(str(size) for size in sizes)} classes"
        )


def _count(labels, size, num_classes):
    """Checks the labels of a batch.

    Returns:
        Number of images of each class, and of images without exactly one class.
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 1:
        if labels.dtype.kind == "f" and np.all(labels == np.floor(labels)):
            labels = labels.astype("int64")
        labels = checks.class_labels(labels, size, num_classes)
        return np.bincount(labels, minlength=num_classes), 0
    if labels.shape != (size, num_classes):
        raise ValueError(
            f"`labels` must be integers ({size},), or zeros and ones ({size}, "
            f"{num_classes}), as the model has {num_classes} classes. Received: labels "
            f"of shape {labels.shape}"
        )
    if not np.all((labels == 0) | (labels == 1)):
        raise ValueError(
            "Multi-hot `labels` must be 0 or 1. Received: labels with minimum "
            f"{labels.min()} and maximum {labels.max()}"
        )
    labels = labels.astype("int64")
    return labels.sum(axis=0), int(np.sum(labels.sum(axis=1) != 1))


def _check_truth(where, shape):
    if "boxes" in where:
        truth.check_boxes(where["boxes"], shape[0])
    if "masks" in where:
        truth.check_masks(where["masks"], shape[0], tuple(shape[1:3]))


def _forms(element):
    if isinstance(element, tuple | list):
        return f"{len(element)} parts"
    return f"one part of type {type(element).__name__}"
