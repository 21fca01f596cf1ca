"""Gathers the figures of the published models into one table.

    python tools/zoo_results.py

It reads the card and the metrics file of every model of the zoo, writes
zoo/results.csv, puts the same figures into the table of README.md, and renews the
page of each model.
"""

import csv
import io
import json
import pathlib

from absl import app, flags
from pages import renewed

_CHECKOUT = pathlib.Path(__file__).parents[1]

_ZOO = flags.DEFINE_string("zoo", str(_CHECKOUT / "zoo"), "Folder of the zoo.")
_README = flags.DEFINE_string(
    "readme", str(_CHECKOUT / "README.md"), "Page whose table is replaced."
)

# Of each figure the table has value, low and high; percent in the README.
FIGURES = {
    "accuracy": "top-1",
    "pointing_game": "pointing game",
    "energy_pointing_game": "energy inside",
    "max_box_acc_v2": "MaxBoxAccV2",
    "explanation_consistency": "E",
}
START, END = "<!-- zoo table: tools/zoo_results.py -->", "<!-- end of zoo table -->"


def rows(zoo):
    """One row of plain values for each published model, by data set and name.

    Args:
        zoo: `pathlib.Path` of the folder of the zoo.

    Returns:
        List of dicts of the same keys.

    Raises:
        ValueError: No model is published there, or its figures are not those of
            tools/train_zoo.py.
    """
    found = []
    for path in zoo.glob("[!.]*/card.json"):
        card = json.loads(path.read_text(encoding="utf-8"))
        measured = path.parent / "metrics.json"
        metrics = json.loads(measured.read_text(encoding="utf-8"))
        if missing := {"figures", "split", "seed", "commit"} - metrics.keys():
            raise ValueError(
                f"{measured} must be as tools/train_zoo.py writes it. Received: a file "
                f"without {sorted(missing)}"
            )
        row = {
            "model": card["name"],
            "architecture": card["architecture"],
            "method": card["method"],
            "dataset": card["dataset"],
            "pretraining": card["pretraining"],
            "input_size": "x".join(map(str, card["input_size"])),
            "parameters": card["parameters"],
            "megabytes": round(card["bytes"] / 1e6, 1),
            "split": metrics["split"],
            # Other figures may leave images out.
            "n": metrics["figures"].get("accuracy", {}).get("n", ""),
        }
        for name in FIGURES:
            figure = metrics["figures"].get(name, {})
            for part in ("value", "low", "high"):
                row[f"{name}_{part}"] = _rounded(figure.get(part))
            # Only what is cross-fitted has an in-sample value beside it, and a flag
            # what says nothing.
            if "in_sample" in figure:
                row[f"{name}_in_sample"] = _rounded(figure["in_sample"])
            if "flag" in figure:
                row[f"{name}_flag"] = figure["flag"]
        row["seed"] = metrics["seed"]
        row["commit"] = metrics["commit"]
        found.append(row)
    if not found:
        raise ValueError(f"No model is published there. Received: zoo={str(zoo)!r}")
    # Columns of one model are columns of all, those of one figure side by side.
    there = set().union(*found)
    parts = ("value", "low", "high", "in_sample", "flag")
    names = [f"{name}_{part}" for name in FIGURES for part in parts]
    first = [name for name in found[0] if name not in names]
    columns = [*first[:-2], *(name for name in names if name in there), *first[-2:]]
    found = [{name: row.get(name, "") for name in columns} for row in found]
    return sorted(found, key=lambda row: (row["dataset"], row["model"]))


def _rounded(value):
    return "" if value is None else round(value, 5)


def table(found):
    """The rows as lines of a Markdown table.

    Args:
        found: List as `rows` returns it.

    Returns:
        List of strings.
    """
    heads = ["model", "method", "px", "parameters", "MB", *FIGURES.values(), "n"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in found:
        cells = [
            f"[`{row['model']}`](zoo/{row['model']}/README.md)",
            row["method"],
            row["input_size"].partition("x")[0],
            f"{row['parameters']:,}",
            f"{row['megabytes']:.1f}",
            *(_cell(row, name) for name in FIGURES),
            f"{row['n']:,}" if row["n"] else "–",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _cell(row, name):
    """Percent with the interval; E, which is no share of images, as it is."""
    values = [row[f"{name}_{part}"] for part in ("value", "low", "high")]
    if "" in values:
        return "–"
    scale, digits = (1, 3) if name == "explanation_consistency" else (100, 1)
    value, low, high = (f"{scale * each:.{digits}f}" for each in values)
    other = row.get(f"{name}_in_sample", "")
    told = "" if other == "" else f" (in-sample {scale * other:.{digits}f})"
    flag = row.get(f"{name}_flag", "")
    return f"{value}{flag and f' ({flag})'} [{low}, {high}]{told}"


def model_page(folder):
    """The page of a published model as its card and metrics make it now.

    Args:
        folder: `pathlib.Path` of the model's folder.

    Returns:
        Tuple of the path of the page and its text.
    """
    from keras_xcons.zoo.readme import readme

    card, metrics = (
        json.loads((folder / name).read_text(encoding="utf-8"))
        for name in ("card.json", "metrics.json")
    )
    return folder / "README.md", readme(card, metrics)


def _write(path, text):
    from keras_xcons.files import whole_file

    with whole_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def main(argv):
    """Writes results.csv, the README's table and the pages of the models."""
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    zoo, readme = pathlib.Path(_ZOO.value), pathlib.Path(_README.value)
    from keras_xcons.files import csv_cell

    found = rows(zoo)
    text = readme.read_text(encoding="utf-8")
    page = renewed(text, START, END, lambda place: table(found))
    lines = io.StringIO()
    writer = csv.DictWriter(lines, found[0].keys(), lineterminator="\n")
    writer.writeheader()
    for row in found:
        writer.writerow({name: csv_cell(value) for name, value in row.items()})
    _write(zoo / "results.csv", lines.getvalue())
    _write(readme, page)
    for row in found:
        _write(*model_page(zoo / row["model"]))
    print(f"{len(found)} models in {zoo / 'results.csv'} and {readme}")


if __name__ == "__main__":
    app.run(main)
