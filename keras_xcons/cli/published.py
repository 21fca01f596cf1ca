"""The commands on published models: list, info, download."""

import json

from absl import flags

from keras_xcons import explainers, models, zoo
from keras_xcons.command_errors import UsageError, fail, first_line
from keras_xcons.methods import method_of, methods
from keras_xcons.printable import printable


def no_flags(values):
    """Defines no flag, for a command that has none."""
    del values


def list_flags(values):
    """Defines the filters of `list`."""
    for name, text in (
        ("dataset", "Data set it was trained on"),
        ("method", "Training method"),
        ("architecture", "Architecture, or that of the network it is built on"),
    ):
        flags.DEFINE_string(name, None, f"{text}; may hold *, ? and [...].", values)


def list_models(values, positional):
    """Lists published models and the architectures that `train` knows.

    keras-xcons list [PATTERN]     PATTERN may hold *, ? and [...]
    """
    if len(positional) > 1:
        raise UsageError("list takes one pattern")
    filters = {
        name: values[name].value for name in ("dataset", "method", "architecture")
    }
    found = zoo.summaries(*positional, **filters)
    print(f"Published models ({len(found)}):")
    rows = [
        (name, printable(told["dataset"]), printable(told["method"]))
        for name, told in found.items()
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, dataset, method in rows:
        size = f"{found[name]['parameters']:>11,} parameters"
        print(f"  {name:{widths[0]}} {size}  {dataset:{widths[1]}}  {method}")
    if not positional and set(filters.values()) == {None}:
        lines = [f"  {m.name:8} {m.purpose}" for m in map(method_of, methods())]
        print("Training methods:", *lines, sep="\n")
        print("Architectures:\n  " + ", ".join(models.architectures()))
        print("Explainers:\n  " + ", ".join(explainers.names()))
    return 0


def info(values, positional):
    """Shows the card and the metrics of a published model as JSON.

    keras-xcons info MODEL     MODEL is a name of `list`, a folder with a card, or the
                               https:// or hf:// address of one
    """
    del values
    if len(positional) != 1:
        raise UsageError("info takes the name of one model")
    # JSON escapes all that a terminal acts on, but for one character.
    text = json.dumps(zoo.info(positional[0]), indent=2)
    print(text.replace("\x7f", "\\u007f"))
    return 0


def download(values, positional):
    """Fetches the weights of published models, and shows where they lie.

    keras-xcons download MODEL...     MODEL as for `info`
    """
    if not positional:
        raise UsageError("download takes one or more models")
    code = 0
    for name in positional:
        try:
            path = zoo.download(name)
        except Exception as error:
            if values.debug:
                raise
            code = fail("download", f"{name}: {first_line(error)}", 1)
        else:
            print(printable(f"{name}: {path} ({path.stat().st_size / 1e6:.1f} MB)"))
    return code
