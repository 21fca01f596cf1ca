"""COMET: a classifier that sees of an image what its selector selects."""

import keras
import numpy as np

from keras_xcons.comet.layers import ResizeLike, Selection
from keras_xcons.data import arguments as data_arguments
from keras_xcons.models import (
    copy_part,
    create_backbone,
    register_architecture,
    split,
)
from keras_xcons.models.accepting import check_model
from keras_xcons.models.flatten import is_graph, used
from keras_xcons.models.frame import nodes_between
from keras_xcons.models.fronted import fronted
from keras_xcons.models.kinds import exactly

_CHANNELS = 128
# The finer features of the default selector, in cells of at most so many pixels.
_FINEST = 8


@register_architecture("comet")
def comet(
    num_classes,
    input_size,
    pretrained=None,
    *,
    backbone="mobilenet_v2",
    channels=_CHANNELS,
    backbone_arguments=None,
):
    """COMET (Zhang et al. 2024, arXiv 2407.19308) on another architecture.

    The layer `"selection"`, a selector and what it leaves of the images, in front of
    the other architecture, the predictor. The selector is `default_selector` of it.
    Trained by `keras_xcons.COMETModel`.

    Args:
        num_classes: Number of logits.
        input_size: `(height, width)` in pixels, as the backbone takes it.
        pretrained: What the backbone takes: `None`, `"imagenet"`, or the path of a
            weights file of the network without its top or of a whole classifier.
        backbone: Name of any other architecture. Defaults to `"mobilenet_v2"`.
        channels: Channels of the selector's head. Defaults to 128.
        backbone_arguments: Dict of arguments of the backbone, such as
            `{"alpha": 0.5}`. Defaults to none.

    Returns:
        A functional `keras.Model`, images in 0..255 to float32 logits.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of range, or the backbone is unknown.
    """
    predictor = create_backbone(
        *(backbone, num_classes, input_size, pretrained, backbone_arguments),
        without=("comet", "protopnet", "xnn"),
    )
    return comet_classifier(predictor, default_selector(predictor, channels))


def comet_classifier(predictor, selector=None):
    """Puts a selector in front of a classifier.

    Args:
        predictor: A functional or built Sequential `keras.Model`, images
            `(B, H, W, channels)` in 0..255 to one score a class. It is part of the
            result, not copied.
        selector: A functional or built Sequential `keras.Model`, the same images to
            masks `(B, h, w, 1)` in 0..1, of any resolution; it ends in a sigmoid, as a
            rule. Part of the result, too. Defaults to `default_selector(predictor)`.

    Returns:
        A functional `keras.Model`, images to what the predictor returns, with the
        layers `"selection"`, a `keras_xcons.comet.Selection`, and the predictor.

    Raises:
        TypeError: One of them is no `keras.Model`.
        ValueError: The predictor is no classifier, or the selector returns no masks,
            or takes other images than the predictor.

    Example:

    >>> predictor = keras_xcons.models.create("mobilenet_v2", 37, 160)
    >>> model = comet_classifier(predictor)
    >>> model.get_layer("selection").selector.output_shape
    (None, 20, 20, 1)
    """
    check_model(predictor)
    if selector is None:
        selector = default_selector(predictor)
    check_selector(selector, predictor)
    return fronted(predictor, Selection(selector, name="selection"), "comet")


def default_selector(predictor, channels=_CHANNELS):
    """A selector on a copy of a classifier's own backbone.

    The head is that of LR-ASPP (Howard et al. 2019, arXiv 1905.02244, section 6.3): the
    last features under a gate of their mean, resized and added to finer features, those
    of the last layer with cells of at most 8 px where the backbone has such. The
    backbone starts with the weights of the classifier.

    Args:
        predictor: A classifier with a feature map.
        channels: Channels of the head. Defaults to 128.

    Returns:
        A functional `keras.Model`, images to float32 masks `(B, h, w, 1)` in 0..1.

    Raises:
        TypeError: `channels` is no int.
        ValueError: The classifier has no feature map, or `channels` is below 1.

    Example:

    >>> selector = default_selector(keras_xcons.load("shapes_cnn"))
    >>> selector.output_shape
    (None, 16, 16, 1)
    """
    data_arguments.check_count(channels, "channels", data_arguments.MOST_CHANNELS)
    view = split(predictor)
    coarse, size = view.flat.outputs[0], predictor.input_shape[1:3]
    finer = _finer(view.flat.inputs[0], coarse, size)
    backbone = copy_part(view.flat, [coarse, *([] if finer is None else [finer])])
    coarse, *finer = backbone.outputs
    policy = predictor.dtype_policy

    def conv(filters, name, **arguments):
        return keras.layers.Conv2D(filters, 1, name=name, dtype=policy, **arguments)

    x = conv(channels, "selector_conv", use_bias=False)(coarse)
    x = keras.layers.BatchNormalization(name="selector_bn", dtype=policy)(x)
    x = keras.layers.ReLU(name="selector_relu", dtype=policy)(x)
    gate = keras.layers.GlobalAveragePooling2D(
        keepdims=True, name="selector_mean", dtype=policy
    )(coarse)
    gate = conv(channels, "selector_gate", activation="sigmoid", use_bias=False)(gate)
    x = keras.layers.Multiply(name="selector_gated", dtype=policy)([x, gate])
    x = conv(1, "selector_coarse")(x)
    for fine in finer:
        x = ResizeLike(name="selector_resize", dtype=policy)([x, fine])
        fine = conv(1, "selector_fine")(fine)
        x = keras.layers.Add(name="selector_sum", dtype=policy)([x, fine])
    masks = keras.layers.Activation("sigmoid", dtype="float32", name="mask")(x)
    return keras.Model(backbone.inputs[0], masks, name="selector")


def _finer(images, coarse, size):
    """The last features before the coarse ones that have the resolution of `_FINEST`.

    `None` where there are none, or where the size of the images is not known.
    """
    if None in (*size, *coarse.shape[1:3]):
        return None
    for node in reversed(nodes_between(images, coarse)):
        (tensor, *others) = node.outputs
        if others or len(tensor.shape) != 4 or None in tensor.shape[1:]:
            continue
        if exactly(used(node.operation), keras.layers.ZeroPadding2D):
            continue
        finer = all(
            side >= 2 * least and side * _FINEST >= pixels
            for side, least, pixels in zip(
                tensor.shape[1:3], coarse.shape[1:3], size, strict=True
            )
        )
        if finer:
            return None if tensor.shape[1:3] == tuple(size) else tensor
    return None


def takes_images_of(model, predictor):
    """Whether a model takes images as a predictor does.

    Args:
        model: `keras.Model` with one input.
        predictor: `keras.Model` of images.

    Returns:
        bool. A side that either leaves open fits any.
    """
    taken, given = model.input_shape[1:], predictor.input_shape[1:]
    return len(taken) == len(given) and all(
        None in (a, b) or a == b for a, b in zip(taken, given, strict=True)
    )


def check_selector(selector, predictor):
    """Refuses what returns no masks of a predictor's images.

    Args:
        selector: What came in.
        predictor: `keras.Model` whose images it has to take.

    Raises:
        TypeError: It is no `keras.Model`.
        ValueError: It is not as `comet_classifier` says.
    """
    if not isinstance(selector, keras.Model):
        raise TypeError(
            "`selector` must be a `keras.Model`. Received: selector of type "
            f"{type(selector).__name__}"
        )
    built = is_graph(selector) and selector.built and getattr(selector, "inputs", None)
    if not built or len(selector.inputs) != 1 or len(selector.outputs) != 1:
        raise ValueError(
            "`selector` must be a functional or built Sequential model with one input "
            "and one output, so that it can be saved with its predictor. Received: "
            f"selector={selector.name!r} of type {type(selector).__name__}"
        )
    shape = tuple(selector.output_shape)
    if len(shape) != 4 or shape[-1] != 1:
        raise ValueError(
            "`selector` must return masks (batch, height, width, 1), one channel of "
            f"any resolution. Received: a selector with output shape {shape}"
        )
    taken, given = selector.input_shape[1:], predictor.input_shape[1:]
    if not takes_images_of(selector, predictor):
        raise ValueError(
            "`selector` and predictor must take the same images. Received: a selector "
            f"of images {tuple(taken)} and a predictor of {tuple(given)}"
        )
    size = [side or 64 for side in given]
    images = np.random.default_rng(0).uniform(0.0, 255.0, (2, *size))
    masks = np.asarray(selector(images.astype("float32"), training=False), "float64")
    if not (np.isfinite(masks).all() and masks.min() >= 0 and masks.max() <= 1):
        raise ValueError(
            "`selector` must return values in 0..1, as behind a sigmoid. Received: a "
            f"selector with values from {masks.min():.3g} to {masks.max():.3g}"
        )
