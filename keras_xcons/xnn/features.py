"""The features and scores of a data set, computed once and kept for a fit."""

import functools
import tempfile

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_xcons import checks

# Of the features of a data set; above it they lie on disk.
_IN_MEMORY = 2**29


class Features(keras.utils.PyDataset):
    """The features and scores of a data set, in batches, in an order of its own.

    Args:
        features: Float32 array `(N, D)`, in memory or on disk.
        scores: Float32 array `(N, C)`.
        batch_size: int.
        seed: int.
    """

    def __init__(self, features, scores, batch_size, seed):
        super().__init__()
        self._parts, self._size = (features, scores), batch_size
        self._random = np.random.default_rng(seed)
        self._order = self._random.permutation(len(features))

    def __len__(self):
        # A rest of one image has no pairs.
        return max(1, len(self._order) // self._size)

    def __getitem__(self, index):
        rows = self._order[index * self._size : (index + 1) * self._size]
        return tuple(np.asarray(part[np.sort(rows)]) for part in self._parts)

    def on_epoch_end(self):
        self._order = self._random.permutation(len(self._order))


def feature_pass(view, classes):
    """What computes the features of images, and scores.

    Args:
        view: `ClassifierView`.
        classes: List of ints, the classes whose scores are computed.

    Returns:
        A function of images `(B, H, W, channels)` in 0..255, which is compiled once,
        to float32 tensors `(B, D)`, the mean of the feature map over all places, and
        `(B, C)`.
    """

    @functools.partial(tf.function, reduce_retracing=True, autograph=False)
    def run(images):
        activations, logits, _ = view(images)
        features = ops.mean(ops.cast(activations, "float32"), axis=(1, 2))
        return features, ops.take(ops.cast(logits, "float32"), classes, axis=1)

    return lambda images: run(tf.cast(images, tf.float32))


def collected(view, classes, dataset, verbose=0):
    """The features, scores and labels of all images of a data set.

    Args:
        view: `ClassifierView`.
        classes: List of ints, the classes whose scores are kept.
        dataset: Iterable of batches `(images, labels)`, read once.
        verbose: 1 to show progress. Defaults to 0.

    Returns:
        `(features, scores, belongs)`: float32 `(N, D)`, `(N, C)`, and boolean
        `(N, classes of the classifier)`, the classes of each image. Features of more
        than half a gigabyte lie in a temporary file.

    Raises:
        TypeError, ValueError: The data set is no batches of images and labels, is
            empty, or images or labels are not as the classifier takes them.
    """
    check_dataset(dataset)
    width = view.flat.outputs[0].shape[-1]
    run = feature_pass(view, classes)
    features, scores, labels = _Rows(width), [], []
    progress = keras.utils.Progbar(None, verbose=verbose, unit_name="batch")
    for number, batch in enumerate(dataset, 1):
        if not isinstance(batch, tuple | list) or len(batch) < 2:
            raise ValueError(
                "The data set must give batches of images and labels. Received: a "
                f"batch of type {type(batch).__name__}"
            )
        images = checks.image_batch(batch[0], view.input_shape)
        belongs = classes_of_labels(batch[1], len(images), view)
        found, told = run(images)
        features.append(np.asarray(found))
        scores.append(np.asarray(told))
        labels.append(belongs)
        progress.update(number)
    if not labels:
        raise ValueError("The data set must have images. Received: an empty data set")
    return features.array(), np.concatenate(scores), np.concatenate(labels)


def check_dataset(dataset):
    """Refuses what is no data set of batches, or one without end.

    Args:
        dataset: What was passed.

    Raises:
        TypeError, ValueError: It is not.
    """
    if not hasattr(dataset, "__iter__") and not hasattr(dataset, "__getitem__"):
        raise TypeError(
            "The data set must be a tf.data.Dataset or another iterable of batches. "
            f"Received: {checks.shown(dataset)}"
        )
    if isinstance(dataset, np.ndarray | tf.Tensor | str):
        raise TypeError(
            "The data set must give batches, as `tf.data.Dataset.from_tensor_slices("
            "(images, labels)).batch(32)` does. Received: a "
            f"{type(dataset).__name__}"
        )
    size = getattr(dataset, "cardinality", None)
    if size is not None and int(size()) == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            "The data set is read once to its end, and must have one. Received: a "
            "data set that repeats for ever"
        )


def classes_of_labels(labels, count, view):
    """Which classes images are of, whatever form their labels have.

    Args:
        labels: Integers `(B,)` or `(B, 1)`, or one-hot or multi-hot `(B, C)`.
        count: Number of images B.
        view: `ClassifierView` of C classes.

    Returns:
        Boolean array `(B, C)`.

    Raises:
        ValueError: They are not as described.

    Example:

    >>> classes_of_labels([2, 0], 2, view)[0]
    array([False, False,  True])
    """
    found, classes = np.asarray(labels), view.num_classes
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    numbers = found.dtype.kind in "iufb"
    hot = found.ndim == 2 and found.shape[1] == classes
    fits = numbers and len(found) == count and (hot or found.ndim == 1)
    whole = numbers and np.isfinite(found).all() and (found == np.rint(found)).all()
    low, high = (0, 1) if hot else (0, classes - 1)
    within = whole and found.size and low <= found.min() and found.max() <= high
    if not fits or not within:
        raise ValueError(
            f"Labels must be whole numbers within 0..{classes - 1}, one an image, or "
            f"one-hot or multi-hot (images, {classes}). Received: labels of shape "
            f"{found.shape} and dtype {found.dtype} for {count} images"
            + (f", {found.min()} to {found.max()}" if numbers and found.size else "")
        )
    return found > 0 if hot else found[:, None] == np.arange(classes)


class _Rows:
    """Rows that go to disk where they become too many for memory."""

    def __init__(self, width):
        self._width, self._parts, self._count, self._file = width, [], 0, None

    def append(self, rows):
        self._count += len(rows)
        self._parts.append(rows)
        size = 4 * self._width * sum(map(len, self._parts))
        if self._file is not None or size > _IN_MEMORY:
            if self._file is None:
                self._file = tempfile.TemporaryFile()
            for part in self._parts:
                self._file.write(np.ascontiguousarray(part, "float32").tobytes())
            self._parts = []

    def array(self):
        if self._file is None:
            return np.concatenate(self._parts)
        self._file.flush()
        # The map outlives the file, which nobody else sees.
        with self._file:
            shape = self._count, self._width
            return np.memmap(self._file, "float32", "r", shape=shape)
