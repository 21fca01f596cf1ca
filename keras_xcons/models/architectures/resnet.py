"""ResNet classifiers."""

import functools

import keras

from keras_xcons import checks
from keras_xcons.models.architectures.registry import register_architecture
from keras_xcons.models.architectures.transfer import classifier

# Blocks of the four stages.
_RESNET18 = (2, 2, 2, 2)
_RESNET34 = (3, 4, 6, 3)
# Of batch normalisation, by variant.
_EPSILON = {"torchvision": 1e-5, "keras": 1e-3}


@register_architecture("resnet18")
def resnet18(
    num_classes, input_size, pretrained=None, *, dropout=0.0, variant="torchvision"
):
    """ResNet-18 (He et al. 2015, arXiv 1512.03385).

    Args:
        num_classes: Number of logits.
        input_size: `(height, width)` in pixels, each at least 32.
        pretrained: `None` or the path of a no-top weights file.
        dropout: Rate before the logits, in [0, 1). Defaults to 0.
        variant: `"torchvision"`: strided convolutions pad one pixel on every side and
            batch normalisation has epsilon 1e-5, so that its weights fit. `"keras"`,
            for weights that were trained so: Keras' defaults, padding "same", which
            pads behind the image alone so that these convolutions see other places
            than the shortcuts beside them, and epsilon 1e-3. Defaults to
            `"torchvision"`.

    Returns:
        A functional `keras.Model`, images in 0..255 to float32 logits.

    Raises:
        ValueError: `variant` is unknown.
    """
    network = "resnet18", _RESNET18, variant
    return _basic(*network, num_classes, input_size, pretrained, dropout)


@register_architecture("resnet34")
def resnet34(
    num_classes, input_size, pretrained=None, *, dropout=0.0, variant="torchvision"
):
    """ResNet-34 (He et al. 2015, arXiv 1512.03385).

    Args:
        num_classes: Number of logits.
        input_size: `(height, width)` in pixels, each at least 32.
        pretrained: `None` or the path of a no-top weights file.
        dropout: Rate before the logits, in [0, 1). Defaults to 0.
        variant: `"torchvision"`: strided convolutions pad one pixel on every side and
            batch normalisation has epsilon 1e-5, so that its weights fit. `"keras"`,
            for weights that were trained so: Keras' defaults, padding "same", which
            pads behind the image alone so that these convolutions see other places
            than the shortcuts beside them, and epsilon 1e-3. Defaults to
            `"torchvision"`.

    Returns:
        A functional `keras.Model`, images in 0..255 to float32 logits.

    Raises:
        ValueError: `variant` is unknown.
    """
    network = "resnet34", _RESNET34, variant
    return _basic(*network, num_classes, input_size, pretrained, dropout)


def _basic(name, blocks, variant, num_classes, input_size, pretrained, dropout):
    if variant not in _EPSILON:
        raise ValueError(checks.unknown("variant", variant, _EPSILON))
    return classifier(
        functools.partial(_basic_network, blocks, variant),
        name,
        num_classes,
        input_size,
        pretrained,
        mode="torch",
        dropout=dropout,
    )


def _basic_network(blocks, variant, images):
    """The ResNets of two 3x3 convolutions a block, which Keras does not have.

    Named and padded as Keras' deeper ones are.
    """
    epsilon = _EPSILON[variant]
    x = keras.layers.ZeroPadding2D(3, name="conv1_pad")(images)
    x = _convolution(x, 64, 7, 2, "conv1", epsilon, padding="valid")
    x = keras.layers.ReLU(name="conv1_relu")(x)
    x = keras.layers.ZeroPadding2D(1, name="pool1_pad")(x)
    x = keras.layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)
    for stage, count in enumerate(blocks):
        for block in range(count):
            name = f"conv{stage + 2}_block{block + 1}"
            stride = 2 if stage > 0 and block == 0 else 1
            padded = stride > 1 and variant == "torchvision"
            x = _basic_block(x, 64 * 2**stage, stride, name, epsilon, padded)
    return x


def _basic_block(x, filters, stride, name, epsilon, padded):
    shortcut = x
    if stride > 1 or x.shape[-1] != filters:
        shortcut = _convolution(x, filters, 1, stride, f"{name}_0", epsilon)
    if padded:
        x = keras.layers.ZeroPadding2D(1, name=f"{name}_1_pad")(x)
    padding = "valid" if padded else "same"
    x = _convolution(x, filters, 3, stride, f"{name}_1", epsilon, padding)
    x = keras.layers.ReLU(name=f"{name}_1_relu")(x)
    x = _convolution(x, filters, 3, 1, f"{name}_2", epsilon)
    x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return keras.layers.ReLU(name=f"{name}_out")(x)


def _convolution(x, filters, size, stride, name, epsilon, padding="same"):
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
    return keras.layers.BatchNormalization(epsilon=epsilon, name=f"{name}_bn")(x)
