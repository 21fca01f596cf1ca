"""Xception classifiers."""

import keras

from keras_xcons.models.architectures.transfer import Application, classifier


def xception(num_classes, input_size, pretrained=None, *, dropout=0.0):
    """Xception (Chollet 2016, arXiv 1610.02357).

    Args:
        num_classes: Number of logits.
        input_size: `(height, width)` in pixels, each at least 71.
        pretrained: `None`, `"imagenet"`, or the path of a no-top weights file.
        dropout: Rate before the logits, in [0, 1). Defaults to 0.

    Returns:
        A functional `keras.Model`, images in 0..255 to float32 logits.
    """
    network = Application(keras.applications.Xception)
    return classifier(
        network,
        "xception",
        num_classes,
        input_size,
        pretrained,
        mode="tf",
        dropout=dropout,
        min_size=71,
    )
