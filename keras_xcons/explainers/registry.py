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
        is_own: Function from a `keras.Model` to whether this is its own explainer, that
            `keras_xcons.explain` takes where none is named; `None` for none's.
    """

    make: typing.Callable
    by_probability: bool = False
    is_own: typing.Callable | None = None


def register(name, by_probability=False, is_own=None):
    """Decorator that registers an explainer under a name.

    Args:
        name: String, what `keras_xcons.explain` is told.
        by_probability: Whether it weighs by the probabilities of images that it masks
            with features, and is made with the argument `multi_label`. Defaults to
            `False`.
        is_own: Function from a `keras.Model` to whether this is its own explainer, that
            `keras_xcons.explain` takes where none is named. Defaults to `None`.

    Returns:
        A function that registers a callable, a class as a rule, and returns it. What it
        makes may have `classes`, a list of those that it explains, where it does not
        explain all, and a method `panels`, see `keras_xcons.explainers.panels`.

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
        _ENTRIES[name] = Entry(make, by_probability, is_own)
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


def own_or_usual(model, name=None):
    """The name of the explainer of a model where none may be named.

    Args:
        model: `keras.Model`.
        name: What was passed as `explainer`; `None` for the model's own, or Grad-CAM++
            where it has none.

    Returns:
        A string.

    Example:

    >>> own_or_usual(keras_xcons.load("shapes_cnn"))
    'gradcam++'
    """
    if name is not None:
        return name
    own = (
        each
        for each, entry in _ENTRIES.items()
        if entry.is_own is not None and entry.is_own(model)
    )
    return next(own, "gradcam++")


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
