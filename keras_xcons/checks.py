"""Checks of what a caller passes, shared by every room of the package."""

import difflib
import numbers
import os
import pathlib
import warnings

import numpy as np

# A larger number was mistyped, not meant: an int32 of TensorFlow cannot hold it.
LARGEST = 2**31 - 1
# Height and width of an image, in pixels: 3 GB for one of this size.
LARGEST_SIDE = 2**14
# What has been warned of in this process.
_told = set()
_LONG = 300  # characters of a value that a message shows in full


def unknown(kind, name, accepted):
    """Returns the error message for a name that is not one of a known set.

    The caller raises it, so that the exception type stays the caller's choice.

    Args:
        kind: What is named, a singular noun such as `"dataset"`.
        name: The name that came in. Need not be a string.
        accepted: The accepted names, an iterable of strings in any order.

    Returns:
        One line that names the close matches first, then what is accepted,
        and ends in what was received.

    Example:

    >>> unknown("method", "xcon", ["cgc", "xcons"])
    "Unknown method. Did you mean 'xcons'? Accepted: 'cgc', 'xcons'. Received: method='xcon'"
    """  # noqa: E501
    accepted = sorted(accepted)
    by_lower = {candidate.lower(): candidate for candidate in accepted}
    close = difflib.get_close_matches(str(name).lower(), by_lower, n=3, cutoff=0.5)
    parts = [f"Unknown {kind}."]
    if close:
        matches = " or ".join(repr(by_lower[match]) for match in close)
        parts.append(f"Did you mean {matches}?")
    # The word for none is no string.
    told = (c if c == "None" else repr(c) for c in accepted)
    listed = ", ".join(told) or "none is known"
    parts.append(f"Accepted: {listed}.")
    parts.append(f"Received: {kind.replace(' ', '_')}={shown(name)}")
    return " ".join(parts)


def image_size(value, name="input_size"):
    """Returns an image size as a pair of ints.

    Args:
        value: An int, for a square, or a pair `(height, width)`, in pixels.
        name: The argument's name in the caller's signature, for the message.

    Returns:
        `(height, width)`, both ints in 1..16384.

    Raises:
        ValueError: `value` is neither an int nor a pair of ints, or out of range.

    Example:

    >>> image_size(64)
    (64, 64)
    """
    pair = (value, value) if isinstance(value, int) else value
    accepted = (
        isinstance(pair, tuple | list)
        and len(pair) == 2
        and all(isinstance(side, int) and not isinstance(side, bool) for side in pair)
        and min(pair) >= 1
        and max(pair) <= LARGEST_SIDE
    )
    if not accepted:
        raise ValueError(
            f"`{name}` must be a positive int or a pair (height, width) of "
            f"positive ints, in pixels and at most {LARGEST_SIDE}. Received: "
            f"{name}={shown(value)}"
        )
    return tuple(pair)


def image_batch(images, input_shape=(None, None, None)):
    """Returns a batch of images as float32, after checking all of it.

    Args:
        images: Array or tensor `(B, H, W, channels)`, uint8 or float, in 0..255.
        input_shape: `(H, W, channels)` that the model takes, `None` where any.

    Returns:
        Float32 NumPy array of the same shape.

    Raises:
        TypeError: The values are not numbers.
        ValueError: Wrong rank, size or channel count, no image, values that are not
            finite or outside 0..255.

    Example:

    >>> image_batch(np.zeros((2, 64, 64, 3), "uint8")).dtype
    dtype('float32')
    """
    if hasattr(images, "element_spec"):
        raise TypeError(
            "`images` must be one batch of images: pass `next(iter(dataset))[0]`. "
            f"Received: images of type {type(images).__name__}"
        )
    array = np.asarray(images)
    if array.dtype.kind not in "uif":
        # bfloat16 is no kind that NumPy knows, but casts like any float.
        if array.dtype.name != "bfloat16":
            raise TypeError(
                "`images` must be numbers, uint8 or float in 0..255. Received: "
                f"images of dtype {array.dtype}"
            )
    if array.ndim != 4:
        raise ValueError(
            "`images` must be a batch of rank 4, (batch, height, width, channels). "
            f"Received: images of shape {array.shape}"
        )
    fits = zip(array.shape[1:], input_shape, strict=True)
    if len(array) == 0 or not all(want in (None, got) for got, want in fits):
        raise ValueError(
            f"`images` must be one or more images of (height, width, channels) "
            f"{tuple(input_shape)}, as the model takes them. Received: images of "
            f"shape {array.shape}"
        )
    if array.size == 0:
        raise ValueError(
            "`images` must have an area, these hold no pixel. Received: images of "
            f"shape {array.shape}"
        )
    array = array.astype("float32")
    low, high = array.min(), array.max()
    if not (low >= 0.0 and high <= 255.0):  # not(...) so that NaN is caught as well
        raise ValueError(
            "`images` must be finite and within 0..255; preprocessing belongs inside "
            f"the model. Received: images with minimum {low} and maximum {high}"
        )
    return warn_of_unit_range(array)


def warn_of_unit_range(images):
    """Warns of images that are in 0..1, which a model for 0..255 takes for black.

    Once a process. Whole numbers are no sign of it: a black image has them, too.

    Args:
        images: Float NumPy array of any shape, in 0..255.

    Returns:
        `images`.
    """
    if _told or images.min() < 0.0 or images.max() > 1.0:
        return images
    if np.any((images > 0.0) & (images < 1.0)):
        warnings.warn(
            "All images of a batch lie within 0..1, and models take images in 0..255: "
            "multiply them by 255. A model that was trained on images in 0..1 needs a "
            "keras.layers.Rescaling(1 / 255) in front.",
            stacklevel=2,
        )
        # Python's own memory of what it has shown is lost whenever a filter changes.
        _told.add("0..1")
    return images


def class_labels(labels, size, num_classes, name="labels"):
    """Returns one class index an image as int32, after checking all of them.

    Args:
        labels: Integers `(B,)`; of two classes also `(B, 1)`, floats or booleans, as
            a binary cross-entropy takes them.
        size: Number of images B.
        num_classes: Number of classes the model knows.
        name: The argument's name in the caller's signature. Defaults to `"labels"`.

    Returns:
        Int32 NumPy array `(B,)`.

    Raises:
        ValueError: Wrong rank, length, type or range.

    Example:

    >>> class_labels([0, 2], size=2, num_classes=3)
    array([0, 2], dtype=int32)
    """
    array = np.asarray(labels)
    if num_classes == 2 and array.shape == (size, 1):
        array = array[:, 0]
    whole = array.dtype.kind in "ui"
    if num_classes == 2 and array.dtype.kind in "fb":
        # NaN is no whole number either.
        whole = bool(np.all(array == np.floor(array.astype("float32"))))
        array = array.astype("int64") if whole else array
    if array.shape != (size,) or not whole:
        raise ValueError(
            f"`{name}` must be integers of shape ({size},), one an image. "
            f"Received: {name} of shape {array.shape} and dtype {array.dtype}"
        )
    if array.min() < 0 or array.max() >= num_classes:
        raise ValueError(
            f"`{name}` must be within 0..{num_classes - 1}. Received: {name} with "
            f"minimum {array.min()} and maximum {array.max()}"
        )
    return array.astype("int32")


def within(name, value, low, high, inclusive=True):
    """Refuses a number that is not finite, or outside its range.

    Args:
        name: The argument's name in the caller's signature.
        value: The number that came in.
        low: Smallest accepted value.
        high: Largest accepted value, `None` where nothing but `LARGEST` bounds it.
        inclusive: Whether `low` itself is accepted. Defaults to `True`.

    Returns:
        `value`, unchanged.

    Raises:
        TypeError: `value` is not a number.
        ValueError: `value` is out of range, infinite or NaN.

    Example:

    >>> within("threshold", 0.5, 0.0, 1.0)
    0.5
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"`{name}` must be a number. Received: {name}={shown(value)}")
    high = LARGEST if high is None else high
    above = value >= low if inclusive else value > low
    if not (above and value <= high):
        opening = "[" if inclusive else "("
        raise ValueError(
            f"`{name}` must be within {opening}{low}, {high}]. "
            f"Received: {name}={shown(value)}"
        )
    return value


def path(name, value):
    """Refuses what cannot be the path of a file or folder.

    Args:
        name: The argument's name in the caller's signature.
        value: A string or `os.PathLike`.

    Returns:
        `pathlib.Path` of it.

    Raises:
        TypeError: It is neither.
        ValueError: It is empty, or holds a NUL character.

    Example:

    >>> path("output", "xcons_run").name
    'xcons_run'
    """
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str):
        raise TypeError(
            f"`{name}` must be a path, a string or a pathlib.Path. Received: "
            f"{name}={shown(value)}"
        )
    if not text or "\0" in text:
        raise ValueError(
            f"`{name}` must be a path, which is not empty and holds no NUL character. "
            f"Received: {name}={shown(value)}"
        )
    return pathlib.Path(text)


def shown(value):
    """What came in, as a message shows it: in one line of a length to read.

    Args:
        value: Any value.

    Returns:
        A string: its `repr`, cut in the middle where it is long.

    Example:

    >>> shown("a")
    "'a'"
    """
    try:
        text = repr(value)
    except ValueError:  # Python refuses to write more than 4,300 digits
        return "an int of more than 4,300 digits"
    return text if len(text) <= _LONG else f"{text[:60]}...{text[-20:]}"


def positive_int(name, value):
    """Refuses what is no int of at least 1.

    Args:
        name: Name of the argument.
        value: What the caller passed.

    Raises:
        TypeError: It is no int.
        ValueError: It is below 1, or above `LARGEST`.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"`{name}` must be an int. Received: {name}={shown(value)}")
    within(name, value, 1, None)
