"""What `keras-xcons train` tells at its end: a table, and sentences."""

# What is told of each split.
LABELS = {
    "accuracy": "accuracy",
    "binary_accuracy": "binary accuracy",
    "pointing_game": "pointing game",
    "energy_pointing_game": "energy inside",
    "explanation_consistency": "E",
    "fgsm_background_accuracy": "right attacked",
}
_BG_GAP = "BG-gap"
_MEANING = {
    "energy_pointing_game": "energy inside: share of the heatmap on the object",
    "explanation_consistency": "E: how well the heatmap survives an attack on the "
    "background, 100 for not moved",
    "fgsm_background_accuracy": "right attacked: accuracy on images whose background "
    "is attacked (FGSM)",
}
_OF_SHAPES = (
    "mixed_same, mixed_rand: the object in front of a background of its own class, of "
    "any class; BG-gap: how much accuracy that costs"
)


def meaning(metrics):
    """What the words of `table` mean, as lines of text.

    Args:
        metrics: Dict as `train` returns it.

    Returns:
        List of strings.
    """
    first = next(iter(metrics["runs"].values()))[metrics["splits"][0]]
    told = [text for name, text in _MEANING.items() if name in first]
    return [*told, *([_OF_SHAPES] if metrics["background_gap"] else [])]


def table(metrics):
    """The runs side by side as lines of text, with 95 % intervals.

    Args:
        metrics: Dict as `train` returns it.

    Returns:
        List of strings.
    """
    runs = metrics["runs"]
    rows = [("", "", list(metrics["headings"].values()))]
    rows += _rows(runs, metrics)
    if metrics["background_gap"]:
        gaps = list(metrics["background_gap"].values())
        rows.append((_BG_GAP, "lower is better", gaps))
    differences = metrics["minus_plain"]
    if differences:
        heads = [metrics["headings"][run] for run in differences]
        rows.append(("", "", [f"{head} - plain" for head in heads]))
        rows += _rows(differences, metrics)
        gaps = list(metrics.get("gap_minus_plain", {}).values())
        rows += [(_BG_GAP, "lower is better", gaps)] if gaps else []
    lines = [
        f"{split:11} {label:15} " + " ".join(f"{_cell(cell):>22}" for cell in cells)
        for split, label, cells in rows
    ]
    count = next(iter(next(iter(runs.values()))[metrics["splits"][0]].values()))["n"]
    lines.append(
        f"percent, [95 % interval], n = {count} images a split, "
        f"seed {metrics['options']['seed']}"
    )
    return lines


def summary(metrics):
    """Sentences that say which differences to plain training exclude 0.

    Args:
        metrics: Dict as `train` returns it.

    Returns:
        List of strings, one a method.
    """
    lines = []
    for run, found in metrics["minus_plain"].items():
        told = {"above": [], "below": []}
        for split in metrics["splits"]:
            for name, label in LABELS.items():
                cell = found[split].get(name)
                if cell and (cell["low"] > 0 or cell["high"] < 0):
                    where = f" on {split}" if len(metrics["splits"]) > 1 else ""
                    points = f"{100 * cell['value']:+.1f}"
                    side = "above" if cell["low"] > 0 else "below"
                    told[side].append(f"{label}{where} ({points})")
        parts = [
            f"is {side} plain training in {', '.join(each)}"
            for side, each in told.items()
            if each
        ]
        gap = metrics.get("gap_minus_plain", {}).get(run)
        if gap and (gap["low"] > 0 or gap["high"] < 0):
            size = "smaller" if gap["high"] < 0 else "larger"
            parts.append(f"has a {size} {_BG_GAP} ({100 * gap['value']:+.1f})")
        what = "; ".join(parts) or "is not told from plain training in any figure"
        head = metrics["headings"][run]
        start = metrics.get("starts", {}).get(run)
        how = ", from whose run it started and learned as long again," if start else ""
        what = what.replace("plain training", f"plain training{how}", 1)
        lines.append(f"{head[0].upper()}{head[1:]} {what}.")
    return lines


def _rows(runs, metrics):
    """A row of cells for each figure: of the splits, and one cell a run."""
    first = next(iter(runs.values()))
    return [
        (split, label, [found[split][name] for found in runs.values()])
        for split in metrics["splits"]
        for name, label in LABELS.items()
        if name in first[split]
    ]


def _cell(cell):
    if isinstance(cell, str):
        return cell
    value, low, high = (100 * cell[name] for name in ("value", "low", "high"))
    return f"{value:5.1f}  [{low:5.1f}, {high:5.1f}]"
