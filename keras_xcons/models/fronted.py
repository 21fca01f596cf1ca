"""Classifiers with a layer of a family in front of a whole network."""

import keras

from keras_xcons.models.accepting import TrainsClassifier
from keras_xcons.models.kinds import exactly
from keras_xcons.models.policy import dtype_policy
from keras_xcons.models.view import ClassifierView


def fronted(network, front, name):
    """Puts a layer in front of a classifier.

    Args:
        network: A functional or built Sequential `keras.Model`; part of the result.
        front: `keras.layers.Layer` from images to images.
        name: Name of the result.

    Returns:
        A functional `keras.Model`, images to what the network returns.

    Example:

    >>> model = fronted(network, keras.layers.Rescaling(1.0), "rescaled")
    """
    images = keras.Input(network.input_shape[1:], name="images")
    inside = front(images)
    # Keras decides by the policy of the whole whether it scales the loss.
    with dtype_policy(network.dtype_policy):
        return keras.Model(images, network(inside), name=name)


def front_and_network(model, kind):
    """The two parts of a classifier that `fronted` made.

    Args:
        model: A `keras.Model`, or a training model or `ClassifierView` of one.
        kind: Class of the layer in front.

    Returns:
        `(model, front, network)`; both parts are `None` where the model is none.

    Raises:
        TypeError: `model` is no `keras.Model`.

    Example:

    >>> front_and_network(keras_xcons.load("shapes_cnn"), Selection)[1:]
    (None, None)
    """
    if isinstance(model, TrainsClassifier):
        model = model.classifier
    if isinstance(model, ClassifierView):
        model = model.model
    if not isinstance(model, keras.Model):
        raise TypeError(
            "A classifier must be a `keras.Model`. Received: model of type "
            f"{type(model).__name__}"
        )
    layers = [
        each for each in model.layers if not exactly(each, keras.layers.InputLayer)
    ]
    fits = len(layers) == 2 and all(map(isinstance, layers, (kind, keras.Model)))
    return model, *(layers if fits else (None, None))
