"""The architectures that the zoo publishes, by name.

A new one is one function in a file of this folder and one line of `_ARCHITECTURES`.
"""

import inspect
import os

from keras_xcons import checks
from keras_xcons.models.architectures.convnext import convnext_tiny
from keras_xcons.models.architectures.densenet import densenet121
from keras_xcons.models.architectures.efficientnet import (
    efficientnet_b0,
    efficientnet_v2_b0,
)
from keras_xcons.models.architectures.mobilenet import (
    mobilenet_v2,
    mobilenet_v3_large,
    mobilenet_v3_small,
)
from keras_xcons.models.architectures.protopnet import protopnet
from keras_xcons.models.architectures.resnet import (
    resnet18,
    resnet34,
    resnet50,
    resnet50_v2,
)
from keras_xcons.models.architectures.small_cnn import small_cnn
from keras_xcons.models.architectures.transfer import IMAGENET
from keras_xcons.models.architectures.vgg import vgg16
from keras_xcons.models.architectures.xception import xception

_MOST_CLASSES = 10**6

_ARCHITECTURES = {
    "convnext_tiny": convnext_tiny,
    "densenet121": densenet121,
    "efficientnet_b0": efficientnet_b0,
    "efficientnet_v2_b0": efficientnet_v2_b0,
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v3_large": mobilenet_v3_large,
    "mobilenet_v3_small": mobilenet_v3_small,
    "protopnet": protopnet,
    "resnet18": resnet18,
    "resnet34": resnet34,
    "resnet50": resnet50,
    "resnet50_v2": resnet50_v2,
    "small_cnn": small_cnn,
    "vgg16": vgg16,
    "xception": xception,
}


def architectures():
    """Returns the names that `create` accepts, sorted.

    Returns:
        A tuple of strings.

    Example:

    >>> "mobilenet_v2" in architectures()
    True
    """
    return tuple(sorted(_ARCHITECTURES))


def create(architecture, num_classes, input_size, pretrained=None, **arguments):
    """Builds a classifier: images in, logits out, preprocessing inside.

    Every architecture is one flat model. Its last feature map is the output of the
    layer `"features"`; global average pooling and one `Dense` layer, `"logits"`,
    follow, so its Grad-CAM++ maps have a closed form. The logits are float32 under
    every dtype policy. `"protopnet"` is built on any of the others: it compares the
    features with prototypes instead of pooling them.

    Args:
        architecture: A name of `architectures()`.
        num_classes: Number of logits, an int of at least 1.
        input_size: Image size in pixels, an int or a pair `(height, width)`.
        pretrained: `None` for random initialisation; `"imagenet"` for the weights
            of `keras.applications`, which Keras downloads; or the path of a local
            weights file of the network without its top (`.weights.h5`, or the `.h5`
            files of `keras.applications`). A `.weights.h5` file of the whole
            classifier, of any number of classes, will do too. Defaults to `None`.
        **arguments: What the architecture takes beyond that: `dropout` (rate
            before the logits, in [0, 1), defaults to 0) for all but `protopnet`;
            `alpha` (width multiplier, defaults to 1.0) for the MobileNets;
            `variant` (`"torchvision"` or `"keras"`, defaults to `"torchvision"`) for
            `resnet18` and `resnet34`;
            `batch_norm` (defaults to `True`) for `vgg16`; `width` (channels of the
            first block, defaults to 16) for `small_cnn`; `backbone` (defaults to
            `"resnet18"`), `prototypes` (a class, or a list of one number a class,
            defaults to 10), `channels` (of a prototype, defaults to 128) and
            `backbone_arguments` for `protopnet`.

    Returns:
        A functional `keras.Model` that takes images `(B, height, width, 3)` in
        0..255, uint8 or floating point, and returns logits `(B, num_classes)`.

    Raises:
        ValueError: Unknown architecture, a value out of range, or a weights file
            that does not fit the architecture.
        TypeError: An argument that the architecture does not take.
        FileNotFoundError: There is no file at `pretrained`.
        ConnectionError: The ImageNet weights could not be downloaded, or
            `KERAS_XCONS_OFFLINE` is set.

    Example:

    >>> model = create("small_cnn", num_classes=8, input_size=64)
    >>> model.output_shape
    (None, 8)
    """
    accepted = arguments_of(architecture)
    if isinstance(num_classes, bool) or not isinstance(num_classes, int):
        raise TypeError(f"`num_classes` must be an int. Received: {num_classes=}")
    if not 1 <= num_classes <= _MOST_CLASSES:
        raise ValueError(
            f"`num_classes` must be at least 1 and at most {_MOST_CLASSES}. Received: "
            f"num_classes={checks.shown(num_classes)}"
        )
    input_size = checks.image_size(input_size)
    for name in arguments:
        if name not in accepted:
            raise TypeError(checks.unknown("argument", name, accepted))
    _check_rates(**arguments)
    if pretrained is not None and pretrained != IMAGENET:
        pretrained = _weights_path(pretrained)
    return _ARCHITECTURES[architecture](
        num_classes, input_size, pretrained, **arguments
    )


def arguments_of(architecture):
    """Returns the names of the further arguments that an architecture takes.

    Args:
        architecture: A name of `architectures()`.

    Returns:
        A list of strings.

    Raises:
        ValueError: Unknown architecture.

    Example:

    >>> arguments_of("mobilenet_v2")
    ['dropout', 'alpha']
    """
    if architecture not in _ARCHITECTURES:
        raise ValueError(checks.unknown("architecture", architecture, architectures()))
    parameters = inspect.signature(_ARCHITECTURES[architecture]).parameters.values()
    return [one.name for one in parameters if one.kind is one.KEYWORD_ONLY]


def _check_rates(dropout=0.0, alpha=1.0, **others):
    """Refuses numbers that Keras would build something else of, or nothing."""
    checks.within("alpha", alpha, 0.0, 100.0, inclusive=False)
    checks.within("dropout", dropout, 0.0, 1.0)
    if dropout >= 1.0:
        raise ValueError(f"`dropout` must be below 1. Received: dropout={dropout!r}")


def _weights_path(pretrained):
    """Refuses what cannot be a local weights file before anything is built."""
    path = os.path.expanduser(os.fspath(pretrained))
    if not os.path.isfile(path):
        raise FileNotFoundError(
            "`pretrained` must be None, 'imagenet' or the path of a local weights "
            f"file. There is no such file. Received: pretrained={pretrained!r}"
        )
    if not path.endswith(".h5"):
        raise ValueError(
            "`pretrained` must be a file that ends in .weights.h5 or .h5. "
            f"Received: pretrained={pretrained!r}"
        )
    return path
