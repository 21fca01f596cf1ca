"""Networks of `keras.applications`, as a table."""

import dataclasses

import keras
import numpy as np

from keras_xcons.models.architectures.registry import register_architecture
from keras_xcons.models.architectures.transfer import Application, classifier

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STDDEV = (0.229, 0.224, 0.225)


def complete_normalization(model):
    """Folds in a rescaling that Keras adds for `weights="imagenet"` alone.

    With those weights `keras.applications.EfficientNetB0` divides by the root of the
    channel deviations once more, after its `Normalization` layer; with the same
    weights as a local file it leaves that out, and the network sees contrasts half
    as large as it learned on. The layer's variance carries the factor just as well.
    A file with statistics other than ImageNet's is left as it is, and so is one of a
    network whose variance carries the factor already.

    Args:
        model: `keras.Model` with a `Normalization` layer, its weights loaded.
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


@dataclasses.dataclass(frozen=True)
class Row:
    """A network of `keras.applications`.

    Attributes:
        function: Name of its function in `keras.applications`.
        mode: Key of `preprocessing.MODES`: what the network expects of images.
        paper: Its name, authors, year and arXiv number.
        min_size: Smallest height and width that it takes, in pixels. Defaults to 32.
        has_alpha: Whether it takes a width multiplier `alpha`. Defaults to `False`.
        after_loading: Function of the classifier, called once pretrained weights are
            in it. Defaults to `None`.
    """

    function: str
    mode: str
    paper: str
    min_size: int = 32
    has_alpha: bool = False
    after_loading: object = None


APPLICATIONS = {
    "convnext_tiny": Row(
        function="ConvNeXtTiny",
        mode="inside",
        paper="ConvNeXt-Tiny (Liu et al. 2022, arXiv 2201.03545)",
    ),
    "densenet121": Row(
        function="DenseNet121",
        mode="torch",
        paper="DenseNet-121 (Huang et al. 2016, arXiv 1608.06993)",
    ),
    "efficientnet_b0": Row(
        function="EfficientNetB0",
        mode="inside",
        paper="EfficientNet-B0 (Tan and Le 2019, arXiv 1905.11946)",
        after_loading=complete_normalization,
    ),
    "efficientnet_v2_b0": Row(
        function="EfficientNetV2B0",
        mode="inside",
        paper="EfficientNetV2-B0 (Tan and Le 2021, arXiv 2104.00298)",
    ),
    # Its batch normalisation has momentum 0.999, so in a short fine-tune the inference
    # mode lags far behind the training mode: freeze it first with
    # `keras_xcons.models.batch_norm.freeze_batch_norm`.
    "mobilenet_v2": Row(
        function="MobileNetV2",
        mode="tf",
        paper="MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381)",
        has_alpha=True,
    ),
    "mobilenet_v3_large": Row(
        function="MobileNetV3Large",
        mode="inside",
        paper="MobileNetV3-Large (Howard et al. 2019, arXiv 1905.02244)",
        has_alpha=True,
    ),
    "mobilenet_v3_small": Row(
        function="MobileNetV3Small",
        mode="inside",
        paper="MobileNetV3-Small (Howard et al. 2019, arXiv 1905.02244)",
        has_alpha=True,
    ),
    "resnet50": Row(
        function="ResNet50",
        mode="caffe",
        paper="ResNet-50 (He et al. 2015, arXiv 1512.03385)",
    ),
    "resnet50_v2": Row(
        function="ResNet50V2",
        mode="tf",
        paper="ResNet-50 V2, pre-activated (He et al. 2016, arXiv 1603.05027)",
    ),
    "xception": Row(
        function="Xception",
        mode="tf",
        paper="Xception (Chollet 2016, arXiv 1610.02357)",
        min_size=71,
    ),
}


def _function(name, row):
    """The function that the registry holds: its signature tells what it takes."""

    def build(num_classes, input_size, pretrained, dropout, **arguments):
        model = classifier(
            Application(getattr(keras.applications, row.function), **arguments),
            name,
            num_classes,
            input_size,
            pretrained,
            mode=row.mode,
            dropout=dropout,
            min_size=row.min_size,
        )
        if row.after_loading is not None and pretrained is not None:
            row.after_loading(model)
        return model

    def without_alpha(num_classes, input_size, pretrained=None, *, dropout=0.0):
        return build(num_classes, input_size, pretrained, dropout)

    def with_alpha(num_classes, input_size, pretrained=None, *, dropout=0.0, alpha=1.0):
        return build(num_classes, input_size, pretrained, dropout, alpha=alpha)

    function = with_alpha if row.has_alpha else without_alpha
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{row.paper}."
    return function


for _name, _row in APPLICATIONS.items():
    register_architecture(_name)(_function(_name, _row))
