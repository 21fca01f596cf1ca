"""The model that a card describes."""

import inspect

from keras_xcons import models
from keras_xcons.version import __version__

# What `create` takes from elsewhere than the card's arguments.
_RESERVED = {
    name
    for name, parameter in inspect.signature(models.create).parameters.items()
    if parameter.kind is not parameter.VAR_KEYWORD
}


def build(card):
    """Builds the network of a card, with random weights.

    Args:
        card: A card, checked.

    Returns:
        A `keras.Model` under the present dtype policy.

    Raises:
        ValueError: This version of the package does not know the architecture or one
            of its arguments, or the card does not fit what they build.
    """
    what = f"The card of {card['name']!r}"
    reserved = sorted(_RESERVED & card["arguments"].keys())
    if reserved:
        raise ValueError(
            f"{what} must not set {reserved} as arguments of its architecture. "
            f"Received: arguments={card['arguments']}"
        )
    try:
        model = models.create(
            card["architecture"],
            len(card["class_names"]),
            tuple(card["input_size"]),
            **card["arguments"],
        )
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{what} describes a model that keras-xcons {__version__} cannot build; a "
            f"later version may know it. {error}"
        ) from error
    if model.count_params() != card["parameters"]:
        raise ValueError(
            f"{what} does not fit its architecture: {card['architecture']} with "
            f"arguments {card['arguments']} for {len(card['class_names'])} classes has "
            f"{model.count_params()} parameters. "
            f"Received: parameters={card['parameters']}"
        )
    return model
