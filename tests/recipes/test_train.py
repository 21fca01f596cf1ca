import json
import math
import platform
import re
import subprocess
import sys
import types

import keras
import numpy as np
import pytest
import scipy
import tensorflow as tf
from PIL import Image

import keras_xcons
from keras_xcons.recipes import TrainOptions, table, train
from keras_xcons.recipes.calibrate import calibrate_trained
from keras_xcons.recipes.compared import LABELS, summary

SPLITS = ["original", "mixed_same", "mixed_rand"]
MEASURES = [name for name in LABELS if name != "binary_accuracy"]


@pytest.fixture(scope="module")
def shapes_run(tmp_path_factory):
    """One real run, as the command does it: `folder, metrics, lines`."""
    folder = tmp_path_factory.mktemp("shapes") / "new" / "run"
    options = TrainOptions(
        num_samples=128, epochs=1, image_size=32, output=str(folder), seed=3
    )
    lines = []
    metrics = train(options, report=lines.append)
    return types.SimpleNamespace(
        folder=folder, options=options, metrics=metrics, lines=lines
    )


def test_a_run_leaves_models_metrics_and_a_picture(shapes_run, names):
    files = ["heatmaps.png", "metrics.json", "plain.keras", "xcons.keras"]
    assert names(shapes_run.folder) == files
    written = json.loads((shapes_run.folder / "metrics.json").read_text())
    assert written == shapes_run.metrics
    assert shapes_run.lines[-2] == (
        f"\nWritten to {shapes_run.folder}: plain.keras, xcons.keras, metrics.json, "
        "heatmaps.png"
    )
    with Image.open(shapes_run.folder / "heatmaps.png") as picture:
        width, height = picture.size
        # Six images, one a row, beside the maps of two models.
        assert picture.format == "PNG"
        assert 1.7 < height / width < 2.3
        assert np.asarray(picture.convert("RGB")).std() > 20


def test_metrics_say_what_was_measured_and_by_what(shapes_run):
    metrics = shapes_run.metrics
    assert metrics["options"]["num_samples"] == 128
    assert metrics["options"]["output"] == str(shapes_run.folder)
    assert metrics["splits"] == SPLITS
    assert metrics["headings"] == {"plain": "plain", "xcons": "XCons"}
    assert metrics["seed"] == 3
    assert metrics["heatmaps"].startswith("Grad-CAM++ of the label, divided")
    assert metrics["pointing_tolerance_pixels"] == 2
    assert metrics["interval"].startswith("95 %")
    assert metrics["versions"] == {
        "keras_xcons": keras_xcons.__version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "python": platform.python_version(),
    }
    assert metrics["device"]
    assert metrics["commit"] is None or re.fullmatch(
        r"[0-9a-f]{12}(-dirty)?", metrics["commit"]
    )


def test_every_figure_has_its_interval(shapes_run):
    metrics = shapes_run.metrics
    assert list(metrics["runs"]) == ["plain", "xcons"]
    for found in (*metrics["runs"].values(), metrics["minus_plain"]["xcons"]):
        assert list(found) == SPLITS
        for measures in found.values():
            assert list(measures) == MEASURES
            for one in measures.values():
                assert sorted(one) == ["high", "low", "n", "skipped", "value"]
                assert one["n"] == 1000
                assert -1 <= one["low"] <= one["value"] <= one["high"] <= 1
    for found in metrics["runs"].values():
        for measures in found.values():
            assert all(0 <= one["low"] for one in measures.values())
            assert measures["energy_pointing_game"]["low"] > 0


def test_differences_are_those_of_the_figures(shapes_run):
    metrics = shapes_run.metrics
    plain, xcons = metrics["runs"].values()
    for split in SPLITS:
        for measure in MEASURES:
            expected = xcons[split][measure]["value"] - plain[split][measure]["value"]
            found = metrics["minus_plain"]["xcons"][split][measure]["value"]
            assert found == pytest.approx(expected, abs=1e-9)
    assert list(metrics["background_gap"]) == ["plain", "xcons"]
    for run, gap in metrics["background_gap"].items():
        same, rand = (
            metrics["runs"][run][split]["accuracy"]["value"] for split in SPLITS[1:]
        )
        assert gap["value"] == pytest.approx(same - rand, abs=1e-9)
        assert gap["low"] <= gap["value"] <= gap["high"]
        assert gap["n"] == 1000
    plain, xcons = (gap["value"] for gap in metrics["background_gap"].values())
    difference = metrics["gap_minus_plain"]["xcons"]
    assert difference["value"] == pytest.approx(xcons - plain, abs=1e-9)
    assert difference["low"] <= difference["value"] <= difference["high"]


def test_table_has_the_runs_side_by_side(shapes_run):
    lines = table(shapes_run.metrics)
    assert lines == shapes_run.lines[-2 - len(lines) : -2]
    head, *rows, note = lines
    assert head.split() == ["plain", "XCons"]
    assert len(rows) == 33
    rows, (heading, *differences) = rows[:16], rows[16:]
    assert {len(line) for line in (head, *rows)} == {len(head)}
    assert heading.split() == ["XCons", "-", "plain"]
    found = shapes_run.metrics["minus_plain"]["xcons"]["original"]["accuracy"]["value"]
    assert float(differences[0].split()[2]) == round(100 * found, 1)
    # Headings and figures end where their columns end.
    for heading in ("plain", "XCons"):
        end = head.index(heading) + len(heading)
        assert all(row[end - 1] == "]" for row in rows)
    told = [*LABELS.values()]
    told.remove("binary accuracy")
    for row, (split, label) in zip(
        rows,
        [(s, m) for s in SPLITS for m in told] + [("BG-gap", "lower is better")],
        strict=True,
    ):
        assert row.startswith(f"{split:11} {label:15} ")
    value = shapes_run.metrics["runs"]["plain"]["original"]["accuracy"]
    shown = [float(text) for text in re.findall(r"-?\d+\.\d", rows[0])]
    assert shown[:3] == [round(100 * value[k], 1) for k in ("value", "low", "high")]
    assert note.endswith("n = 1000 images a split, seed 3")


@pytest.mark.slow
def test_models_need_nothing_but_keras(shapes_run, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype("uint8")
    np.save(tmp_path / "images.npy", images)
    code = f"""
import sys
import keras, numpy
for run in ("plain", "xcons"):
    model = keras.saving.load_model(f"{shapes_run.folder}/{{run}}.keras")
    numpy.save(run + ".npy", model(numpy.load("images.npy")))
assert not any(name.split(".")[0] == "keras_xcons" for name in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    logits = {run: np.load(tmp_path / f"{run}.npy") for run in ("plain", "xcons")}
    assert logits["plain"].shape == (4, 10)
    assert np.abs(logits["plain"] - logits["xcons"]).max() > 1e-4
    for run, found in logits.items():
        model = keras.saving.load_model(shapes_run.folder / f"{run}.keras")
        np.testing.assert_allclose(found, model(images), rtol=1e-5, atol=1e-5)


def test_table_of_a_negative_gap():
    cell = {"value": -0.125, "low": -1.0, "high": math.pi / 4, "n": 3}
    metrics = {
        "runs": {"plain": {"test": {"accuracy": cell}}},
        "splits": ["test"],
        "headings": {"plain": "plain"},
        "background_gap": {"plain": cell},
        "minus_plain": {},
        "options": {"seed": 7},
    }
    head, accuracy, gap, note = table(metrics)
    assert gap.endswith("-12.5  [-100.0,  78.5]")
    assert len(head) == len(accuracy) == len(gap)
    assert note.endswith("n = 3 images a split, seed 7")


def test_the_end_says_which_differences_exclude_0(shapes_run):
    lines = summary(shapes_run.metrics)
    assert shapes_run.lines[-1:] == lines and lines[0].startswith("XCons ")
    sure, unsure = {"value": 0.1, "low": 0.02}, {"value": 0.1, "low": -0.02}
    worse = {"value": -0.03, "low": -0.05, "high": -0.01}
    found = {
        "original": {"accuracy": {**unsure, "high": 0.2}, "pointing_game": worse},
        "mixed_rand": {"accuracy": {**sure, "high": 0.2}, "pointing_game": worse},
    }
    metrics = {
        "splits": ["original", "mixed_rand"],
        "headings": {"plain": "plain", "xcons": "XCons", "scaat": "sCAAT"},
        "minus_plain": {
            "xcons": found,
            "scaat": {split: {"accuracy": {**unsure, "high": 0.2}} for split in found},
        },
        "gap_minus_plain": {"xcons": worse, "scaat": {**unsure, "high": 0.2}},
    }
    assert summary(metrics) == [
        "XCons is above plain training in accuracy on mixed_rand (+10.0); is below "
        "plain training in pointing game on original (-3.0), pointing game on "
        "mixed_rand (-3.0); has a smaller BG-gap (-3.0).",
        "SCAAT is not told from plain training in any figure.",
    ]


def test_maps_are_laid_where_each_model_looks(shapes_run):
    offsets = shapes_run.metrics["offsets"]
    assert offsets.keys() == {"plain", "xcons"}
    for run, told in offsets.items():
        model = keras.models.load_model(shapes_run.folder / f"{run}.keras")
        assert told == calibrated(model)


def calibrated(model):
    found = calibrate_trained(model, "shapes", correlation=0.8)
    return None if found is None else found.to_card()
