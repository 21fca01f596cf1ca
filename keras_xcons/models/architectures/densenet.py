"""DenseNet classifiers."""

import keras

from keras_xcons.models.architectures.transfer import classifier


def densenet121(num_classes, input_size, weights=None, *, dropout=0.0):
    """DenseNet-121 (Huang et al. 2016, arXiv 1608.06993).

    Args:
        num_classes: Number of logits.
        input_size: `(height, width)` in pixels, each at least 32.
        weights: Path of a no-top weights file, or `None`.
        dropout: Rate before the logits, in [0, 1). Defaults to 0.

    Returns:
        A functional `keras.Model`, images in 0..255 to float32 logits.
    """
    backbone = keras.applications.DenseNet121(
        input_shape=(*input_size, 3),
        include_top=False,
        weights=None,
        name="densenet121",
    )
    return classifier(backbone, num_classes, weights, mode="torch", dropout=dropout)
