"""Which architectures there are, by name, and how one of them is built."""

import inspect
import os
import re

from keras_xcons import checks
from keras_xcons.models.architectures.transfer import IMAGENET

_MOST_CLASSES = 10**6
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_FUNCTIONS = {}


def register_architecture(name):
    """Gives an architecture a name, under which `create` and the commands find it.

    Args:
        name: Lower-case letters, digits and underscores, such as `"vgg16"`.

    Returns:
        A decorator of a function of `num_classes`, `input_size` `(height, width)` and
        `pretrained` (`None`, `"imagenet"` or the path of a weights file) that returns
        a functional `keras.Model`, images in 0..255 to float32 logits. Its
        keyword-only arguments are what `create` takes beyond those, and what a card
        records. The function itself is returned.

    Raises:
        TypeError: What is decorated is no such function.
        ValueError: The name is none, or another function has it.

    Example:

    >>> @register_architecture("linear")
    ... def linear(num_classes, input_size, pretrained=None):
    ...     images = keras.Input((*input_size, 3))
    ...     x = keras.layers.Flatten()(images)
    ...     return keras.Model(images, keras.layers.Dense(num_classes)(x))
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            "The name of an architecture must be lower-case letters, digits and "
            f"underscores, and begin with a letter. Received: name={name!r}"
        )

    def register(function):
        try:
            inspect.signature(function).bind(2, (32, 32), None)
        except (TypeError, ValueError) as error:
            raise TypeError(
                "An architecture must be a function that can be called with "
                "(num_classes, input_size, pretrained) alone. "
                f"Received: function={function!r}"
            ) from error
        # The same function may come again, as when a cell of a notebook is run again.
        known = _FUNCTIONS.get(name)
        if known is not None and _origin(known) != _origin(function):
            raise ValueError(
                f"An architecture of another function has this name. Received: {name=}"
            )
        _FUNCTIONS[name] = function
        return function

    return register


def architectures():
    """Returns the names that `create` accepts, sorted.

    Returns:
        A tuple of strings.

    Example:

    >>> "mobilenet_v2" in architectures()
    True
    """
    return tuple(sorted(_FUNCTIONS))


def create(architecture, num_classes, input_size, pretrained=None, **arguments):
    """Builds a classifier: images in, logits out, preprocessing inside.

    Every architecture is one flat model. Its last feature map is the output of the
    layer `"features"`; global average pooling and one `Dense` layer, `"logits"`,
    follow, so its Grad-CAM++ maps have a closed form. The logits are float32 under
    every dtype policy. A family that decides otherwise than by pooling, such as that of
    `keras_xcons.protopnet`, registers an architecture with a head of its own.

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
            before the logits, in [0, 1), defaults to 0) for all that pool;
            `alpha` (width multiplier, defaults to 1.0) for the MobileNets;
            `variant` (`"torchvision"` or `"keras"`, defaults to `"torchvision"`) for
            `resnet18` and `resnet34`;
            `batch_norm` (defaults to `True`) for `vgg16`; `width` (channels of the
            first block, defaults to 16) for `small_cnn`; and what
            `arguments_of(architecture)` names of any other.

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
    return _FUNCTIONS[architecture](num_classes, input_size, pretrained, **arguments)


def create_backbone(
    backbone, num_classes, input_size, pretrained=None, arguments=None, without=()
):
    """Builds the classifier that an architecture of a family is made on.

    Args:
        backbone: Name of another architecture.
        num_classes: As for `create`.
        input_size: As for `create`.
        pretrained: As for `create`.
        arguments: Dict of arguments of the backbone, or `None` for none.
        without: Names of architectures that will not do, the family's own among them.

    Returns:
        As `create`.

    Raises:
        TypeError, ValueError: As `create`, or the backbone is unknown or will not do.

    Example:

    >>> create_backbone("small_cnn", 5, 64, arguments={"width": 8}, without=["comet"])
    """
    names = [name for name in architectures() if name not in without]
    if backbone not in names:
        raise ValueError(checks.unknown("backbone", backbone, names))
    arguments = {} if arguments is None else arguments
    if not isinstance(arguments, dict):
        raise TypeError(
            "`backbone_arguments` must be a dict. Received: "
            f"backbone_arguments={arguments!r}"
        )
    accepted = arguments_of(backbone)
    for name in arguments:
        if name not in accepted:
            raise TypeError(checks.unknown("backbone argument", name, accepted))
    return create(backbone, num_classes, input_size, pretrained, **arguments)


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
    if architecture not in _FUNCTIONS:
        raise ValueError(checks.unknown("architecture", architecture, architectures()))
    parameters = inspect.signature(_FUNCTIONS[architecture]).parameters.values()
    return [one.name for one in parameters if one.kind is one.KEYWORD_ONLY]


def _origin(function):
    return [getattr(function, key, None) for key in ("__module__", "__qualname__")]


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
