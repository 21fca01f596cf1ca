import re

import pytest

from keras_xcons import cli, explainers
from keras_xcons.evaluation import EvaluationOptions
from keras_xcons.methods import method_of
from keras_xcons.options import default_of, fields
from keras_xcons.recipes import TrainOptions

_NO_METHOD = (
    "`method` is a training method; the explanation method is `explainer`. "
    "Received: method='gradcam' (see"
)
COMMANDS = ["calibrate", "download", "evaluate", "explain", "info", "list", "train"]


def test_without_a_command_the_usage_is_shown(capsys):
    assert cli.main([]) == 2
    usage = capsys.readouterr().out
    assert usage.startswith("Usage: keras-xcons COMMAND [FLAGS]")
    for name in COMMANDS:
        assert f"\n  {name}" in usage
    for word in ("-h", "--help", "help"):
        assert cli.main([word]) == 0
        assert capsys.readouterr().out == usage


def test_usage_knows_every_command():
    assert sorted(cli._COMMANDS) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_of_every_command(command, flag, capsys, trained):
    assert cli.main([command, flag]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert f"keras-xcons {command}" in captured.out
    assert "\n\nFlags:\n" in captured.out
    assert "  --[no]debug\n      Show the traceback of an error." in captured.out
    assert captured.out.count("Show this help.") == 1
    assert trained == []


def flags_in(text):
    """Flags of a help text: `{name: (text, default)}`."""
    pattern = r"^  (?:-\w, )?--(?:\[no\])?([\w.]+)\n      (.*?)(?: \(default: (.*)\))?$"
    found = re.findall(pattern, text, re.MULTILINE)
    return {name: (words, default or "None") for name, words, default in found}


def check_flag(shown, options, name, flag=None):
    """That a flag tells what the table declares of an option."""
    words, default = shown[flag or name]
    declared = fields(options)[name].declared
    choices = [
        str(one)
        for one in declared.accepted or ()
        if one is not None or default_of(options, name) is not None
    ]
    told = choices and not declared.parse
    assert words == (f"<{'|'.join(choices)}>: " if told else "") + declared.help
    expected = str(default_of(options, name))
    assert default == (expected.lower() if declared.parse else expected)


def told(options):
    return {name for name, (_, declared) in fields(options).items() if declared.told}


def test_help_of_train_shows_every_option_with_its_default(capsys):
    """Those of the training, and those of the methods that are named."""
    for named in (["xcons"], ["plain"], ["plain", "xcons"]):
        cli.main(["train", f"--method={','.join(named)}", "--help"])
        shown = flags_in(capsys.readouterr().out)
        expected = {name: (TrainOptions, name) for name in told(TrainOptions)}
        for method in named:
            table = method_of(method).options
            for name in told(table):
                short = len(named) == 1 and name not in fields(TrainOptions)
                flag = name if short else f"{method}.{name}"
                if len(named) > 1 or short:
                    expected[flag] = table, name
        alone = {flag for flag in shown if "." not in flag or len(named) > 1}
        assert alone == expected.keys() | {"debug", "help", "method"}
        for flag, (table, name) in expected.items():
            check_flag(shown, table, name, flag)


def test_help_of_evaluate_shows_every_option_with_its_default(capsys):
    cli.main(["evaluate", "--help"])
    shown = flags_in(capsys.readouterr().out)
    for name in fields(EvaluationOptions):
        check_flag(shown, EvaluationOptions, name)
    assert shown["dataset"][1] == "shapes" and shown["output"][1] == "evaluation"


def test_help_of_explain_shows_every_flag_with_its_default(capsys):
    cli.main(["explain", "--help"])
    out = capsys.readouterr().out
    shown = flags_in(out)
    assert {name: default for name, (_, default) in shown.items()} == {
        "align": "true",
        "debug": "False",
        "explainer": "None",
        "help": "False",
        "label": "None",
        "model": "None",
        "normalize": "max",
        "output": "heatmaps",
    }
    assert "  -o, --output\n" in out
    assert shown["explainer"][0].startswith(f"<{'|'.join(explainers.names())}>: ")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("dash", ["-", "--"])
def test_no_command_reads_a_file_of_flags(command, dash, fails, trained, places):
    (places / "binary").write_bytes(bytes(range(256)))
    (places / "flags").write_text("--debug\n--epochs=3\n--flagfile=flags\n")
    for words in (["flagfile=binary"], ["flagfile", "flags"], ["flagfile=/dev/zero"]):
        line = fails([command, f"{dash}{words[0]}", *words[1:]], 2)
        assert f"keras-xcons {command}: error: Unknown command line flag" in line
    assert trained == []


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["trian"], "keras-xcons: error: Unknown command. Did you mean 'train'?"),
        (["--model"], "Accepted: 'calibrate', 'download', 'evaluate',"),
        (["train", "--epoch=3"], "'epoch'. Did you mean: epochs"),
        (["train", "--nonsense"], "Unknown command line flag 'nonsense'"),
        (["train", "--epochs=many"], "--epochs=many"),
        (["train", "--epochs"], "Missing value for flag --epochs"),
        (["train", "--epsilon=x"], "--epsilon=x"),
        (["train", "--augment=perhaps"], "--augment=perhaps"),
        (["train", "shapes"], "train takes flags only, not 'shapes'"),
        (["list", "a", "b"], "list takes one pattern"),
        (["info"], "info takes the name of one model"),
        (["info", "a", "b"], "info takes the name of one model"),
        (["explain", "--model=m"], "explain takes one or more image files or"),
        (["explain", "a.png"], "explain needs --model"),
        (["explain", "a.png", "--method", "gradcam"], _NO_METHOD),
        (["evaluate", "m", "--method=gradcam"], _NO_METHOD),
        (["calibrate", "m", "-method=gradcam"], _NO_METHOD),
        (["explain", "--method"], "Received: method=''"),
        (["info", "m", "--method=x"], "Unknown command line flag 'method'"),
        (["evaluate"], "evaluate takes one or more models"),
        (["evaluate", "m", "--steps=some"], "--steps=some"),
        (["info", "m", "--epochs=3"], "Unknown command line flag 'epochs'"),
        (["train", "--noaugment=3"], "--noaugment=3 does not take an argument"),
        (["train", "--epochs=" + "9" * 5000], "Exceeds the limit (4300 digits)"),
        (["train", "--undefok=epoch", "--epoch=3"], "Unknown command line flag"),
        (["train", "-undefok", "epoch"], "Unknown command line flag 'undefok'"),
    ],
)
def test_wrong_usage_is_code_2(arguments, words, fails, trained, places):
    line = fails(arguments, 2)
    assert words in line
    if arguments[0] in COMMANDS:
        assert line.startswith(f"keras-xcons {arguments[0]}: error: ")
        assert line.endswith(f"(see keras-xcons {arguments[0]} --help)")
    assert trained == []
    assert [path.name for path in places.iterdir()] == ["zoo"]


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["train", "--schedule=bach"], "Unknown schedule. Did you mean 'batch'"),
        (
            ["train", "--sample_weights=none"],
            "Unknown sample_weights.*'loss', 'shuffled'",
        ),
        (["evaluate", "m", "--explained=labels"], "Did you mean 'label'"),
        (["evaluate", "m", "--explainer=gradcm"], "Did you mean 'gradcam'"),
    ],
)
def test_a_wrong_value_is_answered_as_in_python(arguments, words, fails):
    assert re.search(words, fails(arguments, 1))
