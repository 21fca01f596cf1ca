"""Text from elsewhere, made harmless for a terminal and a log."""

import unicodedata

_LONGEST = 2000  # characters of one line, our choice


def printable(text):
    r"""Returns text in one line that shows what it holds and does nothing else.

    What would move the cursor, clear the screen, set a title, begin a line of its
    own, turn the direction of writing or cannot be encoded at all (control and format
    characters, lone surrogates, what Unicode does not define) appears as its escape.
    What a file, a server or a card says passes through here before it is printed.

    Args:
        text: Any object; its `str` is taken.

    Returns:
        A string without line breaks, of 2,000 characters at most. Text that is
        harmless stays as it is, and a second pass changes nothing.

    Example:

    >>> printable("star\x1b[2J")
    'star\\x1b[2J'
    """
    text = str(text)
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST - 3]}..."
    if text.isprintable():
        return text
    shown = "".join(map(_shown, text))
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 3]}..."


def _shown(character):
    # Of the spaces, isprintable knows the ASCII one alone.
    if character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
