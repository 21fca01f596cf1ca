"""A small convolutional network for the shapes set, quick on two cores."""

import functools

import keras

from keras_xcons.models.architectures.transfer import classifier

# Keras' default of 0.99 lags behind a training of a few hundred steps.
_MOMENTUM = 0.9


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
    if min(input_size) < 8:
        raise ValueError(
            "`input_size` must be at least 8 x 8 for small_cnn. "
            f"Received: input_size={input_size}"
        )
    if not isinstance(width, int) or width < 1:
        raise ValueError(f"`width` must be a positive int. Received: width={width!r}")
    return classifier(
        functools.partial(_network, width),
        "small_cnn",
        num_classes,
        input_size,
        pretrained,
        mode="tf",
        dropout=dropout,
        has_imagenet=False,
    )


def _network(width, weights, input_tensor):
    del weights  # There are none to be had.
    x = input_tensor
    for block in (1, 2, 3):
        x = _block(x, block * width, f"block{block}", f"block{block}_relu")
        x = keras.layers.MaxPooling2D(name=f"block{block}_pool")(x)
    x = _block(x, 4 * width, "block4", "block4_relu")
    return keras.Model(keras.utils.get_source_inputs(input_tensor), x, name="small_cnn")


def _block(x, filters, name, output_name):
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
    return keras.layers.ReLU(name=output_name)(x)
