"""ConvNeXt classifiers."""

import keras

from keras_xcons.models.architectures.transfer import Application, classifier


def convnext_tiny(num_classes, input_size, pretrained=None, *, dropout=0.0):
    """ConvNeXt-Tiny (Liu et al. 2022, arXiv 2201.03545).

    Args:
        num_classes: Number of logits.
        input_size: `(height, width)` in pixels, each at least 32.
        pretrained: `None`, `"imagenet"`, or the path of a no-top weights file.
        dropout: Rate before the logits, in [0, 1). Defaults to 0.

    Returns:
        A functional `keras.Model`, images in 0..255 to float32 logits.
    """
    network = Application(keras.applications.ConvNeXtTiny)
    return classifier(
        network,
        "convnext_tiny",
        num_classes,
        input_size,
        pretrained,
        mode="inside",
        dropout=dropout,
    )
