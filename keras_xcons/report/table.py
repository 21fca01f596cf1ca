"""The figures of a report as comma-separated values."""

import csv
import io

from keras_xcons.files import csv_cell

_COLUMNS = (
    *("model", "metric", "label", "group", "direction"),
    *("value", "low", "high", "in_sample", "n", "skipped"),
    *("difference", "difference_low", "difference_high", "better"),
    *("flag", "heatmaps"),
)


def render(data):
    """Writes one row a metric and model, and one a metric and baseline.

    Args:
        data: `Report.to_dict()`.

    Returns:
        The text, with a heading line. Numbers are not rounded, and names that a
        spreadsheet would compute are marked as text.

    Example:

    >>> render(report.to_dict()).splitlines()[1]
    'plain,accuracy,Accuracy (top-1),classification,higher,0.924,0.9,0.95,,500,0,,,,,...
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    made = {"heatmaps": data["provenance"]["heatmaps"]}
    for metric in data["metrics"]:
        key = metric["name"]
        known = {name: metric[name] for name in ("label", "group", "direction")} | made
        for model in data["models"]:
            name = model["name"]
            figure = data["figures"][name].get(key)
            if figure is not None:
                difference = data["differences"].get(name, {}).get(key)
                row = {"model": name, "metric": key, **known, **_figure(figure)}
                writer.writerow(_cells({**row, **_difference(difference)}))
        for name, figure in data["baselines"].get(key, {}).items():
            row = {"model": name, "metric": key, **known, **_figure(figure)}
            writer.writerow(_cells(row))
    return text.getvalue()


def _cells(row):
    return {name: csv_cell(value) for name, value in row.items()}


def _figure(figure):
    found = {name: figure[name] for name in ("value", "low", "high", "n", "skipped")}
    found |= {"in_sample": figure.get("in_sample"), "flag": figure.get("flag", "")}
    return found


def _difference(difference):
    if difference is None:
        return {}
    return {
        "difference": difference["value"],
        "difference_low": difference["low"],
        "difference_high": difference["high"],
        "better": difference["better"],
    }
