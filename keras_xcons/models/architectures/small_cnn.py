"""A small convolutional network for the shapes set, quick on two cores."""

import functools

import keras

from keras_xcons.data import arguments
from keras_xcons.models.architectures.registry import register_architecture
from keras_xcons.models.architectures.transfer import classifier

# Keras' default of 0.99 lags behind a training of a few hundred steps.
_MOMENTUM = 0.9


@register_architecture("small_cnn")
def small_cnn(num_classes, input_size, pretrained=None, *, width=16, dropout=0.0):
    """Four blocks of convolution, batch normalisation and ReLU.

    Three of them end in max pooling, so the last feature map, of the layer named
    `"features"`, is an eighth of the image: 8x8 at 64 px. With the default width
    and 10 classes the network has about 48,000 parameters.

    Args:
        num_classes: Number of logits.
        input_size: `(height, width)` in pixels, each at least 8.
        pretrained: Path of a weights file of the layers up to `"features"`, or
            `None`. A file of the whole network, of any number of classes, will do.
        width: Channels of the first block; the blocks have 1, 2, 3 and 4 times as
            many. Defaults to 16.
        dropout: Rate before the logits, in [0, 1). Defaults to 0.

    Returns:
        A functional `keras.Model`, images in 0..255 to float32 logits.

    Raises:
        ValueError: The images are too small, or `width` is not a positive int.
    """
    arguments.check_count(width, "width", arguments.MOST_CHANNELS)
    return classifier(
        functools.partial(_network, width),
        "small_cnn",
        num_classes,
        input_size,
        pretrained,
        mode="tf",
        dropout=dropout,
        min_size=8,
    )


def _network(width, x):
    for block in (1, 2, 3):
        x = _block(x, block * width, f"block{block}")
        x = keras.layers.MaxPooling2D(name=f"block{block}_pool")(x)
    return _block(x, 4 * width, "block4")


def _block(x, filters, name):
    # The bias would only shift what batch normalisation centres again.
    x = keras.layers.Conv2D(
        filters,
        3,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    x = keras.layers.BatchNormalization(momentum=_MOMENTUM, name=f"{name}_bn")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)
