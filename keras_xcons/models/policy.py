"""The dtype policy of one model, whatever the process has set."""

import contextlib

import keras


@contextlib.contextmanager
def dtype_policy(name):
    """Layers that are made inside have this policy; the process keeps its own.

    Args:
        name: Name of a Keras dtype policy.

    Example:

    >>> with dtype_policy("mixed_bfloat16"):
    ...     model = models.create("resnet18", 10, 64)
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
