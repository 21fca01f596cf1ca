import json
import shutil

import pytest

from keras_xcons import cli, explainers, models, zoo


def test_list(published, capsys):
    assert cli.main(["list"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    parameters = zoo.info(published)["parameters"]
    lines = captured.out.partition("Training methods:")[0].splitlines()[1:]
    told = [published, f"{parameters:,}", "parameters", "figures", "xcons"]
    assert told in [line.split() for line in lines]
    # In columns, however long a name is.
    for word in (3, 4):
        assert len({line.rindex("  " + line.split()[word]) for line in lines}) == 1
    assert ", ".join(models.architectures()) in captured.out
    assert ", ".join(explainers.names()) in captured.out


def test_list_with_a_pattern(published, capsys):
    assert cli.main(["list", "small_cnn_fig*"]) == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head == "Published models (1):" and published in line
    assert cli.main(["list", "no_such*"]) == 0
    assert capsys.readouterr().out == "Published models (0):\n"


@pytest.mark.parametrize(
    "flags, count",
    [
        (["--dataset=fig*"], 1),
        (["--dataset=shapes"], 0),
        (["--method=xcons"], 1),
        (["--method=plain"], 0),
        (["--architecture=small_*"], 1),
        (["--architecture=resnet18"], 0),
        (["--dataset", "figures", "--method", "x*"], 1),
        (["--dataset", "figures", "--method", "plain"], 0),
    ],
)
def test_list_with_filters(flags, count, published, capsys):
    assert cli.main(["list", "*_figures", *flags]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Published models ({count}):"
    assert len(lines) == 1 + count


def test_info(published, capsys, places):
    for name in (published, str(places / "zoo" / published)):
        assert cli.main(["info", name]) == 0
        captured = capsys.readouterr()
        assert json.loads(captured.out) == zoo.info(published)
        assert captured.err == ""
    assert zoo.info(published)["metrics"] == {"accuracy": 0.5}


def test_unknown_model_is_code_1_with_close_matches(published, fails):
    for arguments in (
        ["info", "small_cnn_figure"],
        ["explain", "a.png", "--model=small_cnn_figure"],
    ):
        line = fails(arguments, 1)
        assert line.startswith(f"keras-xcons {arguments[0]}: error: Unknown model.")
        assert f"Did you mean '{published}'" in line


SPOKEN = "\x1b]0;title\x07\x1b[2J\x9b2J\x7f\n  fake_model\r\u202e\u2028"


def change_card(folder, **changes):
    card = json.loads((folder / "card.json").read_text("utf-8"))
    (folder / "card.json").write_text(json.dumps({**card, **changes}), "utf-8")


def is_harmless(text):
    return all(line.isprintable() for line in text.split("\n"))


def test_nothing_that_a_card_says_acts_on_the_terminal(published, places, capsys):
    folder = places / "zoo" / published
    names = [SPOKEN, "ring", "star"]
    change_card(folder, class_names=names, dataset=SPOKEN, method=SPOKEN, paper=SPOKEN)
    assert cli.main(["list"]) == 0
    out = capsys.readouterr().out
    assert is_harmless(out) and r"\x1b]0;title" in out
    assert "\n  fake_model" not in out
    assert cli.main(["info", published]) == 0
    out = capsys.readouterr().out
    assert is_harmless(out) and json.loads(out)["class_names"] == names
    assert cli.main(["explain", "a.png", f"--model={published}", "--label=x"]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and is_harmless(err) and r"\x1b[2J" in err


@pytest.mark.parametrize(
    "changes", [{f"{SPOKEN}": 1}, {"architecture": SPOKEN}, {"arguments": {SPOKEN: 1}}]
)
def test_no_error_acts_on_the_terminal(changes, published, places, fails):
    change_card(places / "zoo" / published, **changes)
    line = fails(["explain", "a.png", f"--model={published}"], 1)
    assert is_harmless(line) and r"\x1b]0;title" in line


def test_one_wrong_card_hides_no_other(published, places, capsys, caplog):
    caplog.set_level("WARNING", logger="absl")
    for name, changes in (
        ("a_integer", {"parameters": 10**400}),
        ("a_logits", {"check": {"logits": [10**400, 0, 0], "heatmap": None}}),
        ("a_surrogate", {"class_names": ["\ud800", "b", "c"]}),
        ("z_escape", {SPOKEN: 1}),
    ):
        shutil.copytree(places / "zoo" / published, places / "zoo" / name)
        change_card(places / "zoo" / name, name=name, **changes)
    assert cli.main(["list", "*_figures"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 2 and published in out[1]
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 4 and all(map(is_harmless, told))
    for name, line in zip(["integer", "logits", "surr", "escape"], told, strict=True):
        assert name in line and line.endswith("; it is not listed")
