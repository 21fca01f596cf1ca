"""The flags of training methods: those of the options of the methods that are named."""

from absl import flags

from keras_xcons import command_flags
from keras_xcons.methods import method_of, methods
from keras_xcons.options import default_of, fields
from keras_xcons.recipes.options import TrainOptions

_DEFAULT = list(default_of(TrainOptions, "methods"))


def follows(words):
    """Whether the words of a command name a method that follows a training.

    Args:
        words: List of strings.

    Returns:
        bool; not where it is named beside others, which is refused.

    Example:

    >>> follows(["--method=xnn"])
    True
    """
    named = _named(words)
    known = len(named) == 1 and named[0] in methods()
    return known and method_of(named[0]).follows is not None


def define(values, job):
    """Defines `--method`, and a flag for each option of the methods that are named.

    An option of a method is `--METHOD.OPTION`; where a single method is named, the name
    of the option will do.

    Args:
        values: `CommandFlags`.
        job: The table of the other options of the command.
    """
    flags.DEFINE_list(
        "method",
        _DEFAULT,
        f"Training methods, separated by commas: {', '.join(methods())}. With --help, "
        "their options are shown.",
        flag_values=values,
    )
    named = _named(values.words)
    for name in named:
        if name not in methods():
            continue
        table = method_of(name).options
        command_flags.define_fields(table, values, prefix=f"{name}.")
        if len(named) == 1:
            command_flags.define_fields(table, values, _bare(table, job))


def read(values, job):
    """What the flags say of methods, as `TrainOptions` takes them.

    Args:
        values: `CommandFlags` that have been parsed.
        job: As for `define`.

    Returns:
        Dict from the names of methods to dicts of what was typed of their options.

    Raises:
        ValueError: There is no such method, or none is named, or one twice.
    """
    found = {}
    names = [name.strip() for name in values.method]
    if not any(names) or len(set(names)) < len(names):
        raise ValueError(
            "--method must name one training method or several, each once. Received: "
            f"method={','.join(names)!r}"
        )
    for name in names:
        table = method_of(name).options
        found[name] = command_flags.fields(table, values, prefix=f"{name}.", given=True)
        if len(names) == 1:
            bare = _bare(table, job)
            found[name] |= command_flags.fields(table, values, bare, given=True)
    return found


def advice(flag, values):
    """What to tell who types an option of a method that is not defined, or `None`.

    Args:
        flag: Name of the flag, without dashes.
        values: `CommandFlags`.

    Returns:
        One line, or `None`.
    """
    method, _, option = flag.rpartition(".")
    if method in methods() and option in _told(method):
        return f"--{flag} is for the method {method!r}, which --method does not name"
    owners = [name for name in methods() if flag in _told(name)]
    named = _named(values.words)
    if not owners or flag in fields(TrainOptions):
        return None
    theirs = [name for name in owners if name in named]
    if theirs:
        ways = " or ".join(f"--{name}.{flag}" for name in theirs)
        return f"Say which method --{flag} is for: {ways}"
    whose = ", ".join(map(repr, owners))
    return f"--{flag} is an option of {whose}, and --method does not name one of them"


def _named(words):
    """The methods that the words of a command name, known or not."""
    given = _DEFAULT
    for word, following in zip(words, [*words[1:], ""], strict=False):
        name, joined, value = word.partition("=")
        if word == "--":
            break
        if name in ("--method", "-method"):
            given = [one.strip() for one in (value if joined else following).split(",")]
    return list(dict.fromkeys(given))


def _told(method):
    """The options of a method that are flags."""
    known = fields(method_of(method).options)
    return {name for name, (_, declared) in known.items() if declared.told}


def _bare(table, job):
    """The options of a method whose names the job itself does not use."""
    return [name for name in fields(table) if name not in fields(job)]
