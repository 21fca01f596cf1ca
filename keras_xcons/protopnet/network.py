"""ProtoPNet: a classifier that compares images with learned prototypes."""

import keras
import numpy as np

from keras_xcons.data import arguments as data_arguments
from keras_xcons.models import (
    create_backbone,
    register_architecture,
)
from keras_xcons.protopnet.layers import Prototypes, PrototypeSimilarity

# Weights of the last layer at first: a prototype speaks for its own class and
# against every other (Chen et al. 2019, section 2.2).
_OWN, _OTHER = 1.0, -0.5


@register_architecture("protopnet")
def protopnet(
    num_classes,
    input_size,
    pretrained=None,
    *,
    backbone="resnet18",
    prototypes=10,
    channels=128,
    backbone_arguments=None,
):
    """ProtoPNet (Chen et al. 2019, arXiv 1806.10574) on another architecture.

    The architecture up to its layer `"features"`, a 1x1 convolution with ReLU, a 1x1
    convolution with sigmoid, the layer `"prototypes"` with the smallest distances
    (`keras_xcons.protopnet.layers.Prototypes`), their similarities, and a `Dense`
    layer `"logits"` without bias that starts with 1 between a prototype and its own
    class and -0.5 to the others.
    Every training method trains it, by
    `keras_xcons.protopnet.ProtoPNetObjective`.

    Args:
        num_classes: Number of logits, at least 2.
        input_size: `(height, width)` in pixels, as the backbone takes it.
        pretrained: What the backbone takes: `None`, `"imagenet"`, or the path of a
            weights file of the network without its top or of a whole classifier.
        backbone: Name of any other architecture. Defaults to `"resnet18"`.
        prototypes: Number of prototypes a class, an int of at least 1, or a list of
            one int a class, as it is after pruning. Defaults to 10.
        channels: Channels of the prototypes. Defaults to 128.
        backbone_arguments: Dict of arguments of the backbone, such as
            `{"alpha": 0.5}`. Defaults to none.

    Returns:
        A functional `keras.Model`, images in 0..255 to float32 logits.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of range, or the backbone is unknown.
    """
    if num_classes < 2:
        raise ValueError(
            "A ProtoPNet tells classes apart: `num_classes` must be at least 2. "
            f"Received: num_classes={num_classes}"
        )
    data_arguments.check_count(channels, "channels", data_arguments.MOST_CHANNELS)
    counts = _counts(prototypes, num_classes)
    base = create_backbone(
        *(backbone, num_classes, input_size, pretrained, backbone_arguments),
        without=("comet", "protopnet", "xnn"),
    )
    features = base.get_layer("features").output
    # A 1x1 convolution is a dense layer at every location. Written so, "features"
    # stays the last 4-D activation, the one that heatmaps of a class are drawn on:
    # the sigmoids of the prototypes' space are nowhere 0 and would blur them.
    height, width, depth = features.shape[1:]
    x = keras.layers.Reshape((height * width, depth), name="locations")(features)
    x = keras.layers.Dense(
        channels, activation="relu", kernel_initializer="he_normal", name="add_on1"
    )(x)
    x = keras.layers.Dense(channels, activation="sigmoid", name="add_on2")(x)
    x = Prototypes(counts, name="prototypes")(x)
    x = PrototypeSimilarity(name="similarity")(x)
    dense = last_layer(num_classes)
    model = keras.Model(base.input, dense(x), name="protopnet")
    owners = np.repeat(np.arange(num_classes), counts)
    own = owners[:, None] == np.arange(num_classes)
    dense.kernel.assign(np.where(own, _OWN, _OTHER))
    return model


def last_layer(num_classes):
    """The `Dense` layer `"logits"` that weighs the prototypes, without a bias.

    Args:
        num_classes: Number of logits.

    Returns:
        A `keras.layers.Dense`, not built yet.
    """
    return keras.layers.Dense(
        num_classes, use_bias=False, dtype="float32", name="logits"
    )


def _counts(prototypes, num_classes):
    """The number of prototypes of each class."""
    if isinstance(prototypes, list | tuple):
        if len(prototypes) != num_classes:
            raise ValueError(
                f"`prototypes` must be an int or a list of {num_classes} ints, one a "
                f"class. Received: prototypes of length {len(prototypes)}"
            )
        return list(prototypes)
    if isinstance(prototypes, bool) or not isinstance(prototypes, int):
        raise TypeError(
            f"`prototypes` must be an int or a list of {num_classes} ints, one a "
            f"class. Received: prototypes={prototypes!r}"
        )
    # Refused here: the list of so many could itself be too long.
    data_arguments.check_count(prototypes, "prototypes", data_arguments.MOST_CHANNELS)
    return [prototypes] * num_classes
