"""The command `keras-xcons`: flags in, one call of the package, an exit code out.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""

import sys

from absl import flags

from keras_xcons import checks, command_flags, explainers, recipes
from keras_xcons.cli import published
from keras_xcons.command_errors import UsageError, fail, first_line
from keras_xcons.data.records import ON_BAD_RECORD
from keras_xcons.evaluation import EvaluationOptions
from keras_xcons.recipes import (
    BAD_RECORD_HELP,
    DATASET_HELP,
    FollowOptions,
    TrainOptions,
    method_flags,
)

_USAGE = """Usage: keras-xcons COMMAND [FLAGS]

Commands:
  list [PATTERN]                list published models and architectures
  info MODEL                    show the card and metrics of a published model
  download MODEL...             fetch the weights of published models
  train                         train plainly and by other methods, compare, write all
  evaluate MODEL...             measure models side by side, write a report
  explain IMAGE... --model M    write heatmaps over image files
  calibrate MODEL [IMAGE...]    measure how far heatmaps are shifted

keras-xcons COMMAND --help shows the flags of a command."""


_INTERRUPTED = {"train": "interrupted; the same command goes on where it was"}


def run():
    """Runs the command line of this process and exits with its code."""
    # A file name need not be text that a terminal can show.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")
    sys.exit(main(sys.argv[1:]))


def main(arguments):
    """Runs one command.

    Args:
        arguments: List of strings, what follows `keras-xcons`.

    Returns:
        The exit code.

    Example:

    >>> main(["list", "small_cnn*"])
    """
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_USAGE)
        return 0 if arguments else 2
    name, *rest = arguments
    if name not in _COMMANDS:
        return fail("", checks.unknown("command", name, _COMMANDS), 2)
    function, define = _COMMANDS[name]
    values = command_flags.CommandFlags(rest)
    flags.DEFINE_bool("debug", False, "Show the traceback of an error.", values)
    flags.DEFINE_bool("help", False, "Show this help.", values, short_name="h")
    define(values)
    try:
        positional = values([name, *rest])[1:]
    except flags.Error as error:
        line = _advice(error, values) or error
        return fail(name, f"{line} (see keras-xcons {name} --help)", 2)
    if values.help:
        print(f"{function.__doc__.rstrip()}\n")
        print(command_flags.described(values))
        return 0
    try:
        return function(values, positional)
    except KeyboardInterrupt:
        return fail(name, _INTERRUPTED.get(name, "interrupted"), 130)
    except UsageError as error:
        return fail(name, f"{error} (see keras-xcons {name} --help)", 2)
    except Exception as error:
        if values.debug:
            raise
        line = first_line(error) or type(error).__name__
        return fail(name, command_flags.in_flags(line, values), 1)


def _advice(error, values):
    """What to tell of a flag that is one elsewhere, or `None`."""
    flag = getattr(error.__cause__, "flagname", None)
    if flag is not None and "method" in values:
        return method_flags.advice(flag, values)
    if flag != "method" or "explainer" not in values:
        return None
    word = error.__cause__.flagvalue  # All of it, as it was typed.
    _, joined, value = word.partition("=")
    following = values.words[values.words.index(word) + 1 :]
    return explainers.no_method(value if joined or not following else following[0])


# train


def _train_flags(values):
    table = FollowOptions if method_flags.follows(values.words) else TrainOptions
    command_flags.define_fields(table, values)
    method_flags.define(values, table)


def _train(values, positional):
    """Trains a classifier plainly and by other methods from one start, and compares.

    Without flags: a small CNN on the generated shapes set, by XCons. Models, metrics
    and a picture of heatmaps are written into the output folder. A run that was stopped
    goes on when the same command is given again.

    keras-xcons train --method=scaat,cgc --scaat.epsilon=8
    keras-xcons train --dataset DIR/tfds/1.0.0 --model mobilenet_v2 --pretrained FILE

    A method that explains a trained classifier takes that instead:

    keras-xcons train --method=xnn --model=NAME_OR_FILE --dataset DATA
    """
    if positional:
        raise UsageError(f"train takes flags only, not {positional[0]!r}")
    follows = method_flags.follows(values.words)
    table = FollowOptions if follows else TrainOptions
    told = command_flags.fields(table, values)
    options = table(methods=method_flags.read(values, table), **told)
    recipes.follow(options) if follows else recipes.train(options)
    return 0


# evaluate


def _evaluate_flags(values):
    flags.DEFINE_string("dataset", "shapes", DATASET_HELP, values)
    flags.DEFINE_string(
        "split", None, "Split of the data set. Default: its test split.", values
    )
    flags.DEFINE_integer(
        "image_size",
        None,
        "Height and width in pixels. Default: what the model takes.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "batch_size", 16, "Images computed at a time.", flag_values=values
    )
    flags.DEFINE_list(
        "metrics", ["all"], "Metrics or groups of them, separated by commas.", values
    )
    flags.DEFINE_string(
        "backgrounds",
        None,
        "Folder of photographs for the background challenge. Default: backgrounds of "
        "the data set.",
        values,
    )
    flags.DEFINE_string(
        "output", "evaluation", "Folder for the report.", values, short_name="o"
    )
    flags.DEFINE_enum("on_bad_record", "error", ON_BAD_RECORD, BAD_RECORD_HELP, values)
    command_flags.define_fields(EvaluationOptions, values)


def _evaluate(values, positional):
    """Measures models and their explanations on a data set, and writes a report.

    A model is a name of `list`, a folder with a card, or a .keras file. Of several,
    each is compared with the first. Written: report.html, report.csv, report.json.

    keras-xcons evaluate MODEL... --dataset DATA -o FOLDER
    """
    if not positional:
        raise UsageError("evaluate takes one or more models")
    names = ("metrics", "split", "image_size", "batch_size")
    names += ("backgrounds", "on_bad_record")
    recipes.evaluate_models(
        positional,
        values.dataset,
        values.output,
        **{name: values[name].value for name in names},
        **command_flags.fields(EvaluationOptions, values),
    )
    return 0


# explain

_OF_EXPLAIN = ("explainer", "align", "normalize")


def _explain_flags(values):
    flags.DEFINE_string("model", None, "Published model, or .keras file.", values)
    flags.DEFINE_string(
        "output", "heatmaps", "Folder for the pictures.", values, short_name="o"
    )
    flags.DEFINE_string(
        "label", None, "Class to explain, by index or name. Default: predicted.", values
    )
    command_flags.define_fields(EvaluationOptions, values, _OF_EXPLAIN)


def _explain(values, positional):
    """Writes a picture with its heatmap for each image file, or all of a folder.

    keras-xcons explain IMAGE... --model MODEL -o FOLDER
    """
    if not positional:
        raise UsageError("explain takes one or more image files or folders")
    if values.model is None:
        raise UsageError("explain needs --model")
    chosen = command_flags.fields(EvaluationOptions, values, _OF_EXPLAIN)
    folder = recipes.writable_folder(values.output)
    failed = recipes.explain_files(
        values.model,
        positional,
        folder,
        explainer=chosen.pop("explainer"),
        label=values.label,
        **chosen,
    )
    for path, reason in failed:
        fail("explain", f"{path}: {reason}", 1)
    return 1 if failed else 0


# calibrate

_OF_CALIBRATE = ("explainer", "feature_layer")


def _calibrate_flags(values):
    flags.DEFINE_string("dataset", None, DATASET_HELP, values)
    flags.DEFINE_string("split", None, "Split of the data set. Default: train.", values)
    flags.DEFINE_integer("images", 200, "Images to measure on.", flag_values=values)
    flags.DEFINE_integer("seed", 0, "Seed of the intervals.", flag_values=values)
    command_flags.define_fields(EvaluationOptions, values, _OF_CALIBRATE)


def _calibrate(values, positional):
    """Measures by flips how far the heatmaps of a model are shifted, in pixels.

    On images of a data set, or on image files and folders; annotations are not used.
    A model is a name of `list`, a folder with a card, or a .keras file.

    keras-xcons calibrate MODEL --dataset DATA
    keras-xcons calibrate MODEL IMAGE...
    """
    if not positional:
        raise UsageError("calibrate takes a model")
    names = ("split", "images", "seed", *_OF_CALIBRATE)
    model, *paths = positional
    recipes.calibrate_model(
        model,
        dataset=values.dataset,
        paths=paths,
        **{name: values[name].value for name in names},
    )
    return 0


_COMMANDS = {
    "calibrate": (_calibrate, _calibrate_flags),
    "download": (published.download, published.no_flags),
    "evaluate": (_evaluate, _evaluate_flags),
    "explain": (_explain, _explain_flags),
    "info": (published.info, published.no_flags),
    "list": (published.list_models, published.list_flags),
    "train": (_train, _train_flags),
}
