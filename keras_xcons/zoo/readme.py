"""The page of a published model, made from its card and metrics."""

from keras_xcons.evaluation import METRICS
from keras_xcons.report import figures
from keras_xcons.zoo import card as cards

_PAGE = """# {name}

An image classifier for {classes} classes: `{architecture}`, {millions} parameters,
trained by the method `{method}`.{headline}

- **Trained on:** {data}
- **Pretraining:** {pretraining}
- **Takes** images of {height} × {width} px in 0..255, uint8 or floating point, and
  **returns** logits; the preprocessing is inside.

```python
import keras_xcons as kx

model = kx.load("{name}")
logits = model.predict(images)
heatmaps = kx.explain(model, images{explain_arguments})
class_names = kx.info("{name}")["class_names"]
```

{results}

## Facts

| | |
|---|---|
{facts}

How it was trained, in full: [{recipe}]({recipe}).
"""

_MOST_NAMES = 10  # classes that are named on the page

# What `explain` does when it is told nothing.
_USUAL = {"explainer": "gradcam++", "normalize": "max"}


def readme(card, metrics):
    """Returns the text of a model's README.md.

    Args:
        card: The card of the model, a dict.
        metrics: Dict of plain values, as the evaluator wrote them. A figure is a dict
            with `value`, `low`, `high` and `n`, and perhaps `skipped`; wherever it
            lies, it becomes a row of the table. `notes`, a list of strings, are shown
            as a list, and all else as facts, nested names joined by dots.

    Returns:
        Markdown text.
    """
    height, width = card["input_size"]
    rows, facts = [], []
    for path, value in _flat((), metrics):
        if _is_figure(value):
            rows.append(_figure_row(path, value))
        elif _tells_what_was_left_out(value):
            facts += [("not measured", _reason(each)) for each in value]
        elif path != ("notes",):
            facts.append((".".join(path), value))
    values = {
        **card,
        "classes": len(card["class_names"]),
        "millions": _millions(card["parameters"]),
        "headline": _headline(metrics),
        # Heatmaps as they were measured.
        "explain_arguments": _explain_arguments(metrics),
        "height": height,
        "width": width,
        "results": _results(rows, facts, metrics.get("notes", [])),
        "facts": _table(_card_facts(card)),
    }
    return _PAGE.format_map(values)


def _explain_arguments(metrics):
    """The arguments of `explain` that make the heatmaps the measured ones."""
    options = metrics.get("options")
    if not isinstance(options, dict):
        return ""
    given = {name: options.get(name, usual) for name, usual in _USUAL.items()}
    return "".join(
        f', {name}="{value}"'
        for name, value in given.items()
        if value not in (None, _USUAL[name])
    )


def _flat(path, value):
    """Yields `(path, value)` of each figure and plain value of a nested dict."""
    if not isinstance(value, dict) or _is_figure(value) or _is_list_of_names(value):
        yield path, value
        return
    for name, inner in value.items():
        yield from _flat((*path, str(name)), inner)


def _is_figure(value):
    return isinstance(value, dict) and {"value", "low", "high", "n"} <= value.keys()


def _is_list_of_names(value):
    """Whether a dict is read well as one line, as versions of packages are."""
    return bool(value) and all(isinstance(each, str) for each in value.values())


def _tells_what_was_left_out(value):
    return isinstance(value, list) and all(
        isinstance(each, dict) and each.keys() == {"metrics", "reason"}
        for each in value
    )


def _reason(left_out):
    return f"{', '.join(left_out['metrics'])}: {left_out['reason']}"


def _figure_row(path, figure):
    """The cells of a figure: what it is, value, interval, images."""
    # Its name, or of a baseline the one above it, is that of the metric.
    metric = next((METRICS[name] for name in path[::-1] if name in METRICS), None)
    if metric is None:
        label, names = path[-1], path[:-1]
    else:
        label = f"{metric.label} {_arrow(metric)}"
        names = [name for name in path if name != metric.name]
    where = [name for name in names if name != "figures"]
    count = figures.count(figure["n"])
    if figure.get("skipped"):
        count = f"{count} ({figures.count(figure['skipped'])} left out)"
    percent = metric is not None and metric.percent
    value = figures.number(figure["value"], percent)
    told = (figures.in_sample(figure, percent), figure.get("flag", ""))
    return (
        ", ".join([*where, label]),
        " ".join([value, *(f"({other})" for other in told if other)]),
        figures.interval(figure, percent),
        count,
    )


def _arrow(metric):
    return figures.ARROWS[metric.direction]


def _headline(metrics):
    """One sentence on how well it does, where the metrics hold an accuracy."""
    found = metrics.get("figures")
    accuracy = found.get("accuracy") if isinstance(found, dict) else None
    if not _is_figure(accuracy) or accuracy["value"] is None:
        return ""
    told = figures.number(accuracy["value"], percent=True)
    split = f" of the split `{metrics['split']}`" if "split" in metrics else ""
    sentence = f"It tells {told} of {figures.count(accuracy['n'])} images{split} right"
    pointing = found.get("pointing_game")
    if _is_figure(pointing) and pointing["value"] is not None:
        share = figures.number(pointing["value"], percent=True)
        sentence += f"; the heatmap's maximum lies on the object in {share}"
    return f"\n{sentence}."


def _results(rows, facts, notes):
    """The section of what the evaluator wrote."""
    parts = [
        "## Results",
        f"As the evaluator wrote them: [{cards.METRICS_FILE}]({cards.METRICS_FILE}).",
    ]
    if rows:
        head = "| metric | value | interval | images |\n|---|---|---|---|"
        body = "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in rows)
        parts.append(f"{head}\n{body}")
        parts.append("↑ higher is better, ↓ lower is better.")
    if notes:
        parts.append("\n".join(f"- {note}" for note in notes))
    if facts:
        parts.append(f"| | |\n|---|---|\n{_table(facts)}")
    return "\n\n".join(parts)


def _card_facts(card):
    names = card["class_names"]
    shown = ", ".join(names[:_MOST_NAMES])
    more = len(names) - _MOST_NAMES
    arguments = [f"{name} = {value!r}" for name, value in card["arguments"].items()]
    return [
        ("classes", f"{shown} and {more} more" if more > 0 else shown),
        ("architecture", card["architecture"]),
        ("architecture arguments", ", ".join(arguments) or "defaults"),
        ("feature layer of the heatmaps", card["feature_layer"]),
        *_offset(card.get("offset")),
        ("parameters", figures.count(card["parameters"])),
        ("weights", f"{card['bytes'] / 1e6:.1f} MB, float16"),
        ("sha256 of the weights", f"`{card['sha256']}`"),
        ("licence of the weights", card["weights_license"]),
        ("licence of the data", card["data_license"]),
        ("paper", card["paper"] or "none"),
        ("created with", card["created_with"]),
    ]


def _offset(offset):
    """The fact of how far heatmaps are moved, where it was measured."""
    if offset is None:
        return []
    down, right = (
        f"{offset[axis]:+.1f} px [{low:+.1f}, {high:+.1f}]"
        for axis in ("rows", "columns")
        for low, high in [offset[f"{axis}_interval"]]
    )
    told = f"{down} down, {right} right, measured by flips of {offset['images']} images"
    return [("offset of the heatmaps", told)]


def _table(facts):
    return "\n".join(f"| {_cell(name)} | {_cell(value)} |" for name, value in facts)


def _millions(parameters):
    if parameters < 1e6:
        return figures.count(parameters)
    return f"{parameters / 1e6:.1f} million"


def _cell(value):
    if isinstance(value, list):
        return ", ".join(_cell(each) for each in value)
    if isinstance(value, dict):
        return ", ".join(f"{_cell(name)} {_cell(each)}" for name, each in value.items())
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", r"\|").replace("\n", " ")
