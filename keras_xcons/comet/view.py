"""The parts of a classifier with a selector in front."""

import typing

import keras

from keras_xcons.comet.layers import Selection
from keras_xcons.models.fronted import front_and_network


class CometView(typing.NamedTuple):
    """The parts of a COMET classifier. Made by `comet_view`.

    Attributes:
        model: The classifier as a `keras.Model`, untouched.
        selection: Its `keras_xcons.comet.Selection`, with the selector.
        predictor: The `keras.Model` that sees what is selected.
    """

    model: keras.Model
    selection: Selection
    predictor: keras.Model


def comet_view(model):
    """Finds the parts of a COMET classifier.

    Args:
        model: A classifier made by `comet_classifier` or `create("comet", ...)`, or
            loaded; or a training model or `ClassifierView` of one.

    Returns:
        A `CometView`.

    Raises:
        TypeError: `model` is no `keras.Model`.
        ValueError: It is no COMET classifier.

    Example:

    >>> model = keras_xcons.models.create("comet", 5, 64, backbone="small_cnn")
    >>> comet_view(model).predictor.name
    'small_cnn'
    """
    model, selection, predictor = front_and_network(model, Selection)
    if selection is None:
        raise ValueError(
            "The model is no COMET classifier: it must consist of a selection and a "
            "predictor, as `keras_xcons.comet.comet_classifier` makes it. Received: "
            f"model={model.name!r}"
        )
    return CometView(model, selection, predictor)


def is_comet(model):
    """Whether a model is a COMET classifier.

    Args:
        model: As for `comet_view`.

    Returns:
        bool.

    Example:

    >>> is_comet(keras_xcons.load("shapes_cnn"))
    False
    """
    try:
        comet_view(model)
    except (TypeError, ValueError):
        return False
    return True
