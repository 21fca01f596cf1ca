"""Refuses `method`, a training method, where an explainer is meant."""

import functools

from keras_xcons import checks


def no_method(value):
    """What to tell a caller who passes `method` for an explainer.

    Args:
        value: What was passed.

    Returns:
        One line.

    Example:

    >>> no_method("gradcam").endswith("Received: method='gradcam'")
    True
    """
    return (
        "`method` is a training method; the explanation method is `explainer`. "
        f"Received: method={checks.shown(value)}"
    )


def refuses_method(function):
    """Decorator of what takes an `explainer`: refuses `method` by its new name.

    The signature stays that of the function. A call has one frame more, which
    `stacklevel` of a warning has to count.

    Args:
        function: A function, or a class, whose constructor is meant.

    Returns:
        The function, wrapped, or the class itself.

    Example:

    >>> refuses_method(lambda explainer="gradcam++": explainer)(method="gradcam")
    Traceback (most recent call last):
    TypeError: `method` is a training method; the explanation method is `explainer`. ...
    """
    if isinstance(function, type):
        function.__init__ = refuses_method(function.__init__)
        return function

    @functools.wraps(function)
    def checked(*args, **kwargs):
        if "method" in kwargs:
            raise TypeError(no_method(kwargs["method"]))
        return function(*args, **kwargs)

    return checked
