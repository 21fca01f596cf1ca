"""The classifier of a training model, on its way into a file and out of it."""

import re

import keras


def to_config(classifier):
    """The config of a classifier, for that of its training model.

    Args:
        classifier: `keras.Model`.

    Returns:
        Dict, as `keras.saving.serialize_keras_object` makes it.

    Raises:
        ValueError: A part of it, such as the head of a pair, does not tell how it
            was made.
    """
    try:
        return keras.saving.serialize_keras_object(classifier)
    except NotImplementedError as error:
        found = re.search(r"Object (\w+) was created", str(error))
        part = found.group(1) if found else "a part of it"
        raise ValueError(
            f"The classifier cannot be saved whole, as {part} does not tell how it was "
            "made. Give its class a `get_config`, or save weights alone, with "
            f"`trainer.save_weights(path)`. Received: classifier={classifier.name!r}"
        ) from error


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
    try:
        return keras.saving.deserialize_keras_object(config, custom_objects)
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
