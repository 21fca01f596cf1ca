"""What the classifiers have in common: preprocessing, pooling, one `Dense` layer."""

import keras

from keras_xcons.models.architectures import preprocessing
from keras_xcons.models.weights import load_weights
from keras_xcons.offline import is_offline

IMAGENET = "imagenet"
# Its weights fit every image size, yet MobileNetV2 warns of others than its own.
_IMAGENET_SIZE = (224, 224)


class Application:
    """A network of `keras.applications` without its top.

    Args:
        build: Function of `keras.applications`, such as
            `keras.applications.MobileNetV2`.
        **arguments: What it is given beside the weights and the input.

    Call arguments:
        images: Symbolic tensor `(B, H, W, 3)`, preprocessed.

    Returns, when called:
        Symbolic tensor, the last feature map of a network of random weights.

    Example:

    >>> network = Application(keras.applications.MobileNetV2, alpha=0.35)
    >>> network(keras.Input((64, 64, 3))).shape
    (None, 2, 2, 1280)
    """

    def __init__(self, build, **arguments):
        self._build = build
        self._arguments = {"include_top": False, **arguments}

    def __call__(self, images):
        return self._build(weights=None, input_tensor=images, **self._arguments).output

    def imagenet_weights(self):
        """The ImageNet weights, as `get_weights` has them; Keras downloads them.

        Raises:
            ConnectionError: They could not be downloaded, or `KERAS_XCONS_OFFLINE`
                is set.
        """
        if is_offline():
            raise ConnectionError(
                "KERAS_XCONS_OFFLINE is set, and Keras may download ImageNet weights. "
                "A file that it has downloaded before, such as those in "
                "~/.keras/models, can be given by its path. "
                f"Received: pretrained={IMAGENET!r}"
            )
        # Of another model than the classifier: with these weights some networks have
        # more layers than without.
        shape = (*_IMAGENET_SIZE, 3)
        try:
            donor = self._build(weights=IMAGENET, input_shape=shape, **self._arguments)
        except Exception as error:
            # Of no class of its own when Keras' download has failed.
            if type(error) is not Exception:
                raise
            raise ConnectionError(
                f"Keras could not download the ImageNet weights: {error}. "
                f"Received: pretrained={IMAGENET!r}"
            ) from error
        return donor.get_weights()


def classifier(
    network,
    name,
    num_classes,
    input_size,
    pretrained=None,
    *,
    mode,
    dropout=0.0,
    min_size=32,
):
    """Builds one flat model: images, preprocessing, network, pooling, logits.

    The layers of the network are layers of the model itself. Its last feature map is
    the output of the layer `"features"`, whatever the network calls it, and that of
    some networks has no name that lasts.

    Args:
        network: Function of the preprocessed images, a symbolic tensor, that returns
            the last feature map, another one. ImageNet weights are those of an
            `Application`.
        name: Name of the model.
        num_classes: Number of logits.
        input_size: `(height, width)` in pixels.
        pretrained: `None`, `"imagenet"`, or the path of a weights file of the
            network. Defaults to `None`.
        mode: Key of `preprocessing.MODES`: what the network expects of images.
        dropout: Rate before the logits, in [0, 1). Defaults to 0.
        min_size: Smallest height and width that it takes, in pixels. Defaults to 32.

    Returns:
        A functional `keras.Model`, images in 0..255 to float32 logits.

    Raises:
        ValueError: The images are too small, ImageNet weights are asked for and
            there are none, or a file does not fit the network.
        ConnectionError: The ImageNet weights could not be downloaded, or
            `KERAS_XCONS_OFFLINE` is set.
    """
    if min(input_size) < min_size:
        raise ValueError(
            f"`input_size` must be at least {min_size} x {min_size} for {name}. "
            f"Received: input_size={input_size}"
        )
    if pretrained == IMAGENET and not isinstance(network, Application):
        raise ValueError(
            f"There are no ImageNet weights of {name} in keras.applications: "
            "`pretrained` must be None or the path of a weights file. "
            f"Received: pretrained={pretrained!r}"
        )
    images = keras.Input((*input_size, 3), name="images")
    x = preprocessing.preprocess(images, mode)
    x = network(x)
    backbone = keras.Model(images, x, name=name)
    if pretrained == IMAGENET:
        backbone.set_weights(network.imagenet_weights())
    elif pretrained is not None:
        load_weights(backbone, pretrained)
    features = keras.layers.Activation("linear", name="features")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pooling")(features)
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    logits = keras.layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(images, logits, name=name)
