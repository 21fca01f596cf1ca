import csv
import io
import json
import os
import pathlib
import re

import numpy as np
import pytest

from keras_xcons.report import Report, html


def rows_of(report):
    return list(csv.DictReader(io.StringIO(report.to_csv())))


def test_to_dict_is_a_copy_in_both_directions(data):
    report = Report(data)
    assert report.to_dict() == data
    data["figures"]["plain"]["accuracy"]["value"] = -1.0
    report.to_dict()["notes"].append("changed")
    again = report.to_dict()
    assert again["figures"]["plain"]["accuracy"]["value"] == 0.874
    assert again["notes"] == ["2 of 10 classes have no image in this split."]


def test_json_says_what_the_dict_says(data, tmp_path):
    data["title"] = "Vögel"
    text = Report(data).to_json(tmp_path / "report.json")
    assert json.loads(text) == data
    assert "Vögel" in text
    assert (tmp_path / "report.json").read_text("utf-8") == text


def test_csv_has_a_row_a_model_and_metric_and_one_a_baseline(data):
    rows = rows_of(Report(data))
    assert len(rows) == 2 * len(data["metrics"]) + 2
    by_key = {(row["model"], row["metric"]): row for row in rows}
    assert by_key["XCons", "deletion"] == {
        "model": "XCons",
        "metric": "deletion",
        "label": "Deletion AUC",
        "group": "faithfulness",
        "direction": "lower",
        "value": "0.15",
        "low": "0.13",
        "high": "0.17",
        "in_sample": "",
        "n": "500",
        "skipped": "0",
        "difference": "-0.06",
        "difference_low": "-0.08",
        "difference_high": "-0.04",
        "flag": "",
        "heatmaps": "Grad-CAM++ of the label",
        "better": "XCons",
    }
    assert by_key["plain", "deletion"]["difference"] == ""
    assert by_key["XCons", "accuracy"]["better"] == ""
    assert by_key["plain", "content_heatmap"]["skipped"] == "7"
    baseline = by_key["centre Gaussian", "max_box_acc"]
    assert (baseline["value"], baseline["difference"]) == ("0.447", "")


def test_csv_leaves_out_what_a_model_lacks_and_quotes_names(data):
    del data["figures"]["XCons"]["deletion"]
    data["metrics"][0]["label"] = 'a, "b"\nc'
    rows = rows_of(Report(data))
    assert rows[0]["label"] == 'a, "b"\nc'
    keys = {(row["model"], row["metric"]) for row in rows}
    assert ("plain", "deletion") in keys and ("XCons", "deletion") not in keys


def test_csv_of_a_model_that_is_called_like_a_formula(make_report):
    name = "=cmd|' /C calc'!A0"
    rows = rows_of(make_report((name,)))
    assert {row["model"] for row in rows if row["group"]} >= {f"'{name}"}
    assert not any(value.startswith("=") for row in rows for value in row.values())


def test_the_same_figures_give_the_same_bytes(make_report):
    first, second = make_report(count=3), make_report(count=3)
    for write in ("to_html", "to_csv", "to_json", "_repr_html_", "__repr__"):
        assert getattr(first, write)() == getattr(second, write)()


@pytest.mark.parametrize("form", ["csv", "json", "html"])
def test_files_hold_what_is_returned_and_replace_older_ones(form, data, tmp_path):
    path = tmp_path / f"report.{form}"
    path.write_bytes(b"old")
    text = getattr(Report(data), f"to_{form}")(str(path))
    assert path.read_bytes() == text.encode("utf-8")
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_an_interrupted_writing_leaves_the_old_file_and_no_other(
    error, data, tmp_path, monkeypatch
):
    write = pathlib.Path.write_bytes

    def half(path, content):
        write(path, content[: len(content) // 2])
        raise error

    (tmp_path / "report.html").write_bytes(b"old")
    monkeypatch.setattr(pathlib.Path, "write_bytes", half)
    with pytest.raises(type(error)):
        Report(data).to_html(tmp_path / "report.html")
    with pytest.raises(type(error)):
        Report(data).to_csv(tmp_path / "report.csv")
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_bytes() == b"old"


def test_an_interrupted_rendering_leaves_the_old_file_and_no_other(
    data, tmp_path, monkeypatch
):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    (tmp_path / "report.html").write_bytes(b"old")
    monkeypatch.setattr(html, "page", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Report(data).to_html(tmp_path / "report.html")
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_bytes() == b"old"


def test_paths_are_refused_before_rendering(data, tmp_path, monkeypatch):
    monkeypatch.setattr(html, "page", lambda *arguments: pytest.fail("rendered"))
    report = Report(data)
    with pytest.raises(ValueError, match=r"end in '\.html'.*path='report\.txt'"):
        report.to_html("report.txt")
    with pytest.raises(ValueError, match=r"end in '\.csv'.*'report'"):
        report.to_csv("report")
    with pytest.raises(ValueError, match=r"end in '\.json'"):
        report.to_json("report.csv")
    with pytest.raises(FileNotFoundError, match=r"folder must exist.*nowhere"):
        report.to_html(tmp_path / "nowhere" / "report.html")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(IsADirectoryError, match=r"a file.*folder\.html', a folder"):
        report.to_html(tmp_path / "folder.html")
    assert os.listdir(tmp_path) == ["folder.html"]


def test_names_that_are_no_valid_text_are_written(data, tmp_path):
    data["title"] = b"caf\xe9".decode("utf-8", "surrogateescape")
    for form in ("html", "csv", "json"):
        getattr(Report(data), f"to_{form}")(tmp_path / f"report.{form}")
    assert rb"caf\udce9" in (tmp_path / "report.html").read_bytes()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda data: data.pop("notes"), ValueError, "entries title.*without notes"),
        (lambda data: data.update(title=np.zeros(2)), TypeError, "ndarray"),
        (lambda data: data.update(title=float("nan")), ValueError, "finite numbers"),
        (lambda data: data["figures"].pop("XCons"), ValueError, r"for \['plain'\]"),
        (lambda data: data.update(models=[], figures={}), ValueError, r"models=\[\]"),
    ],
)
def test_data_is_refused(change, error, message, data):
    change(data)
    with pytest.raises(error, match=message):
        Report(data)


def test_samples_of_other_models_are_refused(data, make_report):
    others = make_report(["plain"], count=1)
    with pytest.raises(ValueError, match=r"'plain', 'XCons'.*views for \['plain'\]"):
        Report(data, others.samples)


def test_text_has_models_as_columns_and_groups_as_sections(data):
    lines = str(Report(data)).splitlines()
    assert lines[0] == "Shapes: plain training beside XCons"
    assert lines[1].startswith("shapes · split original · 500 images · 10 classes")
    assert lines[3].split() == ["plain", "XCons", "n"]
    assert "Localisation" in lines
    pointing = next(line for line in lines if "Pointing" in line)
    assert pointing.startswith("  Pointing game ↑  ")
    assert "77.0 % [73.0, 81.0] *" in pointing
    assert "71.0 % [67.0, 75.0] *" not in pointing


def test_text_shows_baselines_differences_skips_and_what_was_left_out(data):
    text = str(Report(data))
    assert re.search(r"\n    centre Gaussian +44\.7 % \[40\.7, 48\.7\]\n", text)
    assert "493 (7 skipped)" in text
    assert "Difference to plain" in text
    assert "−6.0 pp [−8.0, −4.0] better" in text
    assert "−0.4 pp [−3.4, +2.6]\n" in text
    assert "0.780 [0.760, 0.800]" in text
    assert "Left out\n  mean_average_precision: every image" in text
    assert text.endswith("Notes\n  2 of 10 classes have no image in this split.")


def test_text_of_one_model_has_no_differences(make_report):
    text = repr(make_report(["plain"], count=1))
    assert "Difference" not in text and "*" not in text


def test_text_keeps_terminals_and_columns_in_order(data):
    data["title"] = "red \x1b[31m\nnext"
    data["models"][1]["name"] = name = "日本" + 40 * "x"
    data["figures"][name] = data["figures"].pop("XCons")
    data["differences"][name] = data["differences"].pop("XCons")
    lines = str(Report(data)).splitlines()
    assert lines[0] == "red  [31m next"
    heading = next(line for line in lines if "日本" in line)
    accuracy = next(line for line in lines if "top-1" in line)
    # Each of the two wide letters takes two columns of a terminal.
    assert heading.index("n", heading.index("…")) + 2 == accuracy.index("500")
