"""ResNet classifiers."""

import keras

from keras_xcons.models.architectures.transfer import classifier


def resnet50(num_classes, input_size, weights=None, *, dropout=0.0):
    """ResNet-50 (He et al. 2015, arXiv 1512.03385).

    Args:
        num_classes: Number of logits.
        input_size: `(height, width)` in pixels, each at least 32.
        weights: Path of a no-top weights file, or `None`.
        dropout: Rate before the logits, in [0, 1). Defaults to 0.

    Returns:
        A functional `keras.Model`, images in 0..255 to float32 logits.
    """
    backbone = keras.applications.ResNet50(
        input_shape=(*input_size, 3),
        include_top=False,
        weights=None,
        name="resnet50",
    )
    return classifier(backbone, num_classes, weights, mode="caffe", dropout=dropout)


def resnet50_v2(num_classes, input_size, weights=None, *, dropout=0.0):
    """ResNet-50 V2, pre-activated (He et al. 2016, arXiv 1603.05027).

    Args:
        num_classes: Number of logits.
        input_size: `(height, width)` in pixels, each at least 32.
        weights: Path of a no-top weights file, or `None`.
        dropout: Rate before the logits, in [0, 1). Defaults to 0.

    Returns:
        A functional `keras.Model`, images in 0..255 to float32 logits.
    """
    backbone = keras.applications.ResNet50V2(
        input_shape=(*input_size, 3),
        include_top=False,
        weights=None,
        name="resnet50_v2",
    )
    return classifier(backbone, num_classes, weights, mode="tf", dropout=dropout)
