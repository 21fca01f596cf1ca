import json

import pytest

from keras_xcons import cli, explainers, models, zoo


def test_list(published, capsys):
    assert cli.main(["list"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    parameters = zoo.info(published)["parameters"]
    line = f"  {published:30} {parameters:>11,} parameters  {'figures':16} xcons"
    assert line in captured.out.splitlines()
    assert ", ".join(models.architectures()) in captured.out
    assert ", ".join(explainers.methods()) in captured.out


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
