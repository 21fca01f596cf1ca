"""How a command says what went wrong: in one line, and by its exit code."""

import sys

from keras_xcons.printable import printable


class UsageError(Exception):
    """What was typed does not fit the command."""


def first_line(error):
    """The line of an error that says what went wrong, a string."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # TensorFlow puts what was raised in a traced function below its own words.
    traced = lines and lines[0] == "in user code:"
    return (lines[-1] if traced else lines[0]) if lines else ""


def fail(command, message, code):
    """Prints an error of a command.

    Args:
        command: Its name.
        message: One line.
        code: Exit code.

    Returns:
        `code`.
    """
    line = f"keras-xcons {command}".rstrip() + f": error: {message}"
    print(printable(line), file=sys.stderr)
    return code
