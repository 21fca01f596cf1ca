"""The sha256 of files and of texts."""

import hashlib


def sha256_of_file(path):
    """Returns the sha256 of a file.

    Args:
        path: The file, which is read in blocks.

    Returns:
        64 hexadecimal digits, a string.

    Raises:
        OSError: The file cannot be read.

    Example:

    >>> sha256_of_file("model.weights.h5") == card["sha256"]
    True
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_text(text):
    """Returns the sha256 of a text in UTF-8.

    Args:
        text: A string.

    Returns:
        64 hexadecimal digits, a string.

    Example:

    >>> sha256_of_text("")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(text.encode()).hexdigest()
