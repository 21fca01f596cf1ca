import pytest

from keras_xcons.report import Report, charts, figures


def row(data, name):
    rows = [row for group in figures.groups(data) for row in group["rows"]]
    return next(row for row in rows if row["metric"]["name"] == name)


@pytest.mark.parametrize(
    ("value", "options", "shown"),
    [
        (0.8125, {"percent": True}, "81.2 %"),
        (-0.0421, {"percent": True, "signed": True}, "−4.2 pp"),
        (0.0421, {"percent": True, "signed": True}, "+4.2 pp"),
        (-0.0001, {"percent": True, "signed": True}, "0.0 pp"),
        (0.78, {}, "0.780"),
        (-12.5, {}, "−12.500"),
        (1234.56, {}, "1234.6"),
        (None, {"percent": True}, "–"),
    ],
)
def test_numbers(value, options, shown):
    assert figures.number(value, **options) == shown


@pytest.mark.parametrize(
    ("low", "high", "percent", "value", "interval"),
    [
        (-0.009, -0.0004, True, "−0.50 pp", "[−0.90, −0.04]"),
        (0.00003, 0.009, True, "−0.500 pp", "[+0.003, +0.900]"),
        (-0.009, 0.0, True, "−0.5 pp", "[−0.9, 0.0]"),
        (-0.009, 1e-17, True, "−0.5 pp", "[−0.9, 0.0]"),
        (-0.009, -0.0005001, True, "−0.5 pp", "[−0.9, −0.1]"),
        (-0.009, -0.0004, False, "−0.0050", "[−0.0090, −0.0004]"),
        (None, None, True, "−0.5 pp", ""),
    ],
)
def test_a_bound_that_is_not_zero_is_not_shown_as_zero(
    low, high, percent, value, interval, data
):
    change = data["differences"]["XCons"]["accuracy"]
    change.update(value=-0.005, low=low, high=high)
    next(m for m in data["metrics"] if m["name"] == "accuracy")["percent"] = percent
    found = row(data, "accuracy")["differences"][0]
    assert (found["value"], found["interval"]) == (value, interval)
    for text in (str(Report(data)), Report(data).to_html()):
        assert value in text and interval in text


def test_flags_that_occur_are_explained_once(data):
    assert figures.flags(data) == {}
    data["figures"]["plain"]["accuracy"]["flag"] = "flat maps, not aligned"
    data["figures"]["XCons"]["accuracy"]["flag"] = "not aligned"
    assert list(figures.flags(data)) == ["flat maps", "not aligned"]
    page = Report(data).to_html()
    assert page.count(figures.flags(data)["not aligned"]) == 1
    assert "! see the notes" in str(Report(data))


def test_rows_are_grouped_in_order(data):
    groups = figures.groups(data)
    assert [group["name"] for group in groups] == [
        *("Accuracy", "Localisation", "Faithfulness", "Consistency"),
        *("Robustness", "Backgrounds"),
    ]
    names = [row["metric"]["name"] for row in groups[1]["rows"]]
    assert names == [
        "pointing_game",
        "content_heatmap",
        "max_box_acc",
        "max_box_acc_v2",
    ]


def test_the_best_value_follows_the_direction(data):
    def best(name):
        return [cell["best"] for cell in row(data, name)["cells"]]

    assert best("accuracy") == [True, False]
    assert best("top_5_accuracy") == [False, False]  # the same value
    assert best("insertion") == [False, True]
    assert best("deletion") == [False, True]
    data["figures"]["XCons"]["deletion"]["value"] = 0.5
    assert best("deletion") == [True, False]


def test_a_verdict_needs_an_interval_without_zero(data):
    def verdict(name):
        return row(data, name)["differences"][0]["verdict"]

    assert (verdict("accuracy"), verdict("deletion")) == ("", "better")
    data["differences"]["XCons"]["deletion"]["better"] = "plain"
    assert verdict("deletion") == "worse"


def test_bars_lie_in_the_range_of_the_metric(data):
    bar = row(data, "pointing_game")["cells"][0]["bar"]
    assert bar == {"value": 71.0, "start": 67.0, "width": 8.0}
    bar = row(data, "bg_gap")["cells"][0]["bar"]
    assert bar == {"value": 64.5, "start": 63.0, "width": 3.0}
    assert row(data, "max_sensitivity")["cells"][0]["bar"] is None
    data["metrics"][0]["range"] = None
    assert row(data, "accuracy")["cells"][0]["bar"] is None


def test_counts_are_told_apart_where_models_differ(data):
    assert row(data, "accuracy")["n"] == "500"
    assert row(data, "accuracy")["skipped"] == ""
    data["figures"]["XCons"]["content_heatmap"].update(n=1490, skipped=10)
    found = row(data, "content_heatmap")
    assert found["n"] == "493 / 1\N{THIN SPACE}490"
    assert found["skipped"] == "7 / 10"


def test_what_a_model_lacks_is_a_dash(data):
    del data["figures"]["XCons"]["deletion"], data["differences"]["XCons"]["deletion"]
    found = row(data, "deletion")
    assert [cell["value"] for cell in found["cells"]] == ["21.0 %", "–"]
    assert found["cells"][1]["interval"] == ""
    assert found["differences"][0]["value"] == "–"
    assert not any(cell["best"] for cell in found["cells"])
    assert found["n"] == "500"


def test_an_in_sample_value_stands_beside_a_cross_fitted_one(data):
    data["figures"]["plain"]["max_box_acc"]["in_sample"] = 0.625
    data["baselines"]["max_box_acc"]["centre Gaussian"]["in_sample"] = 0.5
    found = row(data, "max_box_acc")
    assert [cell["in_sample"] for cell in found["cells"]] == ["in-sample 62.5 %", ""]
    assert found["baselines"][0]["in_sample"] == "in-sample 50.0 %"
    report = Report(data)
    assert "58.0 % [53.0, 63.0] (in-sample 62.5 %)" in str(report)
    assert "44.7 % [40.7, 48.7] (in-sample 50.0 %)" in str(report)
    for page in (report.to_html(), report._repr_html_()):
        assert page.count("in-sample 62.5 %") == page.count("in-sample 50.0 %") == 1
    assert ",0.58,0.53,0.63,0.625,500," in report.to_csv()


def test_charts_are_those_that_were_measured(data):
    keys = ["insertion", "deletion", "max_box_acc", "consistency"]
    assert [chart["key"] for chart in charts.charts(data)] == keys
    del data["curves"]["insertion"], data["curves"]["consistency"]
    assert [chart["key"] for chart in charts.charts(data)] == keys[1:3]
    data["curves"] = {}
    assert charts.charts(data) == []


def test_lines_are_drawn_to_scale(data):
    data["curves"] = {
        "insertion": {"x": [0.0, 0.5, 1.0], "y": {"plain": [0.0, 0.5, 1.0]}}
    }
    (chart,) = charts.charts(data)
    (series,) = chart["series"]
    middle = (charts.LEFT + charts.RIGHT) / 2, (charts.TOP + charts.BOTTOM) / 2
    assert series["points"] == (
        f"{charts.LEFT}.0,{charts.BOTTOM}.0 {middle[0]},{middle[1]} "
        f"{charts.RIGHT}.0,{charts.TOP}.0"
    )
    assert [tick["text"] for tick in chart["y_ticks"]] == [
        *("0 %", "20 %", "40 %", "60 %", "80 %", "100 %")
    ]
    assert "starts at 0.0 %, ends at 100.0 %" in series["told"]


@pytest.mark.parametrize(
    ("highest", "last"), [(0.0, "1 %"), (0.034, "4 %"), (0.2, "20 %"), (0.61, "80 %")]
)
def test_axes_end_just_above_the_highest_value(highest, last, data):
    data["curves"] = {"deletion": {"x": [0.0, 1.0], "y": {"plain": [highest, 0.0]}}}
    (chart,) = charts.charts(data)
    assert chart["y_ticks"][-1]["text"] == last


def test_baselines_have_no_mark_and_the_highest_point_a_ring(data):
    chart = charts.charts(data)[2]
    styles = {series["name"]: series["style"] for series in chart["series"]}
    assert styles == {"plain": 0, "XCons": 1, "centre Gaussian": None}
    assert [len(series["marks"]) for series in chart["series"]] == [5, 5, 0]
    rings = [series["ring"] for series in chart["series"]]
    assert rings[0]["x"] == pytest.approx(charts.LEFT + 0.35 * 448)
    assert rings[1]["y"] < rings[0]["y"] < rings[2]["y"]


def test_histograms_step_and_are_shares(data):
    data["curves"] = {
        "consistency": {"edges": [0.0, 0.5, 1.0], "counts": {"plain": [1, 3]}}
    }
    (chart,) = charts.charts(data)
    (series,) = chart["series"]
    heights = [float(point.split(",")[1]) for point in series["points"].split()]
    assert heights[0] == heights[-1] == charts.BOTTOM
    full = charts.BOTTOM - charts.TOP
    assert (
        heights[1]
        == heights[2]
        == pytest.approx(charts.BOTTOM - full * 0.25 / 0.8, abs=0.06)
    )
    assert (
        heights[3]
        == heights[4]
        == pytest.approx(charts.BOTTOM - full * 0.75 / 0.8, abs=0.06)
    )
    assert "4 images, most of them (75.0 %) between 0.50 and 1.00" in series["told"]


def test_a_histogram_without_images_is_flat(data):
    data["curves"] = {
        "consistency": {"edges": [0.0, 1.0], "counts": {"plain": [0], "XCons": [0]}}
    }
    (chart,) = charts.charts(data)
    assert [series["marks"] for series in chart["series"]] == [[], []]
