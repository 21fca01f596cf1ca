"""JSON that holds what JSON can hold, read without surprises and written whole."""

import json
import math
import re

from keras_xcons.files.writing import whole_file

LARGEST = 4 << 20  # bytes of a card, an index or metrics; weights are elsewhere
# Our choice. What is read is written again, nested in other things and indented, by
# recursion that has less room than that of the reader.
_DEEPEST = 64
_MOST_NAMED = 5  # keys in an error message


def read_json(text, source):
    """Reads JSON text, and refuses what two readers could take for two things.

    Args:
        text: A string or UTF-8 bytes.
        source: What it is and where it is from, such as `"The card /zoo/x/card.json"`,
            for the error messages.

    Returns:
        Plain values.

    Raises:
        ValueError: Not JSON, a key that appears twice, a number that is not finite,
            a character that cannot be encoded, or nested more than 64 deep.

    Example:

    >>> read_json('{"epochs": 2}', "The recipe")
    {'epochs': 2}
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8-sig")
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
        )
        _check_depth(value)
        # An escape can spell half of a character, which no file can hold.
        if re.search(r"\\u[dD][89a-fA-F]", text):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError as error:
        raise ValueError(f"{source} is not JSON: it is nested too deeply") from error
    except UnicodeError as error:
        raise ValueError(f"{source} is not JSON in UTF-8: {error}") from error
    except ValueError as error:
        raise ValueError(f"{source} is not JSON: {error}") from error
    return value


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
        seen, twice = set(), set()
        for key, _ in pairs:
            (twice if key in seen else seen).add(key)
        named = [key[:50] for key in sorted(twice)[:_MOST_NAMED]]
        raise ValueError(f"the keys {named} appear more than once")
    return found


def _check_depth(value):
    level = [value]
    for _ in range(_DEEPEST):
        inner = []
        for one in level:
            if isinstance(one, dict):
                inner += [each for each in one.values() if type(each) in (dict, list)]
            elif isinstance(one, list):
                inner += [each for each in one if type(each) in (dict, list)]
        if not inner:
            return
        level = inner
    raise RecursionError


def _constant(text):
    raise ValueError(f"{text} is no JSON value")


def _float(text):
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:20]} is too large")
    return value
