"""VGG classifiers."""

import keras

from keras_xcons.models.architectures.transfer import classifier


def vgg16(num_classes, input_size, weights=None, *, dropout=0.0):
    """VGG16 (Simonyan and Zisserman 2014, arXiv 1409.1556), pooled on average.

    Args:
        num_classes: Number of logits.
        input_size: `(height, width)` in pixels, each at least 32.
        weights: Path of a no-top weights file, or `None`.
        dropout: Rate before the logits, in [0, 1). Defaults to 0.

    Returns:
        A functional `keras.Model`, images in 0..255 to float32 logits.
    """
    backbone = keras.applications.VGG16(
        input_shape=(*input_size, 3),
        include_top=False,
        weights=None,
        name="vgg16",
    )
    return classifier(backbone, num_classes, weights, mode="caffe", dropout=dropout)
