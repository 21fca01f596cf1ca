"""The explainers by name: each registers itself, those of rooms above as well."""

import typing

from keras_xcons import checks

_ENTRIES = {}


class Entry(typing.NamedTuple):
    """An explainer as it is registered.

    Attributes:
        make: Callable that makes of a `ClassifierView` what computes heatmaps, see
            `keras_xcons.explainers.explainer_of`.
        by_probability: Whether it weighs by the probabilities of images that it masks
            with features: `make` then takes `multi_label` as well.
    """

    make: typing.Callable
    by_probability: bool = False


def register(name, by_probability=False):
    """Decorator that registers an explainer under a name.

    Args:
        name: String, what `keras_xcons.explain` is told.
        by_probability: Whether it weighs by the probabilities of images that it masks
            with features, and is made with the argument `multi_label`. Defaults to
            `False`.

    Returns:
        A function that registers a callable, a class as a rule, and returns it.

    Raises:
        TypeError: The name is no string.
        ValueError: The name is taken, by another explainer.

    Example:

    >>> @register("edges")
    ... class Edges:
    ...     def __init__(self, view):
    ...         self.frame = view.frame
    ...     def __call__(self, images, labels=None):
    ...         return tf.ones((len(images), 7, 7))
    >>> heatmaps = keras_xcons.explain(model, images, explainer="edges")
    """
    if not isinstance(name, str):
        raise TypeError(
            "An explainer is registered under a string. Received: "
            f"name={checks.shown(name)}"
        )

    def registered(make):
        if name in _ENTRIES:
            raise ValueError(
                "An explainer needs a name of its own, other than those of "
                f"`keras_xcons.explainers.names()`. Received: name={name!r}"
            )
        _ENTRIES[name] = Entry(make, by_probability)
        return make

    return registered


def names():
    """Returns the names of the explainers, a sorted tuple of strings."""
    return tuple(sorted(_ENTRIES))


def entry_of(name):
    """What is registered under a name.

    Args:
        name: One of `names()`.

    Returns:
        An `Entry`.

    Raises:
        ValueError: There is no such explainer.

    Example:

    >>> entry_of("gradcam++").by_probability
    False
    """
    check_name(name)
    return _ENTRIES[name]


def check_name(name):
    """Refuses what is no name of an explainer.

    Args:
        name: What was passed as `explainer`.

    Raises:
        ValueError: It is none of `names()`.

    Example:

    >>> check_name("gradcam")
    """
    if not isinstance(name, str) or name not in _ENTRIES:
        raise ValueError(checks.unknown("explainer", name, _ENTRIES))
