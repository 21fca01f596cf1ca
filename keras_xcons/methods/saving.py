"""The classifier of a training model, on its way into a file and out of it."""

import dataclasses
import re

import keras

from keras_xcons.models.offset import Offset, offsets_of, remember_offsets

# Of what Keras' serialization does not know.
_OFFSETS = "heatmap_offsets"


def to_config(classifier):
    """The config of a classifier, for that of its training model.

    Args:
        classifier: `keras.Model`.

    Returns:
        Dict, as `keras.saving.serialize_keras_object` makes it, with the measured
        offsets of its heatmaps if there are any.

    Raises:
        ValueError: A part of it, such as the head of a pair, does not tell how it
            was made.
    """
    try:
        config = keras.saving.serialize_keras_object(classifier)
    except NotImplementedError as error:
        found = re.search(r"Object (\w+) was created", str(error))
        part = found.group(1) if found else "a part of it"
        raise ValueError(
            f"The classifier cannot be saved whole, as {part} does not tell how it was "
            "made. Give its class a `get_config`, or save weights alone, with "
            f"`trainer.save_weights(path)`. Received: classifier={classifier.name!r}"
        ) from error
    offsets = {
        layer: dataclasses.astuple(offset)
        for layer, offset in offsets_of(classifier).items()
    }
    return {**config, _OFFSETS: offsets} if offsets else config


def from_config(config, custom_objects=None):
    """The classifier that `to_config` made a config of.

    Args:
        config: Dict.
        custom_objects: Dict from names to classes that Keras does not know, or `None`.

    Returns:
        `keras.Model`.

    Raises:
        ValueError: A class of it is not known.
    """
    config = dict(config)
    offsets = config.pop(_OFFSETS, {})
    try:
        classifier = keras.saving.deserialize_keras_object(config, custom_objects)
    except TypeError as error:
        found = re.search(r"Could not locate class '(\w+)'", str(error))
        if found is None:
            raise
        name = found.group(1)
        raise ValueError(
            f"The classifier of this training model holds a {name}, which Keras cannot "
            "find. Decorate the class with "
            "`@keras.saving.register_keras_serializable()` and import it, or load with "
            f"`custom_objects={{{name!r}: {name}}}`. Received: a file with the class "
            f"{name!r}"
        ) from error
    remember_offsets(
        classifier, {layer: Offset(*shares) for layer, shares in offsets.items()}
    )
    return classifier
