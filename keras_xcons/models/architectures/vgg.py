"""VGG classifiers."""

import keras

from keras_xcons.models.architectures.registry import register_architecture
from keras_xcons.models.architectures.transfer import Application, classifier

# Convolutions of each block, and their channels.
_VGG16 = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))


@register_architecture("vgg16")
def vgg16(num_classes, input_size, pretrained=None, *, dropout=0.0, batch_norm=True):
    """VGG16 (Simonyan and Zisserman 2014, arXiv 1409.1556), pooled on average.

    The paper's 4096-wide layers are left out: global average pooling takes their
    place, so that heatmaps have a closed form.

    Args:
        num_classes: Number of logits.
        input_size: `(height, width)` in pixels, each at least 32.
        pretrained: `None`, `"imagenet"` (with `batch_norm=False` alone), or the path
            of a no-top weights file.
        dropout: Rate before the logits, in [0, 1). Defaults to 0.
        batch_norm: Whether batch normalisation follows each convolution. Without
            it the network is that of `keras.applications`. Defaults to `True`.

    Returns:
        A functional `keras.Model`, images in 0..255 to float32 logits.
    """
    return classifier(
        _vgg16_bn if batch_norm else Application(keras.applications.VGG16),
        "vgg16",
        num_classes,
        input_size,
        pretrained,
        mode="torch" if batch_norm else "caffe",
        dropout=dropout,
    )


def _vgg16_bn(x):
    for block, (count, filters) in enumerate(_VGG16, start=1):
        for number in range(1, count + 1):
            name = f"block{block}_conv{number}"
            # The bias would only shift what batch normalisation centres again.
            x = keras.layers.Conv2D(
                filters,
                3,
                padding="same",
                use_bias=False,
                kernel_initializer="he_normal",
                name=name,
            )(x)
            x = keras.layers.BatchNormalization(name=f"{name}_bn")(x)
            x = keras.layers.ReLU(name=f"{name}_relu")(x)
        x = keras.layers.MaxPooling2D(name=f"block{block}_pool")(x)
    return x
