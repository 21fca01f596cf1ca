"""EfficientNet classifiers."""

import keras
import numpy as np

from keras_xcons.models.architectures.transfer import Application, classifier

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STDDEV = (0.229, 0.224, 0.225)


def efficientnet_b0(num_classes, input_size, pretrained=None, *, dropout=0.0):
    """EfficientNet-B0 (Tan and Le 2019, arXiv 1905.11946).

    Args:
        num_classes: Number of logits.
        input_size: `(height, width)` in pixels, each at least 32.
        pretrained: `None`, `"imagenet"`, or the path of a no-top weights file.
        dropout: Rate before the logits, in [0, 1). Defaults to 0.

    Returns:
        A functional `keras.Model`, images in 0..255 to float32 logits.
    """
    network = Application(keras.applications.EfficientNetB0)
    model = classifier(
        network,
        "efficientnet_b0",
        num_classes,
        input_size,
        pretrained,
        mode="inside",
        dropout=dropout,
    )
    if pretrained is not None:
        _complete_normalization(model)
    return model


def efficientnet_v2_b0(num_classes, input_size, pretrained=None, *, dropout=0.0):
    """EfficientNetV2-B0 (Tan and Le 2021, arXiv 2104.00298).

    Args:
        num_classes: Number of logits.
        input_size: `(height, width)` in pixels, each at least 32.
        pretrained: `None`, `"imagenet"`, or the path of a no-top weights file.
        dropout: Rate before the logits, in [0, 1). Defaults to 0.

    Returns:
        A functional `keras.Model`, images in 0..255 to float32 logits.
    """
    network = Application(keras.applications.EfficientNetV2B0)
    return classifier(
        network,
        "efficientnet_v2_b0",
        num_classes,
        input_size,
        pretrained,
        mode="inside",
        dropout=dropout,
    )


def _complete_normalization(model):
    """Folds in a rescaling that Keras adds for `weights="imagenet"` alone.

    With those weights `keras.applications.EfficientNetB0` divides by the root of the
    channel deviations once more, after its `Normalization` layer; with the same
    weights as a local file it leaves that out, and the network sees contrasts half
    as large as it learned on. The layer's variance carries the factor just as well.
    A file with statistics other than ImageNet's is left as it is, and so is one of a
    network whose variance carries the factor already.
    """
    layer = next(
        layer for layer in model.layers if isinstance(layer, keras.layers.Normalization)
    )
    mean, variance = layer.adapt_mean, layer.adapt_variance
    released = (np.ravel(mean), _IMAGENET_MEAN), (np.ravel(variance), _IMAGENET_STDDEV)
    if all(np.allclose(one, two, rtol=0.0, atol=1e-3) for one, two in released):
        variance.assign(variance * _IMAGENET_STDDEV)
    # The layer computes with what it keeps beside its weights.
    layer.finalize_state()
