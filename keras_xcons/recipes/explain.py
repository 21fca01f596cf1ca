"""The job of `keras-xcons explain`: image files in, overlays out."""

import os
import pathlib

import numpy as np

from keras_xcons import explainers, models, plotting, zoo
from keras_xcons.models.keras_file import open_keras
from keras_xcons.printable import printable


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
        return zoo.load(name_or_path), zoo.info(name_or_path)["class_names"]
    return open_keras(path), None


def explain_files(name_or_path, paths, folder, method, label=None, report=print):
    """Writes an overlay of the heatmap for each image file.

    Args:
        name_or_path: The model, see `open_model`.
        paths: Image files.
        folder: `pathlib.Path` of the folder for the overlays, `<name>.png` each.
        method: One of `keras_xcons.explainers.methods()`.
        label: Index or name of the class to explain, or `None` for the predicted
            one.
        report: Function that is told each line for the user.

    Returns:
        List of `(path, reason)` of the files that could not be explained; the others
        were.

    Raises:
        ValueError: The model, method or label is not accepted.
    """
    model, names = open_model(name_or_path)
    view = models.split(model)
    names = view.names(names) if names else names
    index = _class_index(label, names, view.num_classes)
    targets = _targets(paths, folder)
    failed = []
    for path, target in zip(paths, targets, strict=True):
        try:
            image = _read(path, view.input_shape)
        except (OSError, ValueError) as error:
            failed.append((path, str(error).splitlines()[0]))
            continue
        logits = view(image[None])[1]
        if not np.isfinite(logits).all():
            failed.append((path, "the model answers with NaN or infinity"))
            continue
        labels = None if index is None else [index]
        heatmap = explainers.explain(view, image[None], labels, method)[0]
        plotting.save(plotting.overlay(image, heatmap), target)
        scores = view.probabilities(logits)[0]
        best = int(np.argmax(scores))
        name = names[best] if names else f"class {best}"
        share = f"{100 * float(scores[best]):.1f} %"
        report(printable(f"{path}: {name} ({share}) -> {target}"))
    return failed


def _class_index(label, names, count):
    """The index of a class given by index or by name."""
    if label is None:
        return None
    if names and label in names:
        return list(names).index(label)
    if str(label).isdecimal() and len(str(label)) < 10 and int(label) < count:
        return int(label)
    known = f"0..{count - 1}" + (f" or one of {', '.join(names)}" if names else "")
    raise ValueError(f"A class is given as {known}. Received: label={label!r}")


def _targets(paths, folder):
    """One file a picture; images of the same name get a number.

    So does what would replace one of the images, or a file of the user's own.
    """
    targets = []
    taken = {pathlib.Path(path).resolve() for path in paths}
    for path in paths:
        stem, number = pathlib.Path(path).stem, 1
        target = folder / f"{stem}.png"
        while target.resolve() in taken or _is_foreign(target):
            number += 1
            target = folder / f"{stem}_{number}.png"
        taken.add(target.resolve())
        targets.append(target)
    return targets


def _is_foreign(target):
    return os.path.lexists(target) and not plotting.is_saved(target)


def _read(path, shape):
    """An image file as float32 `(H, W, 3)`, stretched to the model's size."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            picture = picture.convert("RGB")
    except UnidentifiedImageError as error:
        raise ValueError("is not an image, or of an unknown kind") from error
    except OSError as error:
        raise OSError(error.strerror or str(error)) from error
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error
    height, width = shape[:2]
    if height is not None:
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(picture, "float32")
