"""JSON that holds what JSON can hold, read without surprises and written whole."""

import json
import math

from keras_xcons.writing import whole_file

LARGEST = 16 << 20  # bytes of a card, an index or metrics; weights are elsewhere


def read_json(text, source):
    """Reads JSON text, and refuses what two readers could take for two things.

    Args:
        text: A string or UTF-8 bytes.
        source: What it is and where it is from, such as `"The card /zoo/x/card.json"`,
            for the error messages.

    Returns:
        Plain values.

    Raises:
        ValueError: Not JSON, a key that appears twice, or a number that is not
            finite.

    Example:

    >>> read_json('{"epochs": 2}', "The recipe")
    {'epochs': 2}
    """
    try:
        return json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
        )
    except RecursionError as error:
        raise ValueError(f"{source} is not JSON: it is nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"{source} is not JSON: {error}") from error


def write_json(path, content):
    """Writes a JSON file that is either whole or as it was before.

    Args:
        path: `pathlib.Path` of the file.
        content: Plain values without NaN or infinity.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    with whole_file(path) as unfinished:
        unfinished.write_text(text + "\n", encoding="utf-8")


def _object(pairs):
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        raise ValueError(f"the keys {twice} appear more than once")
    return found


def _constant(text):
    raise ValueError(f"{text} is no JSON value")


def _float(text):
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text} is too large")
    return value
