"""Measures a classifier over a data set: accuracy and localisation, with intervals."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_xcons.data import split_sample_ids
from keras_xcons.explainers import explained_pass
from keras_xcons.metrics import energy_pointing_game, pointing_game
from keras_xcons.models import split

# Resamples of the bootstrap, and the coverage of the intervals.
_RESAMPLES = 2000
_CONFIDENCE = 0.95


def measure(model, dataset, annotations=None, tolerance=15, verbose=0):
    """Measures every image of a data set.

    The map of the image's own label is measured, by Grad-CAM++; for several labels,
    the largest value that any of their maps has at a place.

    Args:
        model: What `keras_xcons.models.split` takes.
        dataset: `tf.data.Dataset` of batches `(images, labels)`, or of
            `(images, labels, annotation)` as `keras_xcons.data.load` gives them
            with `annotations=True`.
        annotations: `"boxes"` or `"masks"`, what the third part is, or `None` where
            there is none.
        tolerance: Of the pointing game, in pixels. Defaults to 15.
        verbose: 1 to show a progress bar. Defaults to 0.

    Returns:
        Dict of float arrays `(N,)`, one number an image, higher is better:
        `accuracy` (the predicted class is the label; of multi-hot labels, the share
        of classes told right); with annotations also `pointing_game` and
        `energy_pointing_game`, see `keras_xcons.metrics`.

    Raises:
        ValueError: The data set is empty, or the model cannot be split.

    Example:

    >>> test = keras_xcons.data.load(
    ...     "shapes", "original", image_size=64, batch_size=50, annotations=True
    ... )
    >>> values = measure(model, test, annotations="masks")
    >>> values["accuracy"].mean()
    """
    view = split(model)
    explain = tf.function(
        lambda images, labels: _explain(view, images, labels),
        reduce_retracing=True,
        autograph=False,
    )
    columns = {}
    progress = keras.utils.Progbar(_length(dataset), verbose=verbose)
    for number, (x, labels, *rest) in enumerate(dataset):
        images, _ = split_sample_ids(x)
        maps, correct = explain(images, labels)
        values = {"accuracy": correct.numpy()}
        if annotations is not None:
            where = {annotations: rest[0].numpy()}
            heatmaps = tf.image.resize(maps[..., None], images.shape[1:3])[..., 0]
            values["pointing_game"] = pointing_game(
                heatmaps.numpy(), tolerance=tolerance, **where
            )
            energy = energy_pointing_game(heatmaps.numpy(), **where)
            values["energy_pointing_game"] = energy
        for name, column in values.items():
            columns.setdefault(name, []).append(np.asarray(column, "float64"))
        progress.update(number + 1)
    if not columns:
        raise ValueError("The data set to evaluate on is empty. Received: no batch")
    return {name: np.concatenate(parts) for name, parts in columns.items()}


def summarize(values, seed=0):
    """The mean of one number an image, with its bootstrap interval.

    For the difference of two models pass the differences image by image: that is the
    paired interval.

    Args:
        values: Float array `(N,)`.
        seed: Seed of the resampling. Defaults to 0.

    Returns:
        Dict of `value`, `low` and `high` (the 95 % percentile interval over 2,000
        resamples of the images) and `n`.

    Example:

    >>> summarize(np.array([1.0, 1.0, 1.0]))
    {'value': 1.0, 'low': 1.0, 'high': 1.0, 'n': 3}
    """
    values = np.asarray(values, "float64")
    mean = float(values.mean())
    low = high = mean
    if np.ptp(values) > 0.0:
        from scipy import stats

        found = stats.bootstrap(
            (values,),
            np.mean,
            n_resamples=_RESAMPLES,
            batch=100,
            confidence_level=_CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(seed),
        ).confidence_interval
        low, high = float(found.low), float(found.high)
    return {"value": mean, "low": low, "high": high, "n": len(values)}


def _explain(view, images, labels):
    """Heatmaps `(B, h, w)` of the labels, and how right each prediction is."""
    if len(labels.shape) == 1:
        maps, logits, _ = explained_pass(view, images, labels[:, None])
        predicted = ops.cast(ops.argmax(logits, axis=-1), labels.dtype)
        return maps[:, 0], ops.cast(predicted == labels, "float32")
    classes = ops.broadcast_to(ops.arange(view.num_classes), ops.shape(labels))
    maps, logits, _ = explained_pass(view, images, classes)
    positive = labels > 0
    shown = ops.max(maps * ops.cast(positive, "float32")[..., None, None], axis=1)
    return shown, ops.mean(ops.cast((logits > 0.0) == positive, "float32"), axis=-1)


def _length(dataset):
    length = int(dataset.cardinality())
    return length if length > 0 else None
