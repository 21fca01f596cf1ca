"""The job of `keras-xcons explain`: image files in, overlays out."""

import os
import pathlib

import numpy as np

from keras_xcons import explainers, models, plotting
from keras_xcons.data import image_files, images, photographs
from keras_xcons.data.photographs import shown
from keras_xcons.printable import printable
from keras_xcons.recipes.opening import open_model

# Bytes of a name of 255, of which a number and `.png` need some.
_LONGEST_STEM = 240


def explain_files(
    name_or_path,
    paths,
    folder,
    explainer,
    label=None,
    report=print,
    align=True,
    normalize="max",
):
    """Writes an overlay of the heatmap for each image file.

    Args:
        name_or_path: The model, see `open_model`.
        paths: Image files, and folders, of which all image files are taken, those in
            folders within them as well; not what lies in `folder`.
        folder: `pathlib.Path` of the folder for the overlays, `<name>.png` each; of an
            explainer that shows more than a heatmap, all of it side by side.
        explainer: One of `keras_xcons.explainers.names()`.
        label: Index or name of the class to explain, or `None` for the predicted
            one.
        report: Function that is told each line for the user.
        align: Where maps are laid on images, see `keras_xcons.models.split`. Defaults
            to `True`.
        normalize: How maps are scaled, see `keras_xcons.explain`. Defaults to `"max"`.

    Returns:
        List of `(path, reason)` of the files that could not be explained; the others
        were.

    Raises:
        ValueError: The model, explainer or label is not accepted.
    """
    model, names = open_model(name_or_path)
    view = models.split(model, align=align)
    names = view.names(names) if names else names
    index = _class_index(label, names, view.num_classes)
    # An explainer that is unknown, or not for this model, is no fault of an image.
    known = explainers.classes_of(view, explainer)
    files, failed = _files(paths, folder, report)
    for path, target in zip(files, _targets(files, folder), strict=True):
        try:
            image = _read(path, view.input_shape)
            logits = view(image[None])[1]
            if not np.isfinite(logits).all():
                raise ValueError("the model answers with NaN or infinity")
            best = int(np.argmax(logits))
            name = names[best] if names else f"class {best}"
            labels = None if index is None else [index]
            if known is not None and index is None:
                if best not in known:
                    explained = [names[n] if names else str(n) for n in known]
                    raise ValueError(
                        f"The model says {name}, which its explainer does not explain; "
                        f"name one of {', '.join(explained)} as the class"
                    )
                # Or `explain` would look for it once more.
                labels = [best]
            heatmap = explainers.explain(
                view, image[None], labels, explainer, normalize=normalize
            )[0]
            picture = plotting.overlay(image, heatmap)
            more = explainers.panels(view, image[None], labels, explainer)
            if more:
                whole = {"image": image.astype("uint8"), "heatmap": picture}
                picture = plotting.row({**whole, **dict(e.shown(0) for e in more)})
            plotting.save(picture, target)
            scores = view.probabilities(logits)[0]
        except Exception as error:
            # One image out of many: whatever is wrong with it, the others go on.
            failed.append((shown(path), _reason(error)))
            continue
        share = f"{100 * float(scores[best]):.1f} %"
        report(printable(f"{shown(path)}: {name} ({share}) -> {shown(target)}"))
    return failed


def _files(paths, folder, report):
    """The image files that are meant, and `(path, reason)` where there is none."""
    files, failed = [], []
    for path in paths:
        if not os.path.isdir(path):
            files.append(path)
            continue
        try:
            found, others = image_files.find(path)
        except OSError as error:
            failed.append((shown(path), _reason(error)))
            continue
        # What an earlier run has written is not an image to explain.
        written = folder.resolve()
        found = [
            one
            for one in found
            if written not in one.resolve().parents or not plotting.is_saved(one)
        ]
        if others:
            report(f"{shown(path)}: {image_files.others_in_words(others)}")
        if not found:
            endings = image_files.accepted()
            reason = f"the folder holds no image file ending in {endings}"
            failed.append((shown(path), reason))
        files += map(str, found)
    return files, failed


def _reason(error):
    """Why an image could not be explained, in one line."""
    if isinstance(error, photographs.UnreadableImage):
        return error.reason
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


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
    taken = {_place(path) for path in paths}
    for path in paths:
        stem, number = _short(pathlib.Path(path).stem), 1
        target = folder / f"{stem}.png"
        while _place(target) in taken or _is_foreign(target):
            number += 1
            target = folder / f"{stem}_{number}.png"
        taken.add(_place(target))
        targets.append(target)
    return targets


def _is_foreign(target):
    return os.path.lexists(target) and not plotting.is_saved(target)


def _place(path):
    """Where a path leads; a link that leads to itself leads nowhere else."""
    return os.path.realpath(path)


def _short(stem):
    """A name that leaves room for a number and an ending in what a name may have."""
    return os.fsdecode(os.fsencode(stem)[:_LONGEST_STEM])


def _read(path, shape):
    """An image file as float32 `(H, W, 3)`, stretched to the model's size."""
    height, width = shape[:2]
    size = None if height is None else (height, width)
    return np.asarray(images.resize_image(photographs.read(path), size), "float32")
