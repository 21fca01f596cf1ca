"""XNN: a classifier that carries explanation networks."""

import typing

import keras

from keras_xcons.models import (
    create_backbone,
    register_architecture,
    split,
)
from keras_xcons.models.fronted import front_and_network, fronted
from keras_xcons.xnn.layers import ExplanationNetworks
from keras_xcons.xnn.options import XNNOptions


@register_architecture("xnn")
def xnn(
    num_classes,
    input_size,
    pretrained=None,
    *,
    backbone="mobilenet_v2",
    classes=None,
    num_features=5,
    hidden=(100, 30),
    backbone_arguments=None,
):
    """A classifier with explanation networks (Qi et al. 2017, arXiv 1709.05360).

    The other architecture, and in front of it the layer `"networks"`, which hands
    images on and holds the networks. They are fitted by `keras_xcons.XNN`.

    Args:
        num_classes: Number of logits.
        input_size: `(height, width)` in pixels, as the backbone takes it.
        pretrained: What the backbone takes.
        backbone: Name of any other architecture. Defaults to `"mobilenet_v2"`.
        classes: List of the classes that have a network. Defaults to all.
        num_features: Number of x-features of a class. Defaults to 5.
        hidden: Widths of the hidden layers of an encoder. Defaults to `(100, 30)`.
        backbone_arguments: Dict of arguments of the backbone. Defaults to none.

    Returns:
        A functional `keras.Model`, images in 0..255 to float32 logits.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of range, or the backbone is unknown.
    """
    network = create_backbone(
        *(backbone, num_classes, input_size, pretrained, backbone_arguments),
        without=("comet", "xnn"),
    )
    return xnn_classifier(network, classes, num_features, hidden)


def xnn_classifier(classifier, classes=None, num_features=5, hidden=(100, 30)):
    """Puts explanation networks, of random weights, into a classifier.

    Args:
        classifier: A functional or built Sequential `keras.Model` with a feature map.
            It is part of the result, not copied.
        classes: Sequence of ints, the classes that get a network. Defaults to all.
        num_features: Number of x-features of a class. Defaults to 5.
        hidden: Widths of the hidden layers of an encoder. Defaults to `(100, 30)`.

    Returns:
        A functional `keras.Model`, images to what the classifier returns, to the bit.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: The classifier has no feature map, or an argument is out of range.

    Example:

    >>> model = xnn_classifier(keras_xcons.load("shapes_cnn"), classes=[0, 3])
    """
    view = split(classifier)
    options = XNNOptions(classes=classes, num_features=num_features, hidden=hidden)
    networks = ExplanationNetworks(
        _classes_of(options, view),
        view.flat.outputs[0].shape[-1],
        options.num_features,
        options.hidden,
        name="networks",
    )
    return fronted(view.model, networks, "xnn")


def _classes_of(options, view):
    """The classes that get a network, all that have a score where none are named."""
    count = view.num_classes
    if options.classes is None:
        return [1] if view.binary else list(range(count))
    if view.binary and 0 in options.classes:
        raise ValueError(
            "A classifier with one output has a score for class 1 alone, and what "
            "speaks against it speaks for class 0. Received: 0 in "
            f"classes={options.classes}"
        )
    for each in options.classes:
        if not 0 <= each < count:
            raise ValueError(
                f"`classes` must be within 0..{count - 1}, the classes of the "
                f"classifier. Received: {each} in classes={options.classes}"
            )
    return list(options.classes)


class XNNView(typing.NamedTuple):
    """The parts of a classifier with explanation networks. Made by `xnn_view`.

    Attributes:
        model: The classifier as a `keras.Model`, untouched.
        networks: Its `keras_xcons.xnn.ExplanationNetworks`.
        classifier: The `keras.Model` that is explained.
    """

    model: keras.Model
    networks: ExplanationNetworks
    classifier: keras.Model


def xnn_view(model):
    """Finds the parts of a classifier with explanation networks.

    Args:
        model: What `xnn_classifier` or `create("xnn", ...)` made, or loaded; or a
            `ClassifierView` of it.

    Returns:
        An `XNNView`.

    Raises:
        TypeError: `model` is no `keras.Model`.
        ValueError: It has no explanation networks.

    Example:

    >>> xnn_view(model).networks.classes
    [0, 3]
    """
    model, networks, classifier = front_and_network(model, ExplanationNetworks)
    if networks is None:
        raise ValueError(
            "The model has no explanation networks: fit them by `keras_xcons.XNN`. "
            f"Received: model={model.name!r}"
        )
    return XNNView(model, networks, classifier)


def is_xnn(model):
    """Whether a model has explanation networks.

    Args:
        model: As for `xnn_view`.

    Returns:
        bool.

    Example:

    >>> is_xnn(keras_xcons.load("shapes_cnn"))
    False
    """
    return front_and_network(model, ExplanationNetworks)[1] is not None
