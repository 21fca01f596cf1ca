"""What the classifiers have in common: preprocessing, pooling, one `Dense` layer."""

import keras

from keras_xcons.models.architectures import preprocessing
from keras_xcons.models.weights import load_weights

IMAGENET = "imagenet"


def classifier(
    network,
    name,
    num_classes,
    input_size,
    pretrained=None,
    *,
    mode,
    dropout=0.0,
    has_imagenet=True,
):
    """Builds one flat model: images, preprocessing, network, pooling, logits.

    The layers of the network are layers of the model itself. Its last feature map is
    the output of the layer `"features"`, whatever the network calls it, and that of
    some networks has no name that lasts.

    Args:
        network: Function `(weights, input_tensor=None, input_shape=None)` that
            builds the network without a top, as those of `keras.applications` are.
        name: Name of the model.
        num_classes: Number of logits.
        input_size: `(height, width)` in pixels.
        pretrained: `None`, `"imagenet"`, or the path of a weights file of the
            network. Defaults to `None`.
        mode: Key of `preprocessing.MODES`: what the network expects of images.
        dropout: Rate before the logits, in [0, 1). Defaults to 0.
        has_imagenet: Whether `network` knows ImageNet weights. Defaults to `True`.

    Returns:
        A functional `keras.Model`, images in 0..255 to float32 logits.

    Raises:
        ValueError: ImageNet weights are asked for and there are none, or a file
            does not fit the network.
    """
    if pretrained == IMAGENET and not has_imagenet:
        raise ValueError(
            f"There are no ImageNet weights of {name} in keras.applications: "
            "`pretrained` must be None or the path of a weights file. "
            f"Received: pretrained={pretrained!r}"
        )
    images = keras.Input((*input_size, 3), name="images")
    x = preprocessing.preprocess(images, mode)
    backbone = network(weights=None, input_tensor=x)
    if pretrained == IMAGENET:
        # A network of its own: some change their graph when they know the weights.
        donor = network(weights=IMAGENET, input_shape=(*input_size, 3))
        backbone.set_weights(donor.get_weights())
    elif pretrained is not None:
        load_weights(backbone, pretrained)
    features = keras.layers.Activation("linear", name="features")(backbone.output)
    x = keras.layers.GlobalAveragePooling2D(name="pooling")(features)
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    logits = keras.layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(images, logits, name=name)
