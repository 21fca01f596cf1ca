"""How far the heatmaps of a model are shifted against its images."""

import dataclasses
import zlib

import keras
import numpy as np

from keras_xcons import checks
from keras_xcons.models.view_cache import cache_of

ACCEPTED = (
    'True, False, "geometric" or (rows, columns) in pixels, which of a Calibration are '
    "(found.rows, found.columns)"
)


@dataclasses.dataclass(frozen=True)
class Offset:
    """The shift that puts heatmaps where the network looks.

    Relative to the nominal placement, in which the cells of a feature map tile what
    the model sees of the image; positive numbers move the map down and to the right.

    Attributes:
        rows: Share of a cell of the feature map, so that it holds at any image size.
        columns: Likewise.
    """

    rows: float = 0.0
    columns: float = 0.0


def known_offset(model, feature_layer):
    """The measured offset of a model's heatmaps.

    Args:
        model: `keras.Model`.
        feature_layer: Name of the layer that they are made of.

    Returns:
        The `Offset` last remembered, or `None`.
    """
    return cache_of(model).offsets.get(feature_layer)


def remember_offset(model, feature_layer, offset):
    """Keeps the offset of a model's heatmaps, for as long as the model lives.

    It is no part of what Keras saves: a `.keras` file does not hold it, the card of a
    published model does.

    Args:
        model: `keras.Model`.
        feature_layer: Name of the layer that they are made of.
        offset: `Offset`.
    """
    cache = cache_of(model)
    cache.offsets[feature_layer] = offset
    cache.fingerprints[feature_layer] = _fingerprint(model)


def forget_offset(model, feature_layer):
    """Leaves the heatmaps of a model where they are, as one whose offset is not known.

    Args:
        model: `keras.Model`.
        feature_layer: Name of the layer that they are made of.
    """
    cache = cache_of(model)
    cache.offsets.pop(feature_layer, None)
    cache.fingerprints.pop(feature_layer, None)


def is_outdated(model, feature_layer):
    """Whether a model's weights have changed since its offset was measured.

    Args:
        model: `keras.Model`.
        feature_layer: Name of the layer that the heatmaps are made of.

    Returns:
        bool; `False` where that is not known, as of a copy.
    """
    before = cache_of(model).fingerprints.get(feature_layer)
    return before is not None and before != _fingerprint(model)


def _fingerprint(model):
    found = 0
    for weight in model.weights:
        values = keras.ops.convert_to_numpy(weight)
        found = zlib.crc32(np.ascontiguousarray(values).view("uint8"), found)
    return found


def offsets_of(model):
    """All measured offsets of a model.

    Args:
        model: `keras.Model`.

    Returns:
        Dict from the name of a layer to an `Offset`, a copy.
    """
    return dict(cache_of(model).offsets)


def remember_offsets(model, offsets):
    """Keeps the offsets of another model that computes the same.

    Args:
        model: `keras.Model`.
        offsets: As `offsets_of` returns it.
    """
    cache_of(model).offsets.update(offsets)


def alignment_of(model, feature_layer, align):
    """How the maps of a model are laid on images, as `Frame.aligned` takes it.

    Args:
        model: `keras.Model`.
        feature_layer: Name of the layer that they are made of.
        align: What `checked_align` returned. `True` stands for the measured offset,
            and for the nominal placement where none was measured.

    Returns:
        `None` for the nominal placement, `"geometric"`, an `Offset`, or pixels.
    """
    if align is True:
        return known_offset(model, feature_layer)
    return None if align is False else align


def checked_align(align):
    """An alignment as `keras_xcons.split` takes it.

    Args:
        align: `True`, `False`, `"geometric"`, or a pair of numbers of pixels, also as
            an array.

    Returns:
        The same; a pair as a tuple of floats.

    Raises:
        TypeError, ValueError: It is none of these.

    Example:

    >>> checked_align([8, -2.5])
    (8.0, -2.5)
    """
    if isinstance(align, bool) or (isinstance(align, str) and align == "geometric"):
        return align
    if isinstance(align, np.ndarray):
        align = align.tolist()
    if not isinstance(align, list | tuple) or len(align) != 2:
        raise ValueError(
            f"`align` must be {ACCEPTED}. Received: align={checks.shown(align)}"
        )
    for number in align:
        checks.within("align", number, -checks.LARGEST_SIDE, checks.LARGEST_SIDE)
    return tuple(float(number) for number in align)


def check_pixels(align, image_size):
    """Refuses to move maps by more than a side of their images.

    Args:
        align: What `checked_align` returned.
        image_size: `(height, width)` in pixels; `None` where it is not known.

    Raises:
        ValueError: One line says by how much.
    """
    if not isinstance(align, tuple):
        return
    for shift, side in zip(align, image_size, strict=True):
        if side is not None and abs(shift) > side:
            raise ValueError(
                "`align` must move maps by no more than a side of the images, here "
                f"(rows, columns) of {tuple(image_size)} pixels. Received: "
                f"align={align}"
            )


def parsed_align(text):
    """An alignment as the command and recipes give it.

    Args:
        text: `"true"`, `"false"`, `"geometric"`, or two numbers with a comma between
            them, such as `"8,-2.5"`.

    Returns:
        What `checked_align` returns.

    Raises:
        ValueError: It is none of these.

    Example:

    >>> parsed_align("8,-2.5")
    (8.0, -2.5)
    """
    if text in ("true", "false", "geometric"):
        return {"true": True, "false": False}.get(text, text)
    try:
        rows, columns = map(float, text.split(","))
    except ValueError as error:
        raise ValueError(
            "An alignment is true, false, geometric, or rows,columns in pixels. "
            f"Received: align={text!r}"
        ) from error
    return checked_align((rows, columns))
