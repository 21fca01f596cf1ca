"""The constructor of a training method and its docstring, made of its options."""

import dataclasses
import functools
import inspect
import textwrap

from keras_xcons.methods.base import TrainingMethod
from keras_xcons.options import documented

# What `keras.Model` takes beside the method's options.
OF_KERAS = ("name", "dtype", "trainable", "autocast")


def constructor(cls, check_options):
    """The `__init__` of a method, whose signature shows every option.

    Args:
        cls: The subclass of `TrainingMethod`.
        check_options: Function of the method's entry in the registry and names, which
            refuses those that are no options.

    Returns:
        A function, the method's `__init__`.
    """

    @functools.wraps(cls.__init__)
    def __init__(self, classifier, *further, objective=None, **options):
        if len(further) > len(cls.networks):
            raise TypeError(
                f"Options of {cls.__name__} are passed by name. Received: "
                f"{len(further)} more values behind the classifier"
            )
        options |= zip(cls.networks, further, strict=False)
        kwargs = {name: options.pop(name) for name in OF_KERAS if name in options}
        networks = {name: options.pop(name, None) for name in cls.networks}
        check_options(cls.method, options)
        TrainingMethod.__init__(
            self, classifier, objective, options, networks, **kwargs
        )

    made = inspect.signature(__init__, follow_wrapped=False).parameters
    of_networks = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None)
        for name in cls.networks
    ]
    of_options = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=field.type,
        )
        for field in dataclasses.fields(cls.Options)
    ]
    __init__.__signature__ = inspect.Signature(
        [
            made["self"],
            made["classifier"],
            *of_networks,
            *of_options,
            made["objective"],
            made["options"].replace(name="kwargs"),
        ]
    )
    del __init__.__wrapped__
    __init__.__doc__ = None
    return __init__


def with_arguments(cls):
    """The docstring of a method with its arguments, before what it raises.

    Args:
        cls: The subclass of `TrainingMethod`.

    Returns:
        A string.
    """
    lines = [
        "    Args:",
        "        classifier: What `keras_xcons.models.split` takes: a functional or",
        "            Sequential Keras classifier, nested or not, or a pair",
        "            `(backbone, head)`.",
        *_documented_networks(cls.networks),
        *documented(cls.Options),
        "        objective: Dict of options of a classifier with a loss of its own,",
        "            such as a ProtoPNet, see there. Defaults to None.",
        "        **kwargs: `keras.Model` arguments.",
        "",
        "",
    ]
    before, raises, after = (cls.__doc__ or "").partition("    Raises:")
    return before + "\n".join(lines) + raises + after


def _documented_networks(networks):
    lines = []
    for name, told in networks.items():
        lines += textwrap.wrap(
            f"{name}: {told}",
            88,
            initial_indent=8 * " ",
            subsequent_indent=12 * " ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines
