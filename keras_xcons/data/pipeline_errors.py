"""What goes wrong in a `tf.data` pipeline, told in one line as anywhere else."""

import contextlib

import tensorflow as tf

# TensorFlow wraps what a pipeline raises into much of its own; the line that is meant
# for the user begins here.
MARK = "keras_xcons: "


@contextlib.contextmanager
def plain_errors():
    """Turns what a pipeline of this package refuses into a one-line `ValueError`.

    Example:

    >>> with plain_errors():
    ...     model.fit(dataset)
    """
    try:
        yield
    except tf.errors.OpError as error:
        message = plain_message(str(error))
        if message is None:
            raise
        raise ValueError(message) from None


def plain_message(text):
    """The line meant for the user in the text of TensorFlow's error, or `None`."""
    _, mark, rest = text.partition(MARK)
    return rest.splitlines()[0].strip() if mark else None
