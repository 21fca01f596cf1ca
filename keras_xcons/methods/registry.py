"""The training methods by name, and how one is declared."""

import dataclasses
import functools
import inspect
import re
import textwrap

import keras

from keras_xcons import checks
from keras_xcons.methods.base import TrainingMethod
from keras_xcons.methods.objective import objective_options
from keras_xcons.options import documented, fields

# What `keras.Model` takes beside the method's options.
_OF_KERAS = ("name", "dtype", "trainable", "autocast")
_METHODS = {}


@dataclasses.dataclass(frozen=True)
class Method:
    """What a training method states of itself.

    Attributes:
        name: Its name, as `keras_xcons.trainer` and the command take it.
        title: Its name as people write it.
        purpose: What it is for, one line.
        paper: Authors, year and number of the paper, or `None`.
        neutral: Dict of the options that make it plain training.
        trainer: The `TrainingMethod`.
        never_plain: Why no options make it plain training, a sentence, or `None` where
            `neutral` does.
    """

    name: str
    title: str
    purpose: str
    paper: str | None
    neutral: dict
    trainer: type
    never_plain: str | None = None

    @property
    def options(self):
        """The table of its options, a class."""
        return self.trainer.Options


def training_method(
    name, *, title, purpose, paper=None, neutral=None, never_plain=None
):
    """Declares a training method: the decorator of its class.

    From the class and its `Options` come the entry in `keras_xcons.methods`, the
    constructor's signature, the arguments in its docstring, `get_config`, the flags of
    `keras-xcons train`, and the keys of a recipe.

    Args:
        name: As `keras_xcons.trainer` takes it: lower case letters, digits, `_`.
        title: Its name as people write it.
        purpose: What it is for, one line.
        paper: Authors, year and number of the paper, or `None`. Defaults to `None`.
        neutral: Dict of the options that make it plain training, to compare it with
            that. Defaults to none.
        never_plain: Why no options make it plain training, a sentence. Defaults to
            `None`: those of `neutral` do.

    Returns:
        The decorator of a subclass of `keras_xcons.methods.TrainingMethod`.

    Raises:
        ValueError: The name is taken or not as described, or `neutral` names what is
            no option.

    Example:

    >>> @training_method("mine", title="Mine", purpose="Shows how it is done.")
    ... class MineModel(TrainingMethod):
    ...     def batch_loss(self, batch):
    ...         result = self.learning_pass(batch.images)
    ...         given = batch.labels, result.outputs, batch.sample_weight
    ...         return self.weighted_loss(*given), result.outputs
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in _METHODS:
        raise ValueError(
            "`name` of a training method must be lower case letters, digits and _, "
            f"and not taken by another. Received: name={name!r}"
        )

    def declare(cls):
        if "__init__" in vars(cls):
            raise TypeError(
                "A training method takes its `Options` and is set up by `setup`, so "
                f"that its signature is theirs. Received: {cls.__name__}.__init__"
            )
        known = fields(cls.Options)
        for option in neutral or {}:
            if option not in known:
                raise ValueError(checks.unknown("option of neutral", option, known))
        own = {"classifier", "objective", *cls.networks}
        taken = {*_OF_KERAS, *own} & known.keys()
        if taken:
            raise ValueError(
                "An option may not have the name of an argument of every method. "
                f"Received: {cls.Options.__name__}.{min(taken)}"
            )
        cls.__doc__ = _with_arguments(cls)
        cls.__init__ = _constructor(cls)
        keras.saving.register_keras_serializable("keras_xcons")(cls)
        method = Method(
            *(name, title, purpose, paper, dict(neutral or {}), cls, never_plain)
        )
        cls.method = _METHODS[name] = method
        return cls

    return declare


def methods():
    """Returns the names of the training methods, a sorted tuple of strings."""
    return tuple(sorted(_METHODS))


def method_of(name):
    """What a training method states of itself.

    Args:
        name: One of `keras_xcons.methods()`.

    Returns:
        `Method`.

    Raises:
        ValueError: There is no such method.

    Example:

    >>> method_of("xcons").paper
    'Wu et al. 2024, arXiv 2408.04600'
    """
    if not isinstance(name, str) or name not in _METHODS:
        raise ValueError(checks.unknown("method", name, _METHODS))
    return _METHODS[name]


def trainer(method, classifier, **options):
    """The training model of a method, by the method's name.

    Args:
        method: One of `keras_xcons.methods()`.
        classifier: What `keras_xcons.models.split` takes.
        **options: Options of the method, and `keras.Model` arguments.

    Returns:
        A `keras_xcons.methods.TrainingMethod`, to `compile` and `fit`.

    Raises:
        TypeError, ValueError: There is no such method or option, or a value is not
            accepted.

    Example:

    >>> keras_xcons.trainer("xcons", classifier, epsilon=8.0)
    """
    return method_of(method).trainer(classifier, **options)


def check_options(method, names):
    """Refuses what is no option of a method.

    Args:
        method: `Method`.
        names: Names that a user has given.

    Raises:
        TypeError: One of them is none.

    Example:

    >>> check_options(method_of("xcons"), ["epsilon"])
    """
    accepted = fields(method.options)
    for name in names:
        if name in accepted:
            continue
        others = [m for m in _METHODS.values() if name in fields(m.options)]
        message = checks.unknown("option", name, accepted)
        if others:
            whose = " and ".join(repr(other.name) for other in others)
            message = (
                f"`{name}` is an option of the method {whose}, not of "
                f"{method.name!r}. Accepted: {', '.join(map(repr, sorted(accepted)))}. "
                f"Received: option={name!r}"
            )
        elif name in objective_options():
            message = (
                f"`{name}` is an option of a classifier's objective. Pass "
                f"objective={{{name!r}: ...}}. Received: option={name!r}"
            )
        raise TypeError(message)


def _constructor(cls):
    """The `__init__` of a method, whose signature shows every option."""

    @functools.wraps(cls.__init__)
    def __init__(self, classifier, *further, objective=None, **options):
        if len(further) > len(cls.networks):
            raise TypeError(
                f"Options of {cls.__name__} are passed by name. Received: "
                f"{len(further)} more values behind the classifier"
            )
        options |= zip(cls.networks, further, strict=False)
        kwargs = {name: options.pop(name) for name in _OF_KERAS if name in options}
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


def _with_arguments(cls):
    """The docstring of a method with its arguments, before what it raises."""
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
