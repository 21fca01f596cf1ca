"""Flags of a command, made from tables of options."""

import dataclasses
import re
import typing

from absl import flags


class CommandFlags(flags.FlagValues):
    """The flags that a command defines, and none that absl has of its own.

    Those would read files of any kind and size, or let misspelt flags pass unread.

    Example:

    >>> values = CommandFlags()
    >>> define_fields(TrainOptions, values)
    >>> values(["train", "--epochs=3"])
    ['train']
    """

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


def define_fields(options, values, names=None):
    """Defines a flag for each field of a table of options.

    Args:
        options: A dataclass whose fields have the metadata `help` and `choices`, a
            sequence or a function that returns it once all rooms are loaded, and may
            have `parse`, a function that makes the value of a text.
        values: `CommandFlags`.
        names: Names of the fields to take, or `None` for all.
    """
    kinds = typing.get_type_hints(options)
    for field in _chosen(options, names):
        text, choices = field.metadata["help"], field.metadata["choices"]
        choices = choices() if callable(choices) else choices
        members = typing.get_args(kinds[field.name]) or (kinds[field.name],)
        if field.metadata.get("parse"):
            default = str(field.default).lower()
            flags.DEFINE_string(field.name, default, text, flag_values=values)
        elif choices:
            flags.DEFINE_enum(field.name, field.default, choices, text, values)
        else:
            define = _DEFINE[members[0]]
            define(field.name, field.default, text, flag_values=values)


def fields(options, values, names=None):
    """What the flags say of each field, as arguments of the table.

    Args:
        options: As for `define_fields`.
        values: `CommandFlags` that have been parsed.
        names: As for `define_fields`.

    Returns:
        Dict.
    """
    found = {}
    for field in _chosen(options, names):
        value, parse = values[field.name].value, field.metadata.get("parse")
        found[field.name] = parse(value) if parse else value
    return found


def _chosen(options, names):
    known = dataclasses.fields(options)
    return [field for field in known if names is None or field.name in names]


def described(values):
    """Every flag with its default, one paragraph each.

    Args:
        values: `CommandFlags`.

    Returns:
        A string of several lines.
    """
    lines = []
    for name in sorted(values):
        flag = values[name]
        if name != flag.name:  # the short form of another one
            continue
        short = f"-{flag.short_name}, " if flag.short_name else ""
        switch = "[no]" if flag.boolean else ""
        lines.append(f"  {short}--{switch}{name}")
        lines.append(f"      {flag.help} (default: {flag.default})")
    return "\n".join(lines)


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
_DEFINE = {
    bool: flags.DEFINE_bool,
    float: flags.DEFINE_float,
    int: flags.DEFINE_integer,
    str: flags.DEFINE_string,
}
