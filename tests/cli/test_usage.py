import dataclasses
import re

import pytest

from keras_xcons import cli, explainers
from keras_xcons.evaluation import EvaluationOptions
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
    pattern = r"^  (?:-\w, )?--(?:\[no\])?(\w+)\n      (.*) \(default: (.*)\)$"
    found = re.findall(pattern, text, re.MULTILINE)
    return {name: (words, default) for name, words, default in found}


def test_help_of_train_shows_every_option_with_its_default(capsys):
    cli.main(["train", "--help"])
    shown = flags_in(capsys.readouterr().out)
    fields = dataclasses.fields(TrainOptions)
    assert set(shown) == {field.name for field in fields} | {"debug", "help"}
    for field in fields:
        words, default = shown[field.name]
        choices = field.metadata["choices"]
        accepted = f"<{'|'.join(choices)}>: " if choices else ""
        assert words == accepted + field.metadata["help"]
        assert default == str(field.default)


def test_help_of_evaluate_shows_every_option_with_its_default(capsys):
    cli.main(["evaluate", "--help"])
    shown = flags_in(capsys.readouterr().out)
    for field in dataclasses.fields(EvaluationOptions):
        words, default = shown[field.name]
        assert words.endswith(field.metadata["help"])
        parsed = field.metadata["parse"]
        assert default == (str(field.default).lower() if parsed else str(field.default))
    assert shown["dataset"][1] == "shapes" and shown["output"][1] == "evaluation"


def test_help_of_explain_shows_every_flag_with_its_default(capsys):
    cli.main(["explain", "--help"])
    out = capsys.readouterr().out
    shown = flags_in(out)
    assert {name: default for name, (_, default) in shown.items()} == {
        "align": "true",
        "debug": "False",
        "explainer": "gradcam++",
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
        (["train", "--schedule=sometimes"], "should be one of <batch|memory|epoch>"),
        (["train", "--control=none"], "should be one of <uniform|"),
        (["train", "--augment=perhaps"], "--augment=perhaps"),
        (["train", "shapes"], "train takes flags only, not 'shapes'"),
        (["list", "a", "b"], "list takes one pattern"),
        (["info"], "info takes the name of one model"),
        (["info", "a", "b"], "info takes the name of one model"),
        (["explain", "--model=m"], "explain takes one or more image files or"),
        (["explain", "a.png"], "explain needs --model"),
        (["explain", "a.png", "--model=m", "--explainer=lime"], "one of <gradcam|"),
        (["explain", "a.png", "--method", "gradcam"], _NO_METHOD),
        (["evaluate", "m", "--method=gradcam"], _NO_METHOD),
        (["calibrate", "m", "-method=gradcam"], _NO_METHOD),
        (["explain", "--method"], "Received: method=''"),
        (["info", "m", "--method=x"], "Unknown command line flag 'method'"),
        (["evaluate"], "evaluate takes one or more models"),
        (["evaluate", "m", "--explained=both"], "one of <label|predicted>"),
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
