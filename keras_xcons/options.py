"""Options: declared once, as the fields of a table, and checked by what they declare.

A table is a dataclass whose fields are made by `option`. From it come the checks, the
flags of a command, the keys of a recipe, and the text of the documentation.

>>> @table
... class BlurOptions(Options):
...     radius: float = option(2.0, "Radius in pixels.", low=0.0, high=64.0)
>>> BlurOptions(radius=-1)
Traceback (most recent call last):
ValueError: `radius` must be within [0.0, 64.0]. Received: radius=-1
"""

import dataclasses
import functools
import numbers
import textwrap
import types
import typing

from keras_xcons import checks

_WIDTH = 88
_KINDS = {str: "a string", bool: "True or False", int: "an int", float: "a number"}


@dataclasses.dataclass(frozen=True)
class Declared:
    """What is declared of an option beside its name, type and default.

    Attributes:
        help: What it is, a sentence or two.
        choices: The accepted values, `None` among them where that is one; or a
            function that returns them, for names of a registry.
        low: Smallest accepted number, or `None`.
        above: The number that it must be above, or `None`.
        high: Largest accepted number, or `None` for `keras_xcons.checks.LARGEST`.
        check: Function that refuses a value or returns it as it is kept.
        parse: Function that makes the value of what is typed for a flag.
        told: Whether it is for the command and the recipe, too; not what follows from
            the data.
    """

    help: str
    choices: tuple | typing.Callable | None = None
    low: float | None = None
    above: float | None = None
    high: float | None = None
    check: typing.Callable | None = None
    parse: typing.Callable | None = None
    told: bool = True

    @property
    def accepted(self):
        """The accepted values, a tuple; `None` where they are not counted up."""
        return self.choices() if callable(self.choices) else self.choices


def option(default, help, **declared):
    """A field of a table of options.

    Args:
        default: Its default.
        help: What it is, a sentence or two.
        **declared: Further fields of `Declared`.

    Returns:
        A `dataclasses.field`.

    Example:

    >>> attack: str = option("fgsm", "Attack.", choices=("fgsm", "pgd"))
    """
    metadata = {"declared": Declared(help, **declared)}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


class Options:
    """A table of options: a subclass under `table` checks what it is made with.

    Attributes:
        presets: Dict from a value of the option `preset`, if there is one, to a dict of
            what it puts in the place of other defaults.

    Raises:
        TypeError: A value is of another type.
        ValueError: A name is unknown, or a number is out of range or not finite.
    """

    presets = {}

    def __post_init__(self):
        for name, (kinds, declared) in fields(type(self)).items():
            value = _checked(name, getattr(self, name), kinds, declared)
            object.__setattr__(self, name, value)


def table(cls):
    """Makes a frozen dataclass of a subclass of `Options`.

    Args:
        cls: The class.

    Returns:
        The dataclass, its docstring with a line for each field.
    """
    made = dataclasses.dataclass(frozen=True)(cls)
    if made.presets:
        made.__init__ = _with_presets(made.__init__, made.presets)
    before, raises, after = (made.__doc__ or "").partition("    Raises:")
    told = "\n".join(["    Attributes:", *documented(made), "", ""])
    made.__doc__ = before + told + raises + after
    return made


def _with_presets(init, presets):
    @functools.wraps(init)
    def with_presets(self, **given):
        preset = given.get("preset")
        known = isinstance(preset, str) and preset in presets
        init(self, **{**(presets[preset] if known else {}), **given})

    return with_presets


class Field(typing.NamedTuple):
    """The types of an option, a tuple, and what is `Declared` of it."""

    kinds: tuple
    declared: Declared


def fields(options):
    """What a table declares.

    Args:
        options: The class, or one of its objects.

    Returns:
        Dict from names to `Field`.
    """
    cls = options if isinstance(options, type) else type(options)
    found, hints = {}, typing.get_type_hints(cls)
    for field in dataclasses.fields(options):
        if "declared" not in field.metadata:
            raise TypeError(
                "A field of a table of options is made by `option(default, help)`. "
                f"Received: {cls.__name__}.{field.name}"
            )
        hint = hints[field.name]
        union = typing.get_origin(hint) in (types.UnionType, typing.Union)
        kinds = typing.get_args(hint) if union else (hint,)
        found[field.name] = Field(kinds, field.metadata["declared"])
    return found


def default_of(options, name):
    """The default of an option."""
    field = next(f for f in dataclasses.fields(options) if f.name == name)
    made = field.default is dataclasses.MISSING
    return field.default_factory() if made else field.default


def _checked(name, value, kinds, declared):
    if declared.check is not None:
        return declared.check(value)
    if value is None and types.NoneType in kinds and callable(declared.choices):
        return value
    if declared.choices is not None:
        # By type first: an array is equal to a name in each of its elements.
        known = (
            isinstance(value, type(one)) and value == one for one in declared.accepted
        )
        if not any(known):
            names = [str(choice) for choice in declared.accepted]
            raise ValueError(checks.unknown(name, value, names))
        return value
    if value is None and types.NoneType in kinds:
        return value
    if bool in kinds or str in kinds:
        if not isinstance(value, kinds):
            accepted = " or ".join(_KINDS[kind] for kind in kinds if kind in _KINDS)
            raise TypeError(
                f"`{name}` must be {accepted}. Received: {name}={checks.shown(value)}"
            )
        return value
    return _number(name, value, kinds, declared)


def _number(name, value, kinds, declared):
    whole = float not in kinds
    integral = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if whole and isinstance(value, numbers.Real) and not integral:
        raise TypeError(
            f"`{name}` must be an int. Received: {name}={checks.shown(value)}"
        )
    inclusive = declared.above is None
    low = declared.low if inclusive else declared.above
    low = -checks.LARGEST if low is None else low
    checks.within(name, value, low, declared.high, inclusive)
    # NumPy's numbers are no plain values, as a file of JSON takes them.
    return int(value) if whole else float(value)


def make(options, values, of="option"):
    """An object of a table from values by name, as a user has given them.

    Args:
        options: The table.
        values: Dict.
        of: What a name stands for, for the message. Defaults to `"option"`.

    Returns:
        The object.

    Raises:
        TypeError, ValueError: A name is unknown, or a value is not accepted.

    Example:

    >>> make(BlurOptions, {"radius": 3.0})
    BlurOptions(radius=3.0)
    """
    accepted = fields(options)
    for name in values:
        if name not in accepted:
            raise TypeError(checks.unknown(of, name, accepted))
    return options(**values)


def documented(options, indent=8):
    """The lines of a docstring that tell of each option.

    Args:
        options: The table.
        indent: Number of spaces in front of a name. Defaults to 8.

    Returns:
        List of strings.
    """
    lines = []
    for field in dataclasses.fields(options):
        told = f"{field.name}: {sentence(options, field.name)}"
        lines += textwrap.wrap(
            told,
            _WIDTH,
            initial_indent=indent * " ",
            subsequent_indent=(indent + 4) * " ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines


def sentence(options, name):
    """What an option is, with its choices or range and its default.

    Args:
        options: The table.
        name: Name of the option.

    Returns:
        A string.

    Example:

    >>> sentence(BlurOptions, "radius")
    'Radius in pixels. In [0.0, 64.0]. Defaults to 2.0.'
    """
    declared = fields(options)[name].declared
    told = [declared.help]
    if callable(declared.choices):
        # As its room exports it.
        room = declared.choices.__module__.rpartition(".")[0]
        told.append(f"One of `{room}.{declared.choices.__name__}()`.")
    elif declared.choices is not None:
        told.append(f"One of {', '.join(map(repr, declared.choices))}.")
    elif declared.high is not None:
        low = declared.above if declared.low is None else declared.low
        opening = "[" if declared.above is None else "("
        told.append(f"In {opening}{low}, {declared.high}].")
    elif declared.above is not None:
        told.append(f"Above {declared.above}.")
    elif declared.low is not None:
        told.append(f"At least {declared.low}.")
    if "Default:" not in declared.help:
        told.append(f"Defaults to {default_of(options, name)!r}.")
    return " ".join(told)
