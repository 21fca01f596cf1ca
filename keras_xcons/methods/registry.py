"""The training methods by name, and how one is declared."""

import dataclasses
import re

import keras

from keras_xcons import checks
from keras_xcons.methods.constructor import OF_KERAS, constructor, with_arguments
from keras_xcons.methods.objective import objective_options
from keras_xcons.options import fields

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
        trainer: The `TrainingMethod`; of one that follows a training, what
            `following_method` decorates.
        never_plain: Why no options make it plain training, a sentence, or `None` where
            `neutral` does.
        follows: Why it follows a training and is none, a sentence, or `None` where it
            trains a classifier.
    """

    name: str
    title: str
    purpose: str
    paper: str | None
    neutral: dict
    trainer: type
    never_plain: str | None = None
    follows: str | None = None

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
    _check_name(name)

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
        taken = {*OF_KERAS, *own} & known.keys()
        if taken:
            raise ValueError(
                "An option may not have the name of an argument of every method. "
                f"Received: {cls.Options.__name__}.{min(taken)}"
            )
        cls.__doc__ = with_arguments(cls)
        cls.__init__ = constructor(cls, check_options)
        keras.saving.register_keras_serializable("keras_xcons")(cls)
        method = Method(
            *(name, title, purpose, paper, dict(neutral or {}), cls, never_plain)
        )
        cls.method = _METHODS[name] = method
        return cls

    return declare


def following_method(name, *, title, purpose, follows, paper=None):
    """Declares a method that explains a trained classifier: the decorator of its class.

    The class has a table `Options`; its objects are made of a trained classifier and
    options by name, and have

    - `published_as`, as `TrainingMethod` has it,
    - `fit(dataset, verbose=1)`, which learns to explain the classifier,
    - `evaluate(dataset)`, which returns a dict of numbers, and `doubts(figures)`,
      sentences on what they say against it,
    - `pictures(dataset, examples, class_names, count)`, which returns figures, and
    - `model`, the `keras.Model` that is saved and published.

    Args:
        name: As for `training_method`.
        title: Its name as people write it.
        purpose: What it is for, one line.
        follows: Why it follows a training and is none, a sentence.
        paper: Authors, year and number of the paper, or `None`. Defaults to `None`.

    Returns:
        The decorator of a class.

    Raises:
        ValueError: The name is taken or not as described.

    Example:

    >>> method_of("xnn").trainer is keras_xcons.XNN
    True
    """
    _check_name(name)

    def declare(cls):
        cls.method = _METHODS[name] = Method(
            name, title, purpose, paper, {}, cls, follows=follows
        )
        return cls

    return declare


def _check_name(name):
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in _METHODS:
        raise ValueError(
            "`name` of a training method must be lower case letters, digits and _, "
            f"and not taken by another. Received: name={name!r}"
        )


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
        TypeError, ValueError: There is no such method or option, a value is not
            accepted, or the method follows a training and is none.

    Example:

    >>> keras_xcons.trainer("xcons", classifier, epsilon=8.0)
    """
    check_trains(method)
    return method_of(method).trainer(classifier, **options)


def check_trains(name):
    """Refuses a method that follows a training.

    Args:
        name: One of `keras_xcons.methods()`.

    Raises:
        ValueError: It follows one, or there is no such method.
    """
    method = method_of(name)
    if method.follows is not None:
        raise ValueError(
            f"{method.follows} Use keras_xcons.{method.trainer.__name__}, or "
            f"keras-xcons train --method={name} --model=MODEL. Received: "
            f"method={name!r}"
        )


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
