"""The model that a card describes."""

import inspect

import tensorflow as tf

from keras_xcons import models
from keras_xcons.models.size_limit import TooLargeError, no_more_than
from keras_xcons.version import __version__

# What `create` takes from elsewhere than the card's arguments.
_RESERVED = {
    name
    for name, parameter in inspect.signature(models.create).parameters.items()
    if parameter.kind is not parameter.VAR_KEYWORD
}

# A ProtoPNet makes the last layer of its backbone too, which it does not keep.
_SPARE = 2


def build(card):
    """Builds the network of a card, with random weights.

    Args:
        card: A card, checked.

    Returns:
        A `keras.Model` under the present dtype policy.

    Raises:
        ValueError: This version of the package does not know the architecture or one
            of its arguments, or the card does not fit what they build. What would
            take far more memory than the card says is given up early.
    """
    what = f"The card of {card['name']!r}"
    reserved = sorted(_RESERVED & card["arguments"].keys())
    if reserved:
        raise ValueError(
            f"{what} must not set {reserved} as arguments of its architecture. "
            f"Received: arguments={card['arguments']}"
        )
    try:
        with no_more_than(_SPARE * card["parameters"]):
            model = models.create(
                card["architecture"],
                len(card["class_names"]),
                tuple(card["input_size"]),
                **card["arguments"],
            )
    except TooLargeError as error:
        raise ValueError(_other_size(what, card, error)) from error
    except (TypeError, ValueError, OverflowError, tf.errors.OpError) as error:
        raise ValueError(
            f"{what} describes a model that keras-xcons {__version__} cannot build; a "
            f"later version may know it, or `keras_xcons.models."
            f"register_architecture` has to make your own known first. {error}"
        ) from error
    if model.count_params() != card["parameters"]:
        raise ValueError(_other_size(what, card, model.count_params()))
    # Of a network in it, too, as that which a COMET classifier has behind its mask.
    layers = model._flatten_layers(include_self=False)
    if card["feature_layer"] not in {layer.name for layer in layers}:
        raise ValueError(
            f"{what} names a feature layer that {card['architecture']} does not have. "
            f"Received: feature_layer={card['feature_layer']!r}"
        )
    return model


def _other_size(what, card, count):
    return (
        f"{what} does not fit its architecture: {card['architecture']} with "
        f"arguments {card['arguments']} for {len(card['class_names'])} classes has "
        f"{count} parameters. Received: parameters={card['parameters']}"
    )
