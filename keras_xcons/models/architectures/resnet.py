"""ResNet classifiers."""

import functools

import keras

from keras_xcons.models.architectures.transfer import Application, classifier

# Blocks of the four stages.
_RESNET18 = (2, 2, 2, 2)
_RESNET34 = (3, 4, 6, 3)


def resnet18(num_classes, input_size, pretrained=None, *, dropout=0.0):
    """ResNet-18 (He et al. 2015, arXiv 1512.03385).

    Args:
        num_classes: Number of logits.
        input_size: `(height, width)` in pixels, each at least 32.
        pretrained: `None` or the path of a no-top weights file.
        dropout: Rate before the logits, in [0, 1). Defaults to 0.

    Returns:
        A functional `keras.Model`, images in 0..255 to float32 logits.
    """
    return _basic("resnet18", _RESNET18, num_classes, input_size, pretrained, dropout)


def resnet34(num_classes, input_size, pretrained=None, *, dropout=0.0):
    """ResNet-34 (He et al. 2015, arXiv 1512.03385).

    Args:
        num_classes: Number of logits.
        input_size: `(height, width)` in pixels, each at least 32.
        pretrained: `None` or the path of a no-top weights file.
        dropout: Rate before the logits, in [0, 1). Defaults to 0.

    Returns:
        A functional `keras.Model`, images in 0..255 to float32 logits.
    """
    return _basic("resnet34", _RESNET34, num_classes, input_size, pretrained, dropout)


def resnet50(num_classes, input_size, pretrained=None, *, dropout=0.0):
    """ResNet-50 (He et al. 2015, arXiv 1512.03385).

    Args:
        num_classes: Number of logits.
        input_size: `(height, width)` in pixels, each at least 32.
        pretrained: `None`, `"imagenet"`, or the path of a no-top weights file.
        dropout: Rate before the logits, in [0, 1). Defaults to 0.

    Returns:
        A functional `keras.Model`, images in 0..255 to float32 logits.
    """
    network = Application(keras.applications.ResNet50)
    return classifier(
        network,
        "resnet50",
        num_classes,
        input_size,
        pretrained,
        mode="caffe",
        dropout=dropout,
    )


def resnet50_v2(num_classes, input_size, pretrained=None, *, dropout=0.0):
    """ResNet-50 V2, pre-activated (He et al. 2016, arXiv 1603.05027).

    Args:
        num_classes: Number of logits.
        input_size: `(height, width)` in pixels, each at least 32.
        pretrained: `None`, `"imagenet"`, or the path of a no-top weights file.
        dropout: Rate before the logits, in [0, 1). Defaults to 0.

    Returns:
        A functional `keras.Model`, images in 0..255 to float32 logits.
    """
    network = Application(keras.applications.ResNet50V2)
    return classifier(
        network,
        "resnet50_v2",
        num_classes,
        input_size,
        pretrained,
        mode="tf",
        dropout=dropout,
    )


def _basic(name, blocks, num_classes, input_size, pretrained, dropout):
    return classifier(
        functools.partial(_basic_network, blocks),
        name,
        num_classes,
        input_size,
        pretrained,
        mode="torch",
        dropout=dropout,
    )


def _basic_network(blocks, images):
    """The ResNets of two 3x3 convolutions a block, which Keras does not have.

    Named and padded as Keras' deeper ones are.
    """
    x = keras.layers.ZeroPadding2D(3, name="conv1_pad")(images)
    x = _convolution(x, 64, 7, 2, "conv1", padding="valid")
    x = keras.layers.ReLU(name="conv1_relu")(x)
    x = keras.layers.ZeroPadding2D(1, name="pool1_pad")(x)
    x = keras.layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)
    for stage, count in enumerate(blocks):
        for block in range(count):
            name = f"conv{stage + 2}_block{block + 1}"
            stride = 2 if stage > 0 and block == 0 else 1
            x = _basic_block(x, 64 * 2**stage, stride, name)
    return x


def _basic_block(x, filters, stride, name):
    shortcut = x
    if stride > 1 or x.shape[-1] != filters:
        shortcut = _convolution(x, filters, 1, stride, f"{name}_0")
    x = _convolution(x, filters, 3, stride, f"{name}_1")
    x = keras.layers.ReLU(name=f"{name}_1_relu")(x)
    x = _convolution(x, filters, 3, 1, f"{name}_2")
    x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return keras.layers.ReLU(name=f"{name}_out")(x)


def _convolution(x, filters, size, stride, name, padding="same"):
    # The bias would only shift what batch normalisation centres again.
    x = keras.layers.Conv2D(
        filters,
        size,
        strides=stride,
        padding=padding,
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    return keras.layers.BatchNormalization(name=f"{name}_bn")(x)
