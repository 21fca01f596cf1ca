"""Prints the figures of an evaluation as the tables of the README.

keras-xcons evaluate plain.keras xcons.keras --dataset shapes -o evaluation
python tools/report_table.py --report evaluation/report.json

Percentages stand without their sign; a difference is bold where the model is better.
"""

import json

from absl import app, flags

from keras_xcons.report import figures

FLAGS = flags.FLAGS
flags.DEFINE_string("report", None, "report.json of an evaluation.", required=True)


def cell(figure, percent, signed=False):
    """A figure with its interval, as text."""
    if figure["value"] is None:
        return ""
    decimals = figures.decimals_of(figure, percent) if signed else None
    shown = (percent, signed, decimals)
    interval = figures.interval(figure, *shown)
    told = " ".join(filter(None, [_bare(figure["value"], *shown), interval]))
    if figure.get("flag"):
        told += f" ({figure['flag']})"
    other = figure.get("in_sample")
    # Of a difference the intervals are what is read.
    if other is None or signed:
        return told
    return f"{told} (in-sample {_bare(other, percent)})"


def _bare(*shown):
    """A number without its unit."""
    return figures.number(*shown).removesuffix(" %").removesuffix(" pp")


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
        measured = [found["figures"][model][name] for model in models]
        cells = [cell(figure, percent) for figure in measured]
        for other in others:
            cells.append(difference(found["differences"][other][name], other, percent))
        yield row(metric, cells, measured[0]["n"])
        for baseline, figure in found["baselines"].get(name, {}).items():
            blank = [""] * (len(cells) - 1)
            yield f"| – {baseline} | {cell(figure, percent)} | {' | '.join(blank)} | |"


def row(metric, cells, count):
    """One line of the table."""
    label = f"{metric['label']} {figures.ARROWS[metric['direction']]}"
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
