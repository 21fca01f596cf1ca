"""MobileNet classifiers."""

import keras

from keras_xcons.models.architectures.transfer import Application, classifier


def mobilenet_v2(num_classes, input_size, pretrained=None, *, dropout=0.0, alpha=1.0):
    """MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381).

    Its batch normalisation has momentum 0.999, so in a short fine-tune the
    inference mode lags far behind the training mode: freeze it first with
    `keras_xcons.models.batch_norm.freeze_batch_norm`.

    Args:
        num_classes: Number of logits.
        input_size: `(height, width)` in pixels, each at least 32.
        pretrained: `None`, `"imagenet"`, or the path of a no-top weights file.
        dropout: Rate before the logits, in [0, 1). Defaults to 0.
        alpha: Width multiplier. Defaults to 1.0.

    Returns:
        A functional `keras.Model`, images in 0..255 to float32 logits.
    """
    network = Application(keras.applications.MobileNetV2, alpha=alpha)
    return classifier(
        network,
        "mobilenet_v2",
        num_classes,
        input_size,
        pretrained,
        mode="tf",
        dropout=dropout,
    )


def mobilenet_v3_small(
    num_classes, input_size, pretrained=None, *, dropout=0.0, alpha=1.0
):
    """MobileNetV3-Small (Howard et al. 2019, arXiv 1905.02244).

    Args:
        num_classes: Number of logits.
        input_size: `(height, width)` in pixels, each at least 32.
        pretrained: `None`, `"imagenet"`, or the path of a no-top weights file.
        dropout: Rate before the logits, in [0, 1). Defaults to 0.
        alpha: Width multiplier. Defaults to 1.0.

    Returns:
        A functional `keras.Model`, images in 0..255 to float32 logits.
    """
    network = Application(keras.applications.MobileNetV3Small, alpha=alpha)
    return classifier(
        network,
        "mobilenet_v3_small",
        num_classes,
        input_size,
        pretrained,
        mode="inside",
        dropout=dropout,
    )


def mobilenet_v3_large(
    num_classes, input_size, pretrained=None, *, dropout=0.0, alpha=1.0
):
    """MobileNetV3-Large (Howard et al. 2019, arXiv 1905.02244).

    Args:
        num_classes: Number of logits.
        input_size: `(height, width)` in pixels, each at least 32.
        pretrained: `None`, `"imagenet"`, or the path of a no-top weights file.
        dropout: Rate before the logits, in [0, 1). Defaults to 0.
        alpha: Width multiplier. Defaults to 1.0.

    Returns:
        A functional `keras.Model`, images in 0..255 to float32 logits.
    """
    network = Application(keras.applications.MobileNetV3Large, alpha=alpha)
    return classifier(
        network,
        "mobilenet_v3_large",
        num_classes,
        input_size,
        pretrained,
        mode="inside",
        dropout=dropout,
    )
