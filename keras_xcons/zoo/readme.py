"""The page of a published model, made from its card and metrics."""

_PAGE = """# {name}

{architecture} for {classes} classes, trained by {method}. Takes images of
{height} x {width} px in 0..255 and returns logits; the preprocessing is inside.

```python
import keras_xcons as kx

model = kx.load("{name}")
heatmaps = kx.explain(model, images)
class_names = kx.model_card("{name}")["class_names"]
```

Trained on: {trained_on}

| | |
|---|---|
| parameters | {parameters:,} |
| weights | {megabytes:.1f} MB, float16, sha256 `{sha256}` |
| architecture arguments | {arguments} |
| feature layer of the heatmaps | `{feature_layer}` |
| licence of the weights | {weights_license} |
| licence of the data | {data_license} |
| paper | {paper} |
| created with | {created_with} |

How it was trained, in full: [recipe.json](recipe.json).

## Metrics

As the evaluator wrote them: [metrics.json](metrics.json).

| metric | value |
|---|---|
{metrics}
"""


def readme(card, metrics):
    """Returns the text of a model's README.md.

    Args:
        card: The card of the model, a dict.
        metrics: Dict of plain values; nested names are joined by dots, and a figure
            with its interval (`value`, `low`, `high`, `n`) is one row.

    Returns:
        Markdown text.
    """
    height, width = card["input_size"]
    rows = (
        f"| {_cell(metric)} | {_cell(value)} |" for metric, value in _flat("", metrics)
    )
    versions = (
        f"{package} {number}" for package, number in card["created_with"].items()
    )
    arguments = (f"{name} = {value!r}" for name, value in card["arguments"].items())
    values = {
        **card,
        "classes": len(card["class_names"]),
        "height": height,
        "width": width,
        "megabytes": card["bytes"] / 1e6,
        "arguments": ", ".join(arguments) or "defaults",
        "paper": card["paper"] or "none",
        "created_with": ", ".join(versions),
        "metrics": "\n".join(rows),
    }
    return _PAGE.format_map(values)


def _flat(prefix, value):
    """Yields `(dotted name, plain value)` of a nested dict, in its order."""
    if isinstance(value, dict) and set(value) == {"value", "low", "high", "n"}:
        interval = f"[{_cell(value['low'])}, {_cell(value['high'])}]"
        yield prefix, f"{_cell(value['value'])} {interval}, n = {value['n']}"
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _flat(f"{prefix}.{name}" if prefix else str(name), inner)
    else:
        yield prefix, value


def _cell(value):
    if isinstance(value, list):
        return ", ".join(_cell(each) for each in value)
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", r"\|").replace("\n", " ")
