"""Publishing of a trained model as a folder of plain data."""

import json
import os
import warnings

import keras
import numpy as np
import tensorflow as tf

from keras_xcons import checks, explainers, models
from keras_xcons.files import (
    files_together,
    is_stopped_in_between,
    locked,
    read_json,
    remove_leftovers,
    sha256_of_file,
    unfinished_folder,
    write_json,
)
from keras_xcons.models.offset import known_offset
from keras_xcons.models.weights import load_weights
from keras_xcons.version import __version__
from keras_xcons.zoo import card as cards
from keras_xcons.zoo import store
from keras_xcons.zoo.building import build
from keras_xcons.zoo.checking import answers, check_image, difference
from keras_xcons.zoo.float16 import save_float16
from keras_xcons.zoo.offsets import check_offset
from keras_xcons.zoo.places import INDEX_FILE, Folder
from keras_xcons.zoo.readme import readme

_PAGE_FILE = "README.md"
# Rounding to float16 moves a weight by at most half a unit in its last place: 2^-11
# of itself, or 2^-25 below the smallest normal number.
_RELATIVE, _ABSOLUTE = 2.0**-11, 2.0**-25
# Our choice: how far those roundings together may move a logit, as a share of the
# largest logit.
_LOGITS_TOLERANCE = 0.02


def publish(
    model,
    name,
    folder,
    *,
    architecture,
    arguments,
    class_names,
    method,
    recipe,
    metrics,
    data_license,
    weights_license,
    dataset,
    data,
    pretraining,
    feature_layer=None,
    explainer=None,
    offset=None,
    paper=None,
    url=None,
    overwrite=False,
):
    """Writes a trained model into a zoo, checked by loading it back.

    `<folder>/<name>/` gets `card.json`, `recipe.json`, `metrics.json`, `README.md` and
    `model.weights.h5` (float16), and keeps what else lies there. The model appears
    whole or not at all, and only when the loaded model agrees with the original to
    float16 precision. The zoo's `index.json`, from which a zoo behind a URL is listed,
    is brought up to date.

    Args:
        model: `keras.Model` that `models.create(architecture, ...)` could have
            built: images `(B, H, W, 3)` in 0..255 to logits `(B, C)`.
        name: Lower-case letters, digits, `_`, `-` and `.`. The convention is
            `architecture_dataset[_method]`; without a method it was trained by XCons.
        folder: The zoo, the folder that holds one folder a model. Made when it
            does not exist.
        architecture: Name of the architecture, of `models.architectures()`.
        arguments: Dict of further arguments of the architecture, such as
            `{"alpha": 0.5}`; may be empty.
        class_names: The C names of the classes, in the order of the logits.
        method: How it was trained, such as `"xcons"`.
        recipe: Dict of plain values, everything needed to train it again.
        metrics: Dict of plain values, as the evaluator wrote them.
        data_license: Licence of the training data.
        weights_license: Licence of these weights.
        dataset: Short name of the data set, as in the recipe, such as `"shapes"`.
        data: What it was trained on, in plain words: which data set, which subset, how
            many images.
        pretraining: What the weights were before, in plain words, such as
            `"none, random weights"`.
        feature_layer: Name of the layer that heatmaps are made of. Defaults to
            `None`: found by `models.split`.
        explainer: The explainer, one of `keras_xcons.explainers.names()`, by which its
            heatmaps were measured; the card keeps the map of `check_image` by it.
            Defaults to the model's own, or `"gradcam++"` where it has none.
        offset: `keras_xcons.explainers.Calibration` of its heatmaps, which whoever
            loads the model then has: of the layer that `models.split` finds, on
            images of the model's size. Defaults to `None`: not measured; where the
            model remembers a measured one, a warning says that it is left out.
        paper: Reference of the method's paper. Defaults to `None`.
        url: Where the weights file will be served, or `None` when it stays beside
            its card. Defaults to `None`.
        overwrite: Whether a model of this name is replaced. Defaults to `False`.

    Returns:
        `pathlib.Path` of the model's folder.

    Raises:
        TypeError: `model` is not a `keras.Model`, or `offset` not a `Calibration`.
        ValueError: A value is not as described, the model is not what
            `architecture` and `arguments` build, its weights are not finite, or
            the loaded model does not agree with it.
        FileExistsError: The model exists and `overwrite` is false, or a file would be
            replaced that is no model's.
        OSError: Another process publishes into the folder.

    Example:

    >>> publish(
    ...     model, "shapes_cnn", "zoo", architecture="small_cnn", arguments={},
    ...     class_names=class_names, method="xcons", recipe=recipe, metrics=metrics,
    ...     data_license="CC0-1.0", weights_license="Apache-2.0", dataset="shapes",
    ...     data="the generated shapes set, train split, 4,000 images",
    ...     pretraining="none, random weights")
    """
    _check_model(model, class_names)
    _check_json("recipe", recipe)
    _check_json("metrics", metrics)
    explainer = explainers.own_or_usual(model, explainer)
    explainers.check_name(explainer)
    layer = models.split(model, feature_layer).feature_layer
    check_offset(model, layer, offset)
    card = _card(
        model,
        name=name,
        url=url,
        architecture=architecture,
        arguments=dict(arguments),
        class_names=list(class_names),
        feature_layer=layer,
        explainer=explainer,
        offset=None if offset is None else offset.to_card(),
        method=method,
        dataset=dataset,
        data=data,
        pretraining=pretraining,
        data_license=data_license,
        weights_license=weights_license,
        paper=paper,
    )
    if offset is None and known_offset(model, layer) is not None:
        warnings.warn(
            "The model has a measured offset of its heatmaps, which is not published "
            "with it: give what `keras_xcons.calibrate` returned as `offset`.",
            stacklevel=2,
        )
    twin = _twin(model, card)
    zoo = checks.path("folder", folder).expanduser()
    zoo.mkdir(parents=True, exist_ok=True)
    # Two that publish at once would write an index without each other's model.
    with locked(zoo):
        remove_leftovers(zoo)
        final = zoo / name
        if final.is_dir():
            remove_leftovers(final)
        check_place(zoo, name, overwrite)
        with unfinished_folder(zoo) as work:
            _write_weights(work, model, twin, card)
            _write_data(work, card, recipe, metrics)
            # What a user will do is done once before anything is in place.
            store.weights_file(store.find(work))
            final.mkdir(exist_ok=True)
            with files_together(final, last=cards.CARD_FILE) as staging:
                for path in work.iterdir():
                    os.replace(path, staging / path.name)
        write_json(zoo / INDEX_FILE, Folder(zoo).summaries())
    return final


def check_place(folder, name, overwrite=False):
    """Refuses to replace what no model has brought, or a model that is to stay.

    Args:
        folder: `pathlib.Path` of the zoo.
        name: Name of the model that is to be published.
        overwrite: As for `publish`.

    Raises:
        FileExistsError: One line says what would be replaced.

    Example:

    >>> check_place(pathlib.Path("zoo"), "shapes_cnn", overwrite=True)
    """
    final = folder / name
    if is_stopped_in_between(final):
        pass  # what lies there is a model's, and is gone on with before the new one
    elif (final / cards.CARD_FILE).exists():
        if not overwrite:
            raise FileExistsError(
                f"{final} holds a model; pass overwrite=True to replace it. "
                f"Received: name={name!r}"
            )
    else:
        # A folder of a recipe that is still to be trained is no model, and its recipe
        # comes back with all its options.
        written = (cards.METRICS_FILE, _PAGE_FILE, cards.WEIGHTS_FILE)
        foreign = [one for one in written if os.path.lexists(final / one)]
        if foreign:
            raise FileExistsError(
                f"{', '.join(foreign)} in {final} would be replaced, and without a "
                "card there nothing shows that they are a model's: move them away. "
                f"Received: name={name!r}"
            )
    index = folder / INDEX_FILE
    if os.path.lexists(index) and not _is_index(index):
        raise FileExistsError(
            f"{index} would be replaced, and is not the list of a zoo's models: move "
            f"it away. Received: folder={str(folder)!r}"
        )


def _is_index(path):
    try:
        told, wrong = cards.read_index(read_json(path.read_bytes(), "it"), "it")
    except (OSError, ValueError):
        return False
    return bool(told) or not wrong


def _card(model, **described):
    """Returns a card, checked, whose sha256 and size are still to be filled in."""
    card = {
        "format": cards.FORMAT,
        "weights": cards.WEIGHTS_FILE,
        "sha256": "0" * 64,
        "bytes": 4 * model.count_params(),
        "input_size": list(model.input_shape[1:3]),
        "parameters": model.count_params(),
        "recipe": cards.RECIPE_FILE,
        "check": {"logits": [0.0] * len(described["class_names"]), "heatmap": None},
        "created_with": {
            "keras_xcons": __version__,
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
        },
        **described,
    }
    cards.check(card, f"of {described['name']!r}")
    return cards.in_order(card)


def _write_weights(work, model, twin, card):
    """Writes the weights, compares what was written, completes the card."""
    path = work / card["weights"]
    save_float16(model, path)
    card.update(sha256=sha256_of_file(path), bytes=path.stat().st_size)
    _compare(path, model, twin)
    card.update(check=answers(card, path))


def _write_data(work, card, recipe, metrics):
    write_json(work / cards.CARD_FILE, card)
    write_json(work / cards.RECIPE_FILE, recipe)
    write_json(work / cards.METRICS_FILE, metrics)
    (work / _PAGE_FILE).write_text(readme(card, metrics), encoding="utf-8")


def _check_model(model, class_names):
    if not isinstance(model, keras.Model):
        raise TypeError(f"`model` must be a keras.Model. Received: model={model!r}")
    image, logits = model.input_shape, model.output_shape
    if not (isinstance(image, tuple) and len(image) == 4 and None not in image[1:]):
        raise ValueError(
            "A published model takes images of one fixed size (B, H, W, 3). "
            f"Received: input_shape={image}"
        )
    if logits != (None, len(class_names)):
        raise ValueError(
            "`class_names` must have one name for each logit. "
            f"Received: {len(class_names)} names for output_shape={logits}"
        )


def _check_json(argument, value):
    if not isinstance(value, dict) or not value:
        raise ValueError(
            f"`{argument}` must be a non-empty dict. Received: {argument}={value!r}"
        )
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`{argument}` must hold plain JSON values, no NaN and no arrays "
            f"({error}). Received: {argument}={value!r}"
        ) from error


def _twin(model, card):
    """Builds what a user will load and refuses a model of another make."""
    twin = build(card)
    shapes = [[tuple(w.shape) for w in one.weights] for one in (model, twin)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            "The model is not what its architecture and arguments build: its weights "
            f"have other shapes. Received: architecture={card['architecture']!r}, "
            f"arguments={card['arguments']}"
        )
    return twin


def _compare(path, model, twin):
    """Loads what was written and compares it with the original."""
    load_weights(twin, path)
    for original, loaded in zip(model.weights, twin.weights, strict=True):
        before, after = (keras.ops.convert_to_numpy(one) for one in (original, loaded))
        if not np.allclose(after, before, rtol=_RELATIVE, atol=_ABSOLUTE):
            raise ValueError(
                f"{path} was not written: the loaded weights of {original.path} "
                "differ from the original by more than float16 rounding"
            )
    images = check_image(model.input_shape[1:3])[None]
    before, after = (keras.ops.convert_to_numpy(one(images)) for one in (model, twin))
    share = difference(before, after)
    if not share <= _LOGITS_TOLERANCE:
        raise ValueError(
            f"{path} was not written: the logits of the loaded model differ by "
            f"{share:.3g} of the largest"
        )
