"""Models that a job is told: published ones by name, saved ones by file."""

import pathlib

from keras_xcons import zoo
from keras_xcons.models.keras_file import open_keras


def open_model(name_or_path):
    """Loads a published model by name, or a saved one from a `.keras` file.

    Args:
        name_or_path: A name of `keras_xcons.list_models()`, a folder with a card, or
            the path of a `.keras` file.

    Returns:
        `(model, class_names)`; the names are `None` where they are not known.

    Raises:
        ValueError: The name is unknown, or the file holds no model.
        FileNotFoundError: The file does not exist.
    """
    path = pathlib.Path(name_or_path)
    if path.suffix != ".keras":
        if path.is_file():
            raise ValueError(
                "A model is the name of a published one, a folder with a card, or a "
                f"`.keras` file. Received: model={str(path)!r}"
            )
        return zoo.load(name_or_path), zoo.info(name_or_path)["class_names"]
    return open_keras(path), None


def notes_on_names(label, names, classes):
    """What to say where a model knows its classes by other names than the data set.

    Args:
        label: What the model is called.
        names: Names of its classes, or `None` where they are not known.
        classes: Those of the data set.

    Returns:
        List of sentences.

    Raises:
        ValueError: They are the same in another order.
    """
    if names is None or tuple(names) == tuple(classes):
        return []
    if sorted(names) == sorted(classes):
        raise ValueError(
            f"The classes of {label} are those of the data set in another order. "
            f"Received: {', '.join(names)}"
        )
    return [
        f"The classes of {label} have other names than those of the data set; they are "
        "taken to be the same, in order."
    ]
