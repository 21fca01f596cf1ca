"""The tools that show what XCons brings: the grid of runs, and what v is."""

import json
import sys
import types

import evidence_arms
import numpy as np
import pytest
from absl import app
from PIL import Image

from keras_xcons import evaluation
from keras_xcons.methods import method_of
from keras_xcons.methods.xcons.options import SAMPLE_WEIGHTS
from tests.test_tools import tool


@pytest.fixture
def evidence(tmp_path, monkeypatch):
    monkeypatch.setattr(evidence_arms, "RESULTS", tmp_path / "evidence")
    return tool("evidence")


@pytest.fixture
def tables(evidence, monkeypatch):
    # The tables know the plots by name.
    monkeypatch.setitem(sys.modules, "evidence_plots", tool("evidence_plots"))
    return tool("evidence_tables")


def record(folder, arm, seed, seconds, accuracy, pointing):
    folder.mkdir(parents=True, exist_ok=True)
    rows = {"test/accuracy": accuracy, "test/pointing_game": pointing}
    cost = np.array([2.0 * seconds, seconds])
    np.savez(folder / f"{arm}_{seed}.npz", cost=cost, **rows)


def test_every_arm_can_be_made(evidence):
    weights = set()
    for _, method, options, other in evidence_arms.ARMS.values():
        if method != "probe":
            made = method_of(method).options(**options)
            weights.add(getattr(made, "sample_weights", None))
        assert other.keys() <= {"epochs"}
    assert weights >= set(SAMPLE_WEIGHTS)
    titles = [title for title, *_ in evidence_arms.ARMS.values()]
    assert len(set(titles)) == len(titles)
    figures = {*evidence._FIGURES, *evidence._SLOW}
    assert figures <= evaluation.METRICS.keys()
    assert figures <= evidence_arms.FIGURES.keys()


def test_tables_of_what_is_recorded(evidence, tables, tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    folder = evidence_arms.RESULTS / "cub"
    mean = 0.0
    for seed in (0, 1, 2):
        plain = (random.random(200) < 0.5).astype("float16")
        better = np.maximum(plain, random.random(200) < 0.4).astype("float16")
        mean += plain.mean(dtype="float64") / 3
        record(folder, "plain", seed, 100.0, plain, plain)
        record(folder, "both", seed, 210.0, better, plain)
    # A set of which plain alone is recorded keeps the others' tables from nothing.
    record(evidence_arms.RESULTS / "pets", "plain", 0, 1.0, plain, plain)
    # Of a seed that plain has not, nothing can be told.
    record(folder, "both", 3, 210.0, better, plain)
    rows, page = tmp_path / "rows.csv", tmp_path / "page.md"
    kept = "<!-- evidence: cub light -->\nnot recorded\n<!-- end of evidence -->\n"
    place = "<!-- evidence: cub both -->\nold\n<!-- end of evidence -->\n"
    page.write_text(f"Before.\n{place}{kept}After.\n")
    monkeypatch.setattr(tables, "PAGES", [page])
    monkeypatch.setattr(tables, "_ROWS", types.SimpleNamespace(value=rows))
    tables.main(["tables"])
    text = (evidence_arms.RESULTS / "tables.md").read_text()
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| both |")
    ]
    ((_, seeds, time, accuracy, pointing),) = cells
    assert (seeds, time) == ("3", "2.1×") and pointing.startswith("+0.0 [")
    value, _, ends = accuracy.partition(" ")
    low, high = json.loads(ends.replace("+", ""))
    assert 10.0 < low < float(value) < high < 35.0
    assert text.endswith("| α 1, λ 1 | nothing | 0.0 |\n")
    assert tables.verdict({})[-1] == "No arm is recorded on every set."
    told = page.read_text()
    assert told.startswith("Before.\n<!-- evidence: cub both -->\n\n| | plain | α 1, ")
    assert f"| top-1 | {100 * mean:.1f} | {accuracy} |\n" in told
    assert "| time | 1.0× | 2.1× |" in told and "old" not in told
    assert told.endswith(f"{kept}After.\n")
    lines = (evidence_arms.RESULTS / "runs.csv").read_text().splitlines()
    head = "set,arm,seed,seconds,core_seconds,test/accuracy,test/pointing_game"
    assert lines[0] == head
    assert len(lines) == 9 and lines[1].startswith("cub,plain,0,200,100,")
    # A line each run, figure and image.
    lines = rows.read_text().splitlines()
    assert len(lines) == 1 + 8 * 2 * 200
    assert lines[1] in {f"cub,plain,0,test,accuracy,0,{hit}" for hit in (0, 1)}
    with Image.open(evidence_arms.RESULTS / "cub.png") as picture:
        pixels = np.asarray(picture.convert("RGB"), "float32")
    # The colour of a difference that is sure.
    assert (np.abs(pixels - (31, 95, 168)).sum(axis=-1) < 20).sum() > 50


def test_a_recorded_run_is_not_repeated(evidence):
    record(evidence_arms.RESULTS / "cub", "plain", 0, 1.0, np.ones(3), np.ones(3))
    before = (evidence_arms.RESULTS / "cub" / "plain_0.npz").read_bytes()
    # No data set is there to train on.
    evidence.run("cub", "plain", 0)
    assert (evidence_arms.RESULTS / "cub" / "plain_0.npz").read_bytes() == before


def test_what_is_told_of_v():
    inspect = tool("inspect_weights")
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], 50)
    # Class 1 moves three times as far, and within a class nothing is repeated.
    v = np.where(labels == 1, 0.3, 0.1) + 0.001 * random.random(100)
    other = np.where(labels == 1, 0.3, 0.1) + 0.001 * random.random(100)
    v[0] = np.nan
    right = labels == 0
    told = inspect.told_of(v, other, labels, right, {"the loss": -v})
    assert told["mean E"] == pytest.approx(0.8, abs=0.01)
    assert told["between classes"] > 0.99
    assert told["effective share"] == pytest.approx(0.8, abs=0.01)
    assert told["with the bound"] >= 0.799
    assert 0.6 < told["reliability"] < 0.85  # between classes alone
    assert told["with the loss"] == pytest.approx(-1.0)
    assert told["weight of wrong ones"] == pytest.approx(1.5, abs=0.02)


def test_backgrounds_that_tell_the_class():
    pets = tool("pets_on_backgrounds")
    labels, clusters = np.repeat([0, 1, 2], 300), np.repeat([0, 1, 2], [5, 50, 9])
    random = np.random.default_rng(0)
    for share in (0.9, 1 / 3, 1.0, 0.0):
        chosen = clusters[pets.drawn(labels, clusters, share, random)]
        for label in range(3):
            found = (chosen == label)[labels == label].mean()
            assert found == pytest.approx(share, abs=0.09)


def test_records_that_cannot_be_used_are_named(evidence, tables):
    folder = evidence_arms.RESULTS / "cub"
    record(folder, "both", 0, 1.0, np.ones(3), np.ones(3))
    with pytest.raises(SystemExit, match="no run of plain to compare with"):
        tables.recorded("cub")
    record(folder, "plain", 0, 1.0, np.ones(3), np.ones(3))
    assert list(tables.recorded("cub")) == ["plain", "both"]
    record(folder, "plain", 1, 1.0, np.ones(4), np.ones(4))
    with pytest.raises(SystemExit, match="plain_1.npz and .*have other figures"):
        tables.recorded("cub")
    for damage in (b"", b"PK\x03\x04 torn"):
        (folder / "plain_1.npz").write_bytes(damage)
        with pytest.raises(SystemExit, match="plain_1.npz is damaged: remove it"):
            tables.recorded("cub")
    (folder / "plain_1.npz").rename(folder / "backup.npz")
    with pytest.raises(SystemExit, match="backup.npz is no record"):
        tables.recorded("cub")


@pytest.mark.parametrize(
    ("flags", "match"),
    [
        ({"sets": ["cup"]}, "Unknown set. Did you mean 'cub'"),
        ({"sets": ["shapes", "cub"]}, "need --data_dir"),
        ({"arms": ["milld"]}, "Unknown arm. Did you mean 'mild'"),
        ({"arms": []}, "--arms must name at least one"),
        ({"seeds": ["a"]}, "--seeds are whole numbers"),
    ],
)
def test_flags_of_the_evidence_are_checked_first(flags, match, evidence, monkeypatch):
    monkeypatch.setattr(evidence, "run", lambda *run: pytest.fail(f"ran {run}"))
    given = {"sets": ["shapes"], "arms": ["plain"], "seeds": ["0"], **flags}
    for name, value in given.items():
        flag = types.SimpleNamespace(name=name, value=value)
        monkeypatch.setattr(evidence, f"_{name.upper()}", flag)
    for name in ("data_dir", "pretrained"):
        flag = types.SimpleNamespace(name=name, value=None)
        monkeypatch.setattr(evidence, f"_{name.upper()}", flag)
    with pytest.raises(app.UsageError, match=match):
        evidence.main(["evidence"])
