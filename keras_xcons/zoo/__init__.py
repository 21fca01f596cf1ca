"""The zoo: published models, plain data that is checked before it is opened."""

import fnmatch

from keras_xcons import models
from keras_xcons.models.weights import load_weights
from keras_xcons.zoo import store
from keras_xcons.zoo.publishing import publish

__all__ = ["download", "list_models", "load", "model_card", "publish"]


def list_models(pattern="*"):
    """Returns the names of the published models that can be found.

    Args:
        pattern: Name with the wildcards `*`, `?` and `[...]`; `"*_cub*"` for
            everything trained on CUB. Defaults to `"*"`.

    Returns:
        A sorted list of names, empty when nothing matches. A zoo that
        `KERAS_XCONS_ZOO` names by URL is listed from its `index.json`; when that
        cannot be read, a warning is logged and the other places are listed.

    Raises:
        FileNotFoundError: `KERAS_XCONS_ZOO` names a folder that does not exist.

    Example:

    >>> kx.list_models("no_such_model*")
    []
    """
    return sorted(fnmatch.filter(store.names(), pattern))


def model_card(name_or_folder):
    """Returns the card of a published model.

    Args:
        name_or_folder: As for `load`.

    Returns:
        The card as a dict: `name`, `architecture` and its `arguments`,
        `input_size`, `class_names`, `feature_layer`, `parameters`, `method`,
        `trained_on`, `recipe`, `data_license`, `weights_license`, `paper`,
        `created_with`, and the weights file with its `url`, `sha256` and `bytes`.

    Raises:
        ValueError: Unknown name, or a card with a missing or unknown field.
        FileNotFoundError: There is no such folder, or no card in it.

    Example:

    >>> kx.model_card("small_cnn_shapes")["class_names"]
    """
    return store.find(name_or_folder).card


def download(name):
    """Makes sure that the weights of a published model lie on this machine.

    Args:
        name: As for `load`.

    Returns:
        `pathlib.Path` of the weights file, its sha256 checked: where the model
        was found if the file is there, else in the cache under the Keras home.

    Raises:
        ValueError: Unknown name, or a file that differs from what the card says.
        ConnectionError: The download failed; nothing of it is left.
        FileNotFoundError: The file is nowhere, and it has no URL or
            `KERAS_XCONS_OFFLINE` is set.

    Example:

    >>> path = kx.zoo.download("small_cnn_shapes")
    """
    return store.weights_file(store.find(name))


def load(name_or_folder):
    """Loads a published model.

    A name is looked up in the folder or URL that `KERAS_XCONS_ZOO` gives, in the
    `zoo/` of a checkout and in the cache under the Keras home. Weights that are not
    beside the card are taken from the cache, else downloaded into it, unless
    `KERAS_XCONS_OFFLINE=1`. The sha256 of a file is checked before it is opened.

    Args:
        name_or_folder: A name of `list_models()`, or the path of a folder that
            holds a `card.json` and the weights file. A string is a path when it
            has a separator or begins with `.` or `~`; any other string is first
            looked up as a name.

    Returns:
        A `keras.Model` with float32 variables: images `(B, H, W, 3)` in 0..255 in,
        uint8 or floating point, logits `(B, C)` out. What the classes are called is
        in `model_card(name)["class_names"]`.

    Raises:
        ValueError: Unknown name, a card with a missing or unknown field, or a file
            that differs from what the card says.
        ConnectionError: The download failed; nothing of it is left.
        FileNotFoundError: There is no such folder, or the weights are nowhere.

    Example:

    >>> model = kx.load("small_cnn_shapes")
    >>> logits = model.predict(images)
    """
    entry = store.find(name_or_folder)
    path = store.weights_file(entry)
    card = entry.card
    model = models.create(
        card["architecture"],
        len(card["class_names"]),
        tuple(card["input_size"]),
        **card["arguments"],
    )
    if model.count_params() != card["parameters"]:
        raise ValueError(
            f"The card of {card['name']!r} does not fit its architecture: "
            f"{card['architecture']} with arguments {card['arguments']} has "
            f"{model.count_params()} parameters. "
            f"Received: parameters={card['parameters']}"
        )
    load_weights(model, path)
    return model
