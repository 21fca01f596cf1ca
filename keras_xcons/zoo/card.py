"""The card of a published model: plain JSON, checked field by field."""

import json
import pathlib
import re

CARD_FILE = "card.json"
WEIGHTS_FILE = "model.weights.h5"
RECIPE_FILE = "recipe.json"
FORMAT = 1

_TEXT = ("a non-empty string", lambda v: isinstance(v, str) and bool(v.strip()))
_COUNT = ("a positive int", lambda v: type(v) is int and v > 0)
_FILE = (
    "a plain file name",
    lambda v: isinstance(v, str) and re.fullmatch(r"[A-Za-z0-9][\w.-]*", v) is not None,
)

# What a field must be, in words and as a check.
_FIELDS = {
    "format": (f"{FORMAT}", lambda v: v == FORMAT),
    "name": ("a model name", lambda v: isinstance(v, str) and is_name(v)),
    "weights": (
        "a plain file name that ends in .weights.h5",
        lambda v: _FILE[1](v) and v.endswith(".weights.h5"),
    ),
    "sha256": (
        "64 lower-case hexadecimal digits",
        lambda v: isinstance(v, str) and re.fullmatch("[0-9a-f]{64}", v) is not None,
    ),
    "bytes": _COUNT,
    "url": (
        "null or an http(s) URL",
        lambda v: v is None or (isinstance(v, str) and is_url(v)),
    ),
    "architecture": _TEXT,
    "arguments": ("an object", lambda v: isinstance(v, dict)),
    "input_size": (
        "[height, width], positive ints",
        lambda v: isinstance(v, list) and len(v) == 2 and all(map(_COUNT[1], v)),
    ),
    "class_names": (
        "a non-empty list of strings",
        lambda v: isinstance(v, list) and bool(v) and all(map(_TEXT[1], v)),
    ),
    "feature_layer": _TEXT,
    "parameters": _COUNT,
    "method": _TEXT,
    "recipe": _FILE,
    "trained_on": _TEXT,
    "data_license": _TEXT,
    "weights_license": _TEXT,
    "paper": ("null or a non-empty string", lambda v: v is None or _TEXT[1](v)),
    "created_with": (
        "an object of package versions",
        lambda v: isinstance(v, dict) and all(map(_TEXT[1], v.values())),
    ),
}


def is_name(text):
    """Whether a string can be the name of a published model."""
    return re.fullmatch(r"[a-z0-9][a-z0-9_.-]*", text) is not None


def is_url(text):
    """Whether a string is a URL that this package reads from."""
    return re.match(r"https?://[^/]", text) is not None


def parse(text, source):
    """Reads a card and checks every field of it.

    Args:
        text: The JSON text, a string or UTF-8 bytes.
        source: Where it is from, a path or URL, for the error messages.

    Returns:
        The card, a dict of plain values.

    Raises:
        ValueError: Not JSON, a field is missing, unknown or of another form, or the
            card was written by a later version of the package.
    """
    try:
        card = json.loads(text)
    except ValueError as error:
        raise ValueError(f"The card {source} is not JSON: {error}") from error
    check(card, source)
    return card


def check(card, source):
    """Raises a `ValueError` that names the fields in which a card is wrong.

    Args:
        card: What the JSON text held.
        source: Where it is from, a path or URL, for the error messages.
    """
    if not isinstance(card, dict):
        raise ValueError(
            f"The card {source} must be a JSON object. Received: {type(card).__name__}"
        )
    if isinstance(card.get("format"), int) and card["format"] > FORMAT:
        raise ValueError(
            f"The card {source} was written by a later version of keras-xcons; this "
            f"one reads format {FORMAT}. Received: format={card['format']}"
        )
    for problem, fields in (
        ("lacks the fields", _FIELDS.keys() - card.keys()),
        ("has the unknown fields", card.keys() - _FIELDS.keys()),
    ):
        if fields:
            raise ValueError(f"The card {source} {problem} {sorted(fields)}")
    for field, (wanted, is_right) in _FIELDS.items():
        if not is_right(card[field]):
            raise ValueError(
                f"In the card {source} the field '{field}' must be {wanted}. "
                f"Received: {field}={card[field]!r}"
            )


def in_order(card):
    """Returns a card with its fields in the order in which cards are written."""
    return {field: card[field] for field in _FIELDS}


def read(folder):
    """Reads and checks the card of a model folder.

    Args:
        folder: `pathlib.Path` of the folder that holds `card.json`.

    Returns:
        The card, a dict of plain values.

    Raises:
        FileNotFoundError: The folder or its card does not exist.
        ValueError: The card is not as it should be.
    """
    path = pathlib.Path(folder) / CARD_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"A folder of a published model holds a {CARD_FILE}; there is none. "
            f"Received: {str(folder)!r}"
        )
    return parse(path.read_bytes(), path)
