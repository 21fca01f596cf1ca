"""The figures of a report as plain text, for a terminal."""

import unicodedata

from keras_xcons.report import figures

_LONGEST_NAME = 28


def render(data):
    """Draws the figures as a table, models as columns and groups as sections.

    Args:
        data: `Report.to_dict()`.

    Returns:
        The text. `*` marks the best value of a line, arrows which direction is
        better. What was left out and the notes follow.

    Example:

    >>> print(render(report.to_dict()))
    """
    names = [_clean(model["name"]) for model in data["models"]]
    groups = figures.groups(data)
    blocks = [_heading(data), _table(groups, names)]
    if len(names) > 1:
        blocks.append(_differences(groups, names))
    if data["left_out"]:
        blocks.append(["Left out"] + [_left_out(entry) for entry in data["left_out"]])
    if data["notes"]:
        blocks.append(["Notes"] + [f"  {_clean(note)}" for note in data["notes"]])
    return "\n\n".join("\n".join(block) for block in blocks)


def _heading(data):
    facts = data["provenance"]
    parts = [
        facts["dataset"],
        f"split {facts['split']}" if facts["split"] else "",
        f"{facts['images']} images",
        f"{facts['classes']} classes",
        f"seed {facts['seed']}",
        facts["heatmaps"],
    ]
    listed = " · ".join(_clean(part) for part in parts if part)
    return [_clean(data["title"]), listed]


def _table(groups, names):
    lines = [["", *(_short(name) for name in names), "n"]]
    for group in groups:
        lines += [[], [group["name"]]]
        for row in group["rows"]:
            label = f"  {_clean(row['metric']['label'])} {row['arrow']}"
            cells = [_cell(cell, "*" if cell["best"] else " ") for cell in row["cells"]]
            skipped = f" ({row['skipped']} skipped)" if row["skipped"] else ""
            lines.append([label, *cells, row["n"] + skipped])
            for baseline in row["baselines"]:
                lines.append([f"    {_clean(baseline['name'])}", _cell(baseline, " ")])
    marks = "[95 % interval], ↑ higher is better, ↓ lower is better"
    if len(names) > 1:
        marks = f"* best value, {marks}"
    if any(cell["flag"] for g in groups for row in g["rows"] for cell in row["cells"]):
        marks += ", ! see the notes"
    return [*_aligned(lines), "", marks]


def _differences(groups, names):
    lines = [["", *(_short(name) for name in names[1:])]]
    for row in (row for group in groups for row in group["rows"]):
        label = f"  {_clean(row['metric']['label'])} {row['arrow']}"
        cells = [_cell(cell, cell["verdict"]) for cell in row["differences"]]
        lines.append([label, *cells])
    heading = f"Difference to {_short(names[0])}, image by image"
    return [heading, *_aligned(lines)]


def _cell(cell, mark):
    other = cell.get("in_sample")
    flag = cell.get("flag")
    parts = (
        cell["value"],
        cell["interval"],
        other and f"({other})",
        flag and f"! {flag}",
        mark,
    )
    return " ".join(part for part in parts if part)


def _left_out(entry):
    return f"  {_clean(', '.join(entry['metrics']))}: {_clean(entry['reason'])}"


def _aligned(lines):
    """Pads the cells of each column to one width; a heading alone takes none."""
    table = [line for line in lines if len(line) > 1]
    columns = max(len(line) for line in table)
    widths = [
        max(_width(line[column]) for line in table if column < len(line))
        for column in range(columns)
    ]
    return [
        "  ".join(
            cell + " " * (width - _width(cell))
            for cell, width in zip(line, widths, strict=False)
        ).rstrip()
        for line in lines
    ]


def _width(text):
    """Columns that a text takes in a terminal."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    combining = sum(unicodedata.combining(letter) > 0 for letter in text)
    return len(text) + wide - combining


def _short(name):
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _clean(text):
    """A text without what would steer a terminal or break the line."""
    return "".join(letter if letter.isprintable() else " " for letter in str(text))
