"""The features and scores of a data set, computed once and kept for a fit."""

import functools
import tempfile

import keras
import numpy as np
import tensorflow as tf
from keras import ops

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
        `(features, scores, labels)`: float32 `(N, D)`, `(N, C)`, and the labels as
        they came. Features of more than half a gigabyte lie in a temporary file.
    """
    width = view.flat.outputs[0].shape[-1]
    run = feature_pass(view, classes)
    features, scores, labels = _Rows(width), [], []
    progress = keras.utils.Progbar(None, verbose=verbose, unit_name="batch")
    for number, (images, given) in enumerate(dataset, 1):
        found, told = run(images)
        features.append(np.asarray(found))
        scores.append(np.asarray(told))
        labels.append(np.asarray(given))
        progress.update(number)
    if not labels:
        return np.zeros((0, width), "float32"), np.zeros((0, len(classes))), None
    return features.array(), np.concatenate(scores), np.concatenate(labels)


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
