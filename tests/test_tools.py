"""The arithmetic of the tools that make the README's tables."""

import functools
import importlib.util
import pathlib
import re

import pytest
from pages import renewed

from keras_xcons.consistency import MAP_MEASURES
from keras_xcons.evaluation import measure
from keras_xcons.evaluation.statistics import value_of
from keras_xcons.methods import (
    Method,
    MethodOptions,
    TrainingMethod,
    method_of,
    methods,
)
from keras_xcons.options import fields, option, table
from tests.evaluation.colors import (
    IMAGES,
    LABELS,
    batches,
    color_classifier,
    masks,
)

TOOLS = pathlib.Path(__file__).parents[1] / "tools"
# The flags of the tool that was loaded last.
defined = set()


def tool(name):
    # Each defines flags of its own, and absl knows one set of them a process. Those of
    # absl itself stay: TensorFlow needs them to export a model.
    from absl import flags

    for flag in defined:
        delattr(flags.FLAGS, flag)
    before = set(flags.FLAGS)
    spec = importlib.util.spec_from_file_location(f"tools_{name}", TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    defined.clear()
    defined.update(set(flags.FLAGS) - before)
    return module


def test_ratios_are_taken_within_a_round():
    benchmark = tool("benchmark")
    seconds = {"plain": [1.0, 2.0, 4.0], "batch": [2.0, 3.0, 4.0]}
    rows = list(benchmark.rows_of_race("training", "m", seconds, "plain", {}))
    # 2/1, 3/2 and 4/4: their median is 1.5, while the medians' ratio is also 3/2.
    assert rows[1]["ratio"] == 1.5
    assert (rows[1]["ratio_low"], rows[1]["ratio_high"]) == (1.0, 2.0)
    assert rows[1]["median"] == 3000.0
    seconds["batch"] = [4.0, 2.0, 4.0]
    rows = list(benchmark.rows_of_race("training", "m", seconds, "plain", {}))
    # Within rounds 4, 1 and 1; the ratio of the medians would be 2.
    assert rows[1]["ratio"] == 1.0


@pytest.mark.parametrize(
    "name",
    [
        *("benchmark", "compare_methods", "compare_xplique"),
        *("coverage_of_intervals", "evaluation_cost", "evidence"),
        "inspect_weights",
        *(
            "pets_on_backgrounds",
            "pretrain",
            "publish",
            "reference",
            "report_table",
        ),
        *("rewrite_zoo", "train_zoo", "zoo_results"),
    ],
)
def test_a_tool_says_how_it_is_called(name):
    assert f"python tools/{name}.py" in tool(name).__doc__


def test_reference_of_the_methods_is_what_they_declare():
    reference = tool("reference")
    renew = "run `python tools/reference.py`"
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page(), renew
    readme = reference.README.read_text(encoding="utf-8")
    assert reference.replaced(readme) == readme, renew
    for name in methods():
        method = method_of(name)
        section = reference.section(method)
        assert section in reference.page()
        own = fields(method.options).keys() - fields(MethodOptions).keys()
        assert set(re.findall(r"^\| `(\w+)` ", section, re.MULTILINE)) >= own
        line = rf"\| \[`{name}`\]\(docs/.*\) \| `kx.{method.trainer.__name__}` \|"
        assert re.search(line, readme)


@table
class _Declared(MethodOptions):
    """Of each kind of declaration one, and a default of its own."""

    share: float = option(0.5, "A share | part.", above=0.0, high=1.0)
    count: int | None = option(None, "A number.", low=1, told=False)
    rate: float = option(0.1, "A rate.", above=0.0)
    kind: str | None = option("a", "A kind.", choices=(None, "a"))
    seed: int = option(7, "Another seed.")


def test_reference_tells_default_and_range_of_every_option():
    lines = tool("reference").option_table(_Declared, MethodOptions)
    assert lines[2:] == [
        "| `seed` | int | `7` | – | Another seed. |",
        r"| `share` | float | `0.5` | (0.0, 1.0] | A share \| part. |",
        "| `count` | int or None | `None` | ≥ 1 | A number. Not for the command or a "
        "recipe. |",
        "| `rate` | float | `0.1` | > 0.0 | A rate. |",
        '| `kind` | str or None | `"a"` | `None`, `"a"` | A kind. |',
    ]


def test_reference_tells_what_a_method_needs():
    class Trainer(TrainingMethod):
        """Mine.

        What it does.
        """

        needs_maps, takes_unlabelled, fewest_images = True, True, 2
        keys = ("unlabelled",)

    reference = tool("reference")
    paper, options = "Author 2026, arXiv 2601.00001", {"weight": 0.0, "kind": "a"}
    method = Method("mine", "mine", "What it is for.", paper, options, Trainer)
    section = reference.section(method)
    assert '## Mine\n\n`kx.trainer("mine", classifier)`, `kx.Trainer(' in section
    assert "2026, [arXiv 2601.00001](https://arxiv.org/abs/2601.00001)." in section
    assert "\n\nWhat it does.\n\n- Classifier: with a feature map" in section
    assert "Labels: -1 for an image that has none." in section
    assert "of 2 images or more" in section and '`"image"`: `"unlabelled"`.' in section
    assert 'With `weight=0.0, kind="a"` it learns' in section
    assert section.endswith("It has no options but the common ones.\n")


def test_only_what_stands_between_marks_is_renewed():
    page = "before\n<!-- a 1 -->\nold\n<!-- end -->\nand <!-- a 2 --> kept <!-- end -->"
    start, end = r"<!-- a (\d) -->", "<!-- end -->"

    def lines(place):
        return ["| new |"] if place[1] == "1" else None

    new = renewed(page, start, end, lines)
    assert new == page.replace("old\n", "\n| new |\n\n")
    assert renewed(new, start, end, lines) == new
    wrong = ("no marks", page + end, page + "<!-- a 3 -->", "<!-- end --> <!-- a 1 -->")
    for one in (*wrong, page.replace("<!-- end -->", "<!-- a 4 -->", 1)):
        with pytest.raises(ValueError, match="must hold the marks"):
            renewed(one, start, end, lines)


def test_coverage_of_intervals_is_told_case_by_case():
    coverage = tool("coverage_of_intervals")
    rows = list(coverage.proportions())
    assert len(rows) == len(coverage.SHARES) * len(coverage.SIZES) * 3
    known = {(row["interval"], row["case"], row["n"]): row["coverage"] for row in rows}
    # Of 20 images and 0.98: only 20 of 20 and 19 of 20 are drawn often.
    assert known["Wilson", "share 0.98", 20] == pytest.approx(0.940, abs=1e-3)
    assert known["Clopper-Pearson", "share 0.98", 20] == pytest.approx(0.993, abs=1e-3)
    assert known[coverage.OLD, "share 0.98", 20] < 0.4
    lines = coverage.table(rows)
    assert "| proportion: share 0.5 | Wilson | 95.9 | 93.5 | 94.3 | 94.6 |" in lines
    biased = coverage.row("k", "c", 20, "i", 0.5, ([0.4, 0.6], [0.6, 0.7]), -0.01)
    assert (biased["coverage"], biased["trials"]) == (0.5, 2)
    assert coverage.table([biased])[2] == "| k: c | i | **50.0** (−1.0) |  |  |  |"


def test_coverage_of_drawn_images_is_measured(monkeypatch):
    import numpy as np

    coverage = tool("coverage_of_intervals")
    monkeypatch.setattr(coverage, "SIZES", (20,))
    random = np.random.default_rng(0)
    kinds = (coverage.means, coverage.differences, coverage.thresholds)
    rows = [row for kind in kinds for row in kind(random, 50)]
    assert {tuple(row) for row in rows} == {coverage.COLUMNS}
    ours = [row["coverage"] for row in rows if row["interval"] != coverage.OLD]
    older = [row["coverage"] for row in rows if row["interval"] == coverage.OLD]
    assert np.mean(ours) > 0.9 and np.mean(older) < np.mean(ours) - 0.03
    biased = {row["interval"]: row["bias"] for row in rows if "flat" in row["case"]}
    assert biased[coverage.OLD] > 0.05 > abs(biased["cross-fitted"]) - 0.05


@pytest.mark.slow
def test_cost_of_an_evaluation_is_that_of_a_process_of_its_own(tmp_path):
    import csv
    import subprocess
    import sys

    command = [sys.executable, TOOLS / "evaluation_cost.py", "--counts=4,8"]
    command += ["--metrics=accuracy", f"--output={tmp_path / 'cost.csv'}"]
    subprocess.run([*command, "--", "--gallery=0"], check=True, cwd=TOOLS.parent)
    with (tmp_path / "cost.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["images"] for row in rows] == ["4", "8"]
    assert all(float(row["peak_mb"]) > 100 for row in rows)
    assert 0.5 < float(rows[1]["ratio_to_first"]) < 2.0


def test_an_environment_that_is_not_whole_is_not_reused(tmp_path):
    import sys

    compare_xplique = tool("compare_xplique")
    # This one has no Xplique, and what is no Python has nothing.
    assert not compare_xplique.can_import_xplique(sys.executable)
    with pytest.raises(ValueError, match="does not belong inside the checkout"):
        compare_xplique.made_environment(TOOLS / "environment")


def test_report_table_shows_figures_differences_and_baselines():
    report_table = tool("report_table")
    metric = {"name": "drop", "label": "Drop", "direction": "lower", "percent": True}
    figure = {"value": 0.5, "low": 0.25, "high": 0.75, "n": 1200, "skipped": 0}
    change = {"value": -0.25, "low": -0.3, "high": -0.2, "n": 1200, "better": "b"}
    found = {
        "models": [{"name": "a"}, {"name": "b"}],
        "metrics": [metric],
        "figures": {"a": {"drop": figure}, "b": {"drop": figure}},
        "baselines": {"drop": {"centre Gaussian": figure}},
        "differences": {"b": {"drop": change}},
    }
    text = "50.0 [25.0, 75.0]"
    assert list(report_table.table(found)) == [
        "| | a | b | b − a | n |",
        "|---|---|---|---|---|",
        f"| Drop ↓ | {text} | {text} | **−25.0 [−30.0, −20.0]** | 1,200 |",
        f"| – centre Gaussian | {text} |  |  | |",
    ]
    # What is cross-fitted has the value of papers beside it.
    fitted = {**figure, "in_sample": 0.625}
    assert report_table.cell(fitted, True) == f"{text} (in-sample 62.5)"
    assert report_table.cell(fitted, True, signed=True) == "+50.0 [+25.0, +75.0]"
    assert report_table.cell({**figure, "low": None, "high": None}, True) == "50.0"
    close = {**change, "high": -0.0004}
    assert report_table.difference(close, "b", True) == "**−25.00 [−30.00, −0.04]**"
    found["differences"]["b"]["drop"] = {**change, "better": None}
    assert "| −25.0 [−30.0, −20.0] |" in list(report_table.table(found))[2]
    found["differences"]["b"]["drop"] = None
    assert f"| {text} |  | 1,200 |" in list(report_table.table(found))[2]


def inspect_weights(*flags):
    import subprocess
    import sys

    command = [sys.executable, TOOLS / "inspect_weights.py", *flags]
    return subprocess.run(command, capture_output=True, text=True, cwd=TOOLS.parent)


@pytest.mark.slow
def test_weights_of_a_published_model_are_told():
    flags = "--model=shapes_cnn_plain", "--dataset=shapes", "--split=train[:600]"
    done = inspect_weights(*flags)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("600 samples, 9")
    head, _, *lines = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in done.stdout.splitlines()
        if line.startswith("|")
    )
    told = {
        line[0]: dict(zip(head[1:], map(float, line[1:]), strict=True))
        for line in lines
    }
    assert told.keys() == set(MAP_MEASURES)
    for figures in told.values():
        assert 0.3 < figures["mean E"] < 1.0 and 0.0 < figures["reliability"] < 1.0
        assert 0.0 < figures["effective share"] < 1.0
        assert figures["with the bound"] > 0.799
        assert abs(figures["with the loss"]) < 1.0 and abs(figures["with energy"]) < 1.0
    # What is linear in how far a map moves leaves more samples.
    share = {name: figures["effective share"] for name, figures in told.items()}
    assert share["soft_iou"] > share["cosine"]


def test_weights_of_a_model_need_its_data():
    done = inspect_weights("--model=shapes_cnn_plain")
    assert done.returncode == 1
    assert "--model and --dataset go together" in done.stdout + done.stderr


def test_maps_are_read_in_several_ways_from_one_pass(tmp_path):
    map_readings, readings = tool("map_readings"), tool("readings")
    ways = {
        normalize: functools.partial(readings.placed, normalize=normalize)
        for normalize in ("max", "minmax")
    }
    data = batches(0.7 * IMAGES + 64.0, LABELS, masks())
    lines = readings.measured(color_classifier(), data, ways)
    for normalize in ways:
        known = measure(color_classifier(), data, "localisation", normalize=normalize)
        for name, values in known.items():
            (line,) = (
                line
                for line in lines
                if (line["metric"].name, line["reading"]) == (name, normalize)
            )
            statistic = line["metric"].statistic
            assert line["figure"]["value"] == pytest.approx(
                value_of(values, statistic=statistic)
            )
    assert {line["metric"].name for line in lines} >= {"max_box_acc_v2", "pxap"}
    table = list(map_readings.table({"colors": lines}))
    assert len(table) == 3
    energy = {
        line["reading"]: 100 * line["figure"]["value"]
        for line in lines
        if line["metric"].name == "energy_pointing_game"
    }
    told = f"| `colors` | {energy['max']:.1f} → {energy['minmax']:.1f}, "
    assert table[2].startswith(told)
    readings.write({"colors": lines}, tmp_path / "found.csv")
    assert len((tmp_path / "found.csv").read_text().splitlines()) == 1 + len(lines)


def test_alignments_are_read_from_one_pass():
    alignment, readings = tool("alignment"), tool("readings")
    data = batches(0.7 * IMAGES + 64.0, LABELS, masks())
    ways = {"not moved": None, "geometric": "geometric", "measured": (2.0, -2.0)}
    ways = {
        name: functools.partial(readings.placed, align=align)
        for name, align in ways.items()
    }
    lines = readings.measured(color_classifier(), data, ways, align=False)
    for align, name in ((False, "not moved"), ((2.0, -2.0), "measured")):
        known = measure(color_classifier(), data, "energy_pointing_game", align=align)
        (line,) = (
            line
            for line in lines
            if (line["metric"].name, line["reading"]) == ("energy_pointing_game", name)
        )
        expected = known["energy_pointing_game"].mean()
        assert line["figure"]["value"] == pytest.approx(float(expected), rel=1e-5)
    found = {"rows": 2.0, "columns": -2.0}
    found |= {"rows_interval": [1.5, 2.5], "columns_interval": [-3.0, -1.0]}
    each = {"size": 8, "geometric": (0.0, 0.0), "measured": found, "lines": lines}
    table = list(alignment.table({"colors": each}))
    assert len(table) == 5
    assert "| measured | +2.0 [1.5, 2.5], -2.0 [-3.0, -1.0] |" in table[-1]
