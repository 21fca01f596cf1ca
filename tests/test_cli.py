import dataclasses
import json
import os
import pathlib
import re
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from keras_xcons import cli, explainers, models, recipes, zoo
from keras_xcons.recipes import TrainOptions

CHECKOUT = pathlib.Path(__file__).parents[1]
ENTRY = (
    "import sys; sys.argv = ['keras-xcons', *sys.argv[1:]]; "
    "from keras_xcons.cli import run; run()"
)
COMMANDS = ["explain", "info", "list", "train"]


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """A zoo and a cache of the test's own, and a folder for what is written."""
    (tmp_path / "zoo").mkdir()
    monkeypatch.setenv("KERAS_XCONS_ZOO", str(tmp_path / "zoo"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def published(places):
    keras.utils.set_random_seed(0)
    zoo.publish(
        models.create("small_cnn", 3, 16, width=4),
        "small_cnn_figures",
        places / "zoo",
        architecture="small_cnn",
        arguments={"width": 4},
        class_names=["disc", "ring", "star"],
        method="xcons",
        recipe={"epochs": 2},
        metrics={"accuracy": 0.5},
        data_license="CC0-1.0",
        weights_license="Apache-2.0",
        trained_on="figures",
    )
    return "small_cnn_figures"


@pytest.fixture
def image_file(places):
    """`image_file("a.png")` writes a picture and returns its path."""

    def write(name):
        pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3))
        Image.fromarray(pixels.astype("uint8")).save(places / name)
        return str(places / name)

    return write


@pytest.fixture
def trained(monkeypatch):
    """The options that `train` is called with; nothing is trained."""
    seen = []
    monkeypatch.setattr(recipes, "train", seen.append)
    return seen


@pytest.fixture
def fails(capsys):
    """`fails(arguments, code)`: the one line that a command fails with."""

    def run(arguments, code):
        assert cli.main(arguments) == code
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.count("\n") == 1 and captured.err.endswith("\n")
        return captured.err.rstrip("\n")

    return run


def process(*arguments, code=ENTRY, **options):
    """The command in a process of its own, as `pip` installs it."""
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)  # the command chooses it
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


# Usage


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


def test_help_of_explain_shows_every_flag_with_its_default(capsys):
    cli.main(["explain", "--help"])
    out = capsys.readouterr().out
    shown = flags_in(out)
    assert {name: default for name, (_, default) in shown.items()} == {
        "debug": "False",
        "help": "False",
        "label": "None",
        "method": "gradcam++",
        "model": "None",
        "output": "heatmaps",
    }
    assert "  -o, --output\n" in out
    assert shown["method"][0].startswith(f"<{'|'.join(explainers.methods())}>: ")


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["trian"], "keras-xcons: error: Unknown command. Did you mean 'train'?"),
        (["--model"], "Accepted: 'explain', 'info', 'list', 'train'. Received:"),
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
        (["explain", "--model=m"], "explain takes one or more image files"),
        (["explain", "a.png"], "explain needs --model"),
        (["explain", "a.png", "--model=m", "--method=lime"], "one of <gradcam|"),
        (["info", "m", "--epochs=3"], "Unknown command line flag 'epochs'"),
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


# list and info


def test_list(published, capsys):
    assert cli.main(["list"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    parameters = zoo.model_card(published)["parameters"]
    line = f"  {published:28} {parameters:>11,} parameters  xcons"
    assert line in captured.out.splitlines()
    assert ", ".join(models.architectures()) in captured.out
    assert ", ".join(explainers.methods()) in captured.out


def test_list_with_a_pattern(published, capsys):
    assert cli.main(["list", "small_cnn_fig*"]) == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head == "Published models (1):" and published in line
    assert cli.main(["list", "no_such*"]) == 0
    assert capsys.readouterr().out == "Published models (0):\n"


def test_info(published, capsys, places):
    for name in (published, str(places / "zoo" / published)):
        assert cli.main(["info", name]) == 0
        captured = capsys.readouterr()
        assert json.loads(captured.out) == zoo.model_card(published)
        assert captured.err == ""


def test_unknown_model_is_code_1_with_close_matches(published, fails):
    for arguments in (
        ["info", "small_cnn_figure"],
        ["explain", "a.png", "--model=small_cnn_figure"],
    ):
        line = fails(arguments, 1)
        assert line.startswith(f"keras-xcons {arguments[0]}: error: Unknown model.")
        assert f"Did you mean '{published}'" in line


# train


def test_train_without_flags_has_the_documented_defaults(trained):
    assert cli.main(["train"]) == 0
    assert trained == [TrainOptions()]


def test_every_flag_of_train_reaches_the_recipe(trained):
    given = {
        "dataset": "stl10",
        "model": "mobilenet_v2",
        "weights": "backbone.h5",
        "output": "there",
        "epochs": 3,
        "image_size": 96,
        "batch_size": 4,
        "learning_rate": 0.5,
        "schedule": "memory",
        "control": "shuffled",
        "attack": "pgd",
        "epsilon": 8.0,
        "threshold": 0.25,
        "consistency_loss": 2.0,
        "warmup_epochs": 1,
        "augment": False,
        "seed": 7,
    }
    names = {field.name for field in dataclasses.fields(TrainOptions)}
    assert names - given.keys() == {"num_samples"}
    words = [f"--{name}={value}" for name, value in given.items()]
    assert cli.main(["train", *words, "--noaugment"]) == 0
    assert trained == [TrainOptions(**given)]
    assert cli.main(["train", "--num_samples", "5", "--augment"]) == 0
    assert trained[1] == TrainOptions(num_samples=5, augment=True)


@pytest.mark.parametrize(
    "flag, words",
    [
        ("--model=small_cmn", "Unknown model. Did you mean 'small_cnn'"),
        ("--epochs=0", "Received: epochs=0"),
        ("--image_size=8", "Received: image_size=8"),
        ("--epsilon=300", "Received: epsilon=300.0"),
        ("--threshold=nan", "Received: threshold=nan"),
        ("--learning_rate=0", "Received: learning_rate=0.0"),
        ("--dataset=shape", "Unknown dataset. Did you mean 'shapes'"),
        ("--dataset=./nowhere", "There is no such folder. Received: './nowhere'"),
        ("--weights=nowhere.h5", "Received: weights='nowhere.h5'"),
        ("--output=file/run", "Received: output='file/run'"),
    ],
)
def test_bad_value_is_code_1_before_any_training(
    flag, words, fails, monkeypatch, places
):
    def refuse(*_, **__):
        raise AssertionError("a model was trained")

    monkeypatch.setattr(keras.Model, "fit", refuse)
    (places / "file").touch()
    line = fails(["train", flag], 1)
    assert line.startswith("keras-xcons train: error: ") and words in line
    assert sorted(path.name for path in places.iterdir()) == ["file", "zoo"]


def raising(error):
    def raise_it(*_):
        raise error

    return raise_it


def test_interruption_is_code_130(monkeypatch, fails):
    monkeypatch.setattr(recipes, "train", raising(KeyboardInterrupt()))
    assert fails(["train"], 130) == "keras-xcons train: error: interrupted"
    assert fails(["train", "--debug"], 130).endswith("interrupted")


@pytest.mark.parametrize(
    "error, words",
    [
        (ValueError("\n first line \nsecond line\n"), "first line"),
        (RuntimeError(), "RuntimeError"),
        (MemoryError(" \n "), "MemoryError"),
        (PermissionError(13, "Permission denied", "x"), "Permission denied: 'x'"),
    ],
)
def test_error_is_one_line(error, words, monkeypatch, fails):
    monkeypatch.setattr(recipes, "train", raising(error))
    line = fails(["train"], 1)
    assert line.startswith("keras-xcons train: error: ") and line.endswith(words)


def test_debug_shows_the_traceback(monkeypatch):
    error = ValueError("first line\nsecond line")
    monkeypatch.setattr(recipes, "train", raising(error))
    with pytest.raises(ValueError) as caught:
        cli.main(["train", "--debug"])
    assert caught.value is error
    # It is for errors, not for what was typed.
    assert cli.main(["train", "--debug", "--nonsense"]) == 2


# explain


def test_explain(published, image_file, places, capsys):
    images = [image_file("a.png"), image_file("b.jpg")]
    code = cli.main(["explain", *images, "--model", published, "-o", "maps/deep"])
    captured = capsys.readouterr()
    assert (code, captured.err) == (0, "")
    assert len(captured.out.splitlines()) == 2
    written = sorted((places / "maps" / "deep").iterdir())
    assert [path.name for path in written] == ["a.png", "b.png"]
    for path in written:
        with Image.open(path) as picture:
            assert (picture.format, picture.size) == ("PNG", (16, 16))


def test_explain_takes_a_label_and_a_method(published, image_file, monkeypatch):
    calls = []

    def remember(*arguments):
        calls.append(arguments)
        return []

    monkeypatch.setattr(recipes, "explain_files", remember)
    flags = ["--model=m", "--label=ring", "--method=saliency"]
    assert cli.main(["explain", *flags, "a.png", "b.png"]) == 0
    output = pathlib.Path("heatmaps")
    assert calls == [("m", ["a.png", "b.png"], output, "saliency", "ring")]


def test_label_out_of_range_is_code_1(published, image_file, fails):
    arguments = ["explain", image_file("a.png"), f"--model={published}", "--label=3"]
    assert "0..2 or one of disc, ring, star. Received: label='3'" in fails(arguments, 1)


def test_file_that_is_no_image_is_named_and_code_1(
    published, image_file, places, capsys
):
    (places / "text.png").write_text("no image")
    images = ["text.png", image_file("a.png"), "missing.png"]
    assert cli.main(["explain", *images, f"--model={published}"]) == 1
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [
        "keras-xcons explain: error: text.png: is not an image, or of an unknown kind",
        "keras-xcons explain: error: missing.png: No such file or directory",
    ]
    assert len(captured.out.splitlines()) == 1
    assert [path.name for path in (places / "heatmaps").iterdir()] == ["a.png"]


def test_output_that_is_a_file_is_refused(published, image_file, fails):
    image = image_file("a.png")
    arguments = ["explain", image, f"--model={published}", "-o", image]
    assert f"Received: output='{image}'" in fails(arguments, 1)


# The installed command


@pytest.mark.slow
def test_process_says_one_line_and_fails():
    running = process("info", "nonsense")
    out, err = running.communicate()
    assert (running.returncode, out) == (1, "")
    assert err.count("\n") == 1
    assert err.startswith("keras-xcons info: error: Unknown model.")
    assert err.endswith("Received: model='nonsense'\n")


@pytest.mark.slow
def test_process_explains_many_files_without_a_note(published, image_file, places):
    images = [image_file(f"{number}.png") for number in range(7)]
    running = process("explain", *images, f"--model={published}")
    out, err = running.communicate()
    assert (running.returncode, err) == (0, "")
    assert len(out.splitlines()) == 7
    assert len(list((places / "heatmaps").iterdir())) == 7


@pytest.mark.slow
def test_process_ends_with_130_on_ctrl_c(places):
    code = ENTRY.replace("; run()", "; print('ready', flush=True); run()")
    running = process("train", "--output=run", code=code)
    assert running.stdout.readline() == "ready\n"
    assert running.stdout.readline() == "\n"  # before the first run
    running.send_signal(signal.SIGINT)
    _, err = running.communicate()
    assert running.returncode == 130
    assert err == "keras-xcons train: error: interrupted\n"
