"""Xception classifiers."""

import keras

from keras_xcons.models.architectures.transfer import classifier


def xception(num_classes, input_size, weights=None, *, dropout=0.0):
    """Xception (Chollet 2016, arXiv 1610.02357).

    Args:
        num_classes: Number of logits.
        input_size: `(height, width)` in pixels, each at least 71.
        weights: Path of a no-top weights file, or `None`.
        dropout: Rate before the logits, in [0, 1). Defaults to 0.

    Returns:
        A functional `keras.Model`, images in 0..255 to float32 logits.
    """
    backbone = keras.applications.Xception(
        input_shape=(*input_size, 3),
        include_top=False,
        weights=None,
        name="xception",
    )
    return classifier(backbone, num_classes, weights, mode="tf", dropout=dropout)
