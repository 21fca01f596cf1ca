"""The switch that keeps the package off the network."""

import os


def is_offline():
    """Whether `KERAS_XCONS_OFFLINE` forbids to touch the network.

    Returns:
        A bool: true for any value but the empty one and `0`.

    Example:

    >>> is_offline()
    False
    """
    return os.environ.get("KERAS_XCONS_OFFLINE", "") not in ("", "0")
