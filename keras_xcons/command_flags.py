"""Flags of a command, made from tables of options."""

import re
import types

from absl import flags

from keras_xcons.options import default_of
from keras_xcons.options import fields as options_of


class CommandFlags(flags.FlagValues):
    """The flags that a command defines, and none that absl has of its own.

    Those would read files of any kind and size, or let misspelt flags pass unread.

    Args:
        words: The words that will be parsed, for a command whose flags depend on one
            of them. Defaults to none.

    Attributes:
        words: A tuple of them.

    Example:

    >>> values = CommandFlags()
    >>> define_fields(TrainOptions, values)
    >>> values(["train", "--epochs=3"])
    ['train']
    """

    def __init__(self, words=()):
        super().__init__()
        # Not by name, as attributes of this class are flags.
        self.__dict__["words"] = tuple(words)

    def __call__(self, argv, known_only=False):
        """Parses the words of a command.

        Args:
            argv: List of strings, the name of the command first.
            known_only: See `absl.flags.FlagValues`.

        Returns:
            List of strings, the name and what is no flag.

        Raises:
            absl.flags.Error: A flag is unknown, or its value is not accepted.
        """
        for word in argv[: argv.index("--") if "--" in argv else None]:
            name = word.lstrip("-").partition("=")[0]
            if word.startswith("-") and name == "undefok":
                raise flags.UnrecognizedFlagError(name)
        try:
            return super().__call__(argv, known_only)
        # A switch that is given a value raises ValueError.
        except (flags.Error, ValueError) as error:
            raise flags.Error(_shortened(str(error))) from error

    def read_flags_from_files(self, argv, force_gnu=True):
        del force_gnu
        return argv


def define_fields(options, values, names=None, prefix=""):
    """Defines a flag for each option of a table.

    Args:
        options: Table of options, see `keras_xcons.options`.
        values: `CommandFlags`.
        names: Names of the options to take, or `None` for all.
        prefix: Put before each name. Defaults to `""`.
    """
    for name, (kinds, declared) in _chosen(options, names).items():
        default, flag = default_of(options, name), prefix + name
        if declared.parse:
            text = str(default).lower()
            flags.DEFINE_string(flag, text, declared.help, flag_values=values)
        elif declared.choices:
            accepted = [
                str(one)
                for one in declared.accepted
                # Without a word for it, it is what is had by leaving the flag out.
                if one is not None or default is not None
            ]
            # No enum: the table refuses other values, and names close ones.
            told = f"<{'|'.join(accepted)}>: {declared.help}"
            flags.DEFINE_string(flag, default, told, flag_values=values)
        elif types.NoneType in kinds and default is not None:
            parser = _OrNone(_PARSERS[kinds[0]]())
            how = {"flag_values": values, "serializer": flags.ArgumentSerializer()}
            flags.DEFINE(parser, flag, default, declared.help, **how)
        else:
            _DEFINE[kinds[0]](flag, default, declared.help, flag_values=values)


def fields(options, values, names=None, prefix="", given=False):
    """What the flags say of each option, as arguments of the table.

    Args:
        options: As for `define_fields`.
        values: `CommandFlags` that have been parsed.
        names: As for `define_fields`.
        prefix: As there.
        given: Whether to leave out what was not typed. Defaults to `False`.

    Returns:
        Dict.
    """
    found = {}
    for name, (_, declared) in _chosen(options, names).items():
        flag = values[prefix + name]
        if given and not flag.present:
            continue
        value = declared.parse(flag.value) if declared.parse else flag.value
        by_word = declared.choices and _is_none(value) and None in declared.accepted
        found[name] = None if by_word else value
    return found


class _OrNone(flags.ArgumentParser):
    """Reads numbers, and the word for none."""

    def __init__(self, parser):
        super().__init__()
        self._parser = parser

    def parse(self, argument):
        return None if _is_none(argument) else self._parser.parse(argument)

    def flag_type(self):
        return f"{self._parser.flag_type()} or {_NONE}"


def _is_none(value):
    return isinstance(value, str) and value.lower() == _NONE.lower()


def _chosen(options, names):
    known = options_of(options)
    return {
        name: field
        for name, field in known.items()
        if field.declared.told and (names is None or name in names)
    }


def described(values):
    """Every flag with its default, one paragraph each, those of a method apart.

    Args:
        values: `CommandFlags`.

    Returns:
        A string of several lines.
    """
    sections = {"": ["Flags:"]}
    for name in sorted(values):
        flag = values[name]
        if name != flag.name:  # the short form of another one
            continue
        owner, _, bare = name.rpartition(".")
        told = sections.setdefault(owner, [f"\nOptions of {owner}:"])
        shown = name
        if owner and bare in values and values[bare].help == flag.help:
            shown = bare  # Told by its shorter name.
        elif any(_is_of_method(name, other, values) for other in values):
            continue
        short = f"-{flag.short_name}, " if flag.short_name else ""
        switch = "[no]" if flag.boolean else ""
        default = "" if flag.default is None else f" (default: {flag.default})"
        told.append(f"  {short}--{switch}{shown}")
        told.append(f"      {flag.help}{default}")
    return "\n".join(line for lines in sections.values() for line in lines)


def _is_of_method(name, other, values):
    """Whether a flag is the shorter name of another, which says whose it is."""
    return other.endswith(f".{name}") and values[other].help == values[name].help


def in_flags(message, values):
    """A message of the package in which arguments to pass are written as flags.

    Args:
        message: One line. What it says was received stays as it is.
        values: The flags of the command.

    Returns:
        A string.

    Example:

    >>> in_flags("Pass on_bad_record='skip'. Received: split='x'", values)
    "Pass --on_bad_record=skip. Received: split='x'"
    """
    advice, mark, received = message.partition("Received:")

    def as_flag(found):
        name, value = found.groups()
        return f"--{name}={value}" if name in values else found[0]

    return re.sub(r"\b(\w+)='([\w./-]*)'", as_flag, advice) + mark + received


def _shortened(text):
    """What is wrong with a value stands behind it, however long it is."""
    return text if len(text) <= _LONG else f"{text[:100]} ... {text[100 - _LONG :]}"


_LONG = 400
# The word for no value, where an option has another default.
_NONE = "None"
_PARSERS = {float: flags.FloatParser, int: flags.IntegerParser}
_DEFINE = {
    bool: flags.DEFINE_bool,
    float: flags.DEFINE_float,
    int: flags.DEFINE_integer,
    str: flags.DEFINE_string,
}
