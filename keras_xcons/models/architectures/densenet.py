"""DenseNet classifiers."""

import keras

from keras_xcons.models.architectures.transfer import Application, classifier


def densenet121(num_classes, input_size, pretrained=None, *, dropout=0.0):
    """DenseNet-121 (Huang et al. 2016, arXiv 1608.06993).

    Args:
        num_classes: Number of logits.
        input_size: `(height, width)` in pixels, each at least 32.
        pretrained: `None`, `"imagenet"`, or the path of a no-top weights file.
        dropout: Rate before the logits, in [0, 1). Defaults to 0.

    Returns:
        A functional `keras.Model`, images in 0..255 to float32 logits.
    """
    network = Application(keras.applications.DenseNet121)
    return classifier(
        network,
        "densenet121",
        num_classes,
        input_size,
        pretrained,
        mode="torch",
        dropout=dropout,
    )
