"""The card of a published model: plain JSON, checked field by field."""

import re
import urllib.parse

from keras_xcons.files import read_json
from keras_xcons.zoo.card_format import FORMAT, of_format_1

CARD_FILE = "card.json"
WEIGHTS_FILE = "model.weights.h5"
RECIPE_FILE = "recipe.json"
METRICS_FILE = "metrics.json"

# What an index tells of a model, so that a zoo is listed without reading every card.
SUMMARY = ("architecture", "arguments", "dataset", "method", "parameters")
# More than a network of a billion parameters takes, so that a card cannot ask for a
# download without end.
_LARGEST_WEIGHTS = 4 << 30
# What float16 takes; no number of a weights file takes less. With that, a card cannot
# ask for more memory than its file is large, either.
_BYTES_A_PARAMETER = 2
# Our choice: with what is put before and behind a name while a file is written, it
# stays below the 255 that file systems allow.
_LONGEST_NAME = 128
# Our choices, all far above what a classifier has: a card must not take the memory or
# the screen of whoever reads it.
_LARGEST_SIDE = 2048
_MOST_CLASSES = 100_000
_LONGEST_TEXT = 4000
_LONGEST_ARGUMENTS = 1_000_000  # as text; a ProtoPNet names a number a class
_LARGEST_LOGIT = 1e30
_LARGEST_HEATMAP = 8  # cells a side, as `keras_xcons.zoo.checking` writes them


def _is_text(value):
    return (
        isinstance(value, str)
        and bool(value.strip())
        and len(value) <= _LONGEST_TEXT
        # Half of a character, which cannot be written.
        and re.search("[\ud800-\udfff]", value) is None
    )


_TEXT = (f"a non-empty string of at most {_LONGEST_TEXT} characters", _is_text)


def _count(largest):
    """What a field must be that is a number of things."""
    return (
        f"a positive int of at most {largest}",
        lambda v: type(v) is int and 0 < v <= largest,
    )


_SIDE = _count(_LARGEST_SIDE)
_FILE = (
    "a plain file name",
    lambda v: (
        isinstance(v, str)
        and len(v) <= _LONGEST_NAME
        and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", v) is not None
    ),
)

_CHECK = (
    'an object {"logits": [...], "heatmap": [[...], ...]} of finite numbers, those of '
    f"the heatmap in 0..1 and at most {_LARGEST_HEATMAP} a side; or null for a heatmap "
    "that was not recorded",
    lambda v: (
        isinstance(v, dict)
        and v.keys() == {"logits", "heatmap"}
        and isinstance(v["logits"], list)
        and all(map(_is_logit, v["logits"]))
        and (v["heatmap"] is None or _is_heatmap(v["heatmap"]))
    ),
)


def _is_logit(value):
    # Compared first: an int that no float can hold has no `isfinite`.
    return type(value) in (int, float) and abs(value) <= _LARGEST_LOGIT


def _is_heatmap(value):
    if not isinstance(value, list) or not 0 < len(value) <= _LARGEST_HEATMAP:
        return False
    if not all(isinstance(row, list) for row in value):
        return False
    widths = {len(row) for row in value}
    return (
        len(widths) == 1
        and 0 < widths.pop() <= _LARGEST_HEATMAP
        and all(_is_logit(cell) and 0.0 <= cell <= 1.0 for row in value for cell in row)
    )


_OFFSET = (
    'null or an object {"rows", "columns", "rows_interval", "columns_interval", '
    '"images"} of numbers of pixels',
    lambda v: v is None or _is_offset(v),
)


def _is_offset(value):
    names = {"rows", "columns", "rows_interval", "columns_interval", "images"}
    if not isinstance(value, dict) or value.keys() != names:
        return False
    ends = [value["rows_interval"], value["columns_interval"]]
    if not all(isinstance(each, list) and len(each) == 2 for each in ends):
        return False
    numbers = [value["rows"], value["columns"], *ends[0], *ends[1]]
    images = _count(_LARGEST_WEIGHTS)[1](value["images"])
    return images and all(type(each) in (int, float) for each in numbers)


# What a field must be, in words and as a check.
_FIELDS = {
    "format": (f"an int of 1 to {FORMAT}", lambda v: type(v) is int and v == FORMAT),
    "name": ("a model name", lambda v: isinstance(v, str) and is_name(v)),
    "weights": (
        "a plain file name that ends in .weights.h5",
        lambda v: _FILE[1](v) and v.endswith(".weights.h5"),
    ),
    "sha256": (
        "64 lower-case hexadecimal digits",
        lambda v: isinstance(v, str) and re.fullmatch("[0-9a-f]{64}", v) is not None,
    ),
    "bytes": _count(_LARGEST_WEIGHTS),
    "url": (
        "null or an http(s) URL",
        lambda v: v is None or (isinstance(v, str) and is_url(v)),
    ),
    "architecture": _TEXT,
    "arguments": (
        f"an object of at most {_LONGEST_ARGUMENTS} characters",
        lambda v: isinstance(v, dict) and len(str(v)) <= _LONGEST_ARGUMENTS,
    ),
    "input_size": (
        f"[height, width], positive ints of at most {_LARGEST_SIDE}",
        lambda v: isinstance(v, list) and len(v) == 2 and all(map(_SIDE[1], v)),
    ),
    "class_names": (
        f"a non-empty list of at most {_MOST_CLASSES} strings of at most "
        f"{_LONGEST_TEXT} characters",
        lambda v: (
            isinstance(v, list)
            and 0 < len(v) <= _MOST_CLASSES
            and all(map(_TEXT[1], v))
        ),
    ),
    "feature_layer": _TEXT,
    "explainer": _TEXT,
    "offset": _OFFSET,
    "parameters": _count(_LARGEST_WEIGHTS // _BYTES_A_PARAMETER),
    "method": _TEXT,
    "recipe": _FILE,
    "dataset": _TEXT,
    "data": _TEXT,
    "pretraining": _TEXT,
    "check": _CHECK,
    "data_license": _TEXT,
    "weights_license": _TEXT,
    "paper": ("null or a non-empty string", lambda v: v is None or _TEXT[1](v)),
    "created_with": (
        "an object of package versions",
        lambda v: isinstance(v, dict) and all(map(_TEXT[1], v.values())),
    ),
}

# What an older card may lack.
_OPTIONAL = {"offset"}


def is_name(text):
    """Whether a string can be the name of a published model."""
    fits = re.fullmatch(r"[a-z0-9][a-z0-9_.-]*", text) is not None
    return fits and len(text) <= _LONGEST_NAME


def is_url(text):
    """Whether a string is a URL that this package reads from."""
    if len(text) > _LONGEST_TEXT:
        return False
    if re.fullmatch(r"https?://[!-~]+", text, re.IGNORECASE) is None:
        return False
    try:
        parts = urllib.parse.urlsplit(text)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets or a port that are none
        return False


def parse(text, source):
    """Reads a card and checks every field of it.

    Args:
        text: The JSON text, a string or UTF-8 bytes.
        source: Where it is from, a path or URL, for the error messages.

    Returns:
        The card, a dict of plain values, in the present format: one of an earlier
        format lacks what that did not record.

    Raises:
        ValueError: Not JSON, a field is missing, unknown or of another form, or the
            card was written by a later version of the package.
    """
    card = of_format_1(read_json(text, f"The card {source}"), source)
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
            f"The card {source} was written by a later version of keras-xcons, and "
            f"this one reads formats 1 to {FORMAT}. Received: "
            f"format={_short(card['format'])}"
        )
    for problem, fields in (
        ("lacks the fields", _FIELDS.keys() - card.keys() - _OPTIONAL),
        ("has the unknown fields", card.keys() - _FIELDS.keys()),
    ):
        if fields:
            raise ValueError(f"The card {source} {problem} {_short(sorted(fields))}")
    for field, (wanted, is_right) in _FIELDS.items():
        if not is_right(card.get(field)):
            raise ValueError(
                f"In the card {source} the field '{field}' must be {wanted}. "
                f"Received: {field}={_short(card[field])}"
            )
    least = _BYTES_A_PARAMETER * card["parameters"]
    if card["bytes"] < least:
        raise ValueError(
            f"In the card {source} the field 'parameters' must fit the weights file, "
            f"which has {_BYTES_A_PARAMETER} bytes a parameter or more. "
            f"Received: parameters={card['parameters']}, bytes={card['bytes']}"
        )
    names, logits = len(card["class_names"]), len(card["check"]["logits"])
    if names != logits:
        raise ValueError(
            f"In the card {source} the field 'class_names' must have one name for "
            f"each of the {logits} logits. Received: {names} names"
        )
    _check_offset(card, source)


def _check_offset(card, source):
    """Refuses an offset that is out of proportion or contradicts itself."""
    offset = card.get("offset")
    if offset is None:
        return
    for axis, side in zip(("rows", "columns"), card["input_size"], strict=True):
        low, high = offset[f"{axis}_interval"]
        # So written that NaN is no number within either.
        if not -side <= low <= offset[axis] <= high <= side:
            raise ValueError(
                f"In the card {source} the field 'offset' must have numbers of no more "
                "than a side of the images, each within its interval [low, high]. "
                f"Received: {axis}={_short(offset[axis])}, {axis}_interval="
                f"{_short([low, high])}, input_size={card['input_size']}"
            )


def in_order(card):
    """Returns a card with its fields in the order in which cards are written."""
    return {field: card[field] for field in _FIELDS if field in card}


def summary(card):
    """Returns what an index tells of a model."""
    return {field: card[field] for field in SUMMARY}


def read_index(index, source):
    """Returns what an index tells of its models, and what is wrong in it.

    Args:
        index: What its JSON text held.
        source: What it is and where it is from, for the error message.

    Returns:
        `(told, wrong)`: a dict from the name of a model to its `summary`, and a list
        of reasons, one line for each model that is left out.

    Raises:
        ValueError: It is no JSON object.
    """
    if not isinstance(index, dict):
        raise ValueError(
            f"{source} must be a JSON object that tells {', '.join(SUMMARY)} of each "
            f"model by its name. Received: {_short(index)}"
        )
    told, wrong = {}, []
    for name, summary in index.items():
        reason = _wrong_in_summary(name, summary)
        if reason is None:
            told[name] = summary
        else:
            wrong.append(f"In {source} the model {_short(name)} {reason}")
    return told, wrong


def _wrong_in_summary(name, told):
    """What is wrong with what an index tells of a model, `None` if nothing is."""
    if not is_name(name):
        return "must have a model name"
    if not isinstance(told, dict) or told.keys() != set(SUMMARY):
        return f"must be told by {', '.join(SUMMARY)}. Received: {_short(told)}"
    for field, value in told.items():
        wanted, is_right = _FIELDS[field]
        if not is_right(value):
            return f"must have in '{field}' {wanted}. Received: {_short(value)}"
    return None


def _short(value):
    """A value for an error message, which a long list would drown."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
