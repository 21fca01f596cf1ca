"""ConvNeXt classifiers."""

import keras

from keras_xcons.models.architectures.transfer import classifier


def convnext_tiny(num_classes, input_size, weights=None, *, dropout=0.0):
    """ConvNeXt-Tiny (Liu et al. 2022, arXiv 2201.03545).

    Args:
        num_classes: Number of logits.
        input_size: `(height, width)` in pixels, each at least 32.
        weights: Path of a no-top weights file, or `None`.
        dropout: Rate before the logits, in [0, 1). Defaults to 0.

    Returns:
        A functional `keras.Model`, images in 0..255 to float32 logits.
    """
    backbone = keras.applications.ConvNeXtTiny(
        input_shape=(*input_size, 3),
        include_top=False,
        weights=None,
        name="convnext_tiny",
    )
    return classifier(backbone, num_classes, weights, mode="inside", dropout=dropout)
