"""Prints the figures of an evaluation as the tables of the README.

keras-xcons evaluate plain.keras xcons.keras --dataset shapes -o evaluation
python tools/report_table.py --report evaluation/report.json

Percentages stand without their sign; a difference is bold where the model is better.
"""

import json

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_string("report", None, "report.json of an evaluation.", required=True)

ARROWS = {"higher": "↑", "lower": "↓"}


def cell(figure, percent, signed=False):
    """A figure with its interval, as text."""
    scale, digits = (100, 1) if percent else (1, 3)
    sign = "+" if signed else ""
    names = ("value", "low", "high", "in_sample")
    value, low, high, other = (
        f"{scale * figure[name]:{sign}.{digits}f}"
        if figure.get(name) is not None
        else ""
        for name in names
    )
    interval = f" [{low}, {high}]" if low and high else ""
    told = f"{value}{interval}".replace("-", "−")
    if figure.get("flag"):
        told += f" ({figure['flag']})"
    # Of a difference the intervals are what is read.
    return f"{told} (in-sample {other})" if other and not signed else told


def difference(figure, other, percent):
    """The paired difference to the first model; none where no image has both."""
    if figure is None:
        return ""
    text = cell(figure, percent, signed=True)
    return f"**{text}**" if figure["better"] == other else text


def table(found):
    """The lines of the table: metrics by models, and the paired differences.

    Args:
        found: Dict as `keras_xcons.report.Report.to_dict` returns it.

    Yields:
        Lines of Markdown.
    """
    models = [model["name"] for model in found["models"]]
    others = [name for name in models if name in found["differences"]]
    heads = [*models, *(f"{name} − {models[0]}" for name in others), "n"]
    yield "| | " + " | ".join(heads) + " |"
    yield "|---|" + "---|" * len(heads)
    for metric in found["metrics"]:
        name, percent = metric["name"], metric["percent"]
        figures = [found["figures"][model][name] for model in models]
        cells = [cell(figure, percent) for figure in figures]
        for other in others:
            cells.append(difference(found["differences"][other][name], other, percent))
        yield row(metric, cells, figures[0]["n"])
        for baseline, figure in found["baselines"].get(name, {}).items():
            blank = [""] * (len(cells) - 1)
            yield f"| – {baseline} | {cell(figure, percent)} | {' | '.join(blank)} | |"


def row(metric, cells, count):
    """One line of the table."""
    label = f"{metric['label']} {ARROWS[metric['direction']]}"
    return f"| {label} | {' | '.join(cells)} | {count:,} |"


def main(argv):
    """Prints the table and what it rests on."""
    del argv
    with open(FLAGS.report, encoding="utf-8") as file:
        found = json.load(file)
    print("\n".join(table(found)))
    source = found["provenance"]
    print(
        f"\n{source['dataset']}, {source['split']}, {source['images']:,} images, seed "
        f"{source['seed']}; {source['interval']}; heatmaps: {source['heatmaps']}; "
        f"commit {source['commit']}"
    )


if __name__ == "__main__":
    app.run(main)
