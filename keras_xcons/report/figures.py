"""The figures of a report in the order and the words in which people read them."""

import itertools

ARROWS = {"higher": "↑", "lower": "↓"}
BETTER = {"higher": "higher is better", "lower": "lower is better"}
# Why a figure is flagged, and what that means.
FLAT, UNREACHED, UNALIGNED = "flat maps", "no gradient", "not aligned"
_FLAGS = {
    FLAT: "the figure says nothing, as many heatmaps behind it are bright everywhere",
    UNREACHED: "the figure says nothing, as many images have no gradient for an attack "
    "to follow",
    UNALIGNED: "the figure is not comparable, as these heatmaps are not moved by their "
    "offset, and those of other models are",
}
# Decimals beyond the usual that a bound close to zero is given, and what is zero.
_MORE_DECIMALS, _ZERO = 4, 1e-9
# A minus sign as wide as a plus sign, so that signed numbers line up.
_MINUS = "\N{MINUS SIGN}"


def number(value, percent=False, signed=False, decimals=None):
    """A figure as people read it.

    Args:
        value: A number, or `None` where nothing was measured.
        percent: Whether to show it in percent (or, signed, in percentage points).
        signed: Whether to show the sign of a positive number as well.
        decimals: How many to show. Defaults to one in percent, three otherwise,
            fewer for large numbers.

    Returns:
        String.

    Example:

    >>> number(0.8125, percent=True), number(-0.5, signed=True), number(None)
    ('81.2 %', '−0.500', '–')
    """
    if value is None:
        return "–"
    shown = value * 100.0 if percent else value
    if decimals is None:
        decimals = 1 if percent else 3 if abs(shown) < 100.0 else 1
    written = f"{shown:{'+' if signed else ''}.{decimals}f}"
    if float(written) == 0.0:
        written = written.lstrip("+-")
    unit = " pp" if percent and signed else " %" if percent else ""
    return written.replace("-", _MINUS) + unit


def decimals_of(difference, percent=False):
    """How many decimals a difference needs, or `None` for the usual ones.

    A bound that is not zero is not shown as zero: a difference that is called better
    beside an interval that seems to hold zero contradicts itself.

    Args:
        difference: Dict with `low` and `high`, or `None`.
        percent: As in `number`.

    Returns:
        Int or `None`, for the argument `decimals` of `number` and `interval`.

    Example:

    >>> decimals_of({"low": -0.009, "high": -0.0004}, percent=True)
    2
    """
    ends = [] if difference is None else [difference["low"], difference["high"]]
    ends = [abs(end) for end in ends if end is not None and abs(end) > _ZERO]
    if not ends:
        return None
    smallest = min(ends) * (100.0 if percent else 1.0)
    usual = 1 if percent else 3
    most = usual + _MORE_DECIMALS
    needed = next((d for d in range(usual, most) if round(smallest, d)), most)
    return None if needed == usual else needed


def interval(figure, percent=False, signed=False, decimals=None):
    """The interval of a figure in brackets; empty where there is none.

    Args:
        figure: Dict with `low` and `high`, or `None`.
        percent: As in `number`; the sign itself is left to the value beside it.
        signed: As in `number`.
        decimals: As in `number`.

    Returns:
        String.

    Example:

    >>> interval({"low": 0.75, "high": 0.875}, percent=True)
    '[75.0, 87.5]'
    """
    if figure is None or figure["low"] is None or figure["high"] is None:
        return ""
    ends = (number(figure[end], percent, signed, decimals) for end in ("low", "high"))
    low, high = (end.removesuffix(" %").removesuffix(" pp") for end in ends)
    return f"[{low}, {high}]"


def count(value):
    """A whole number with thin spaces between its thousands.

    Example:

    >>> count(2257984)
    '2 257 984'
    """
    return f"{value:,}".replace(",", "\N{THIN SPACE}")


def groups(data):
    """The rows of the table of figures, group by group.

    Args:
        data: `Report.to_dict()`.

    Returns:
        List of dicts of `name` and `rows`. A row has the `metric`, a list `cells`
        with one dict a model, `differences` with one dict a model but the first,
        `baselines`, and `n` and `skipped` as strings.

    Example:

    >>> groups(report.to_dict())[0]["rows"][0]["cells"][0]["value"]
    '92.4 %'
    """
    return [
        {"name": name.capitalize(), "rows": [_row(data, metric) for metric in metrics]}
        for name, metrics in itertools.groupby(
            data["metrics"], key=lambda metric: metric["group"]
        )
    ]


def _row(data, metric):
    names = [model["name"] for model in data["models"]]
    key = metric["name"]
    found = [data["figures"][name].get(key) for name in names]
    praised = [None if figure and figure.get("flag") else figure for figure in found]
    best = _best([_value(figure) for figure in praised], metric["direction"])
    cells = [
        {**_cell(figure, metric), "model": name, "best": place in best}
        for place, (name, figure) in enumerate(zip(names, found, strict=True))
    ]
    differences = [
        _difference(data["differences"].get(name, {}).get(key), name, names[0], metric)
        for name in names[1:]
    ]
    baselines = [
        {"name": name, **_cell(figure, metric)}
        for name, figure in data["baselines"].get(key, {}).items()
    ]
    return {
        "metric": metric,
        "arrow": ARROWS[metric["direction"]],
        "better": BETTER[metric["direction"]],
        "cells": cells,
        "differences": differences,
        "baselines": baselines,
        "n": _counts(found, "n"),
        "n_number": next((figure["n"] for figure in found if figure), None),
        "skipped": _counts(found, "skipped") if _any_skipped(found) else "",
    }


def in_sample(figure, percent=False):
    """The in-sample value of a cross-fitted figure; empty where there is none.

    Args:
        figure: Dict that may have `in_sample`, or `None`.
        percent: As in `number`.

    Returns:
        String.

    Example:

    >>> in_sample({"value": 0.5, "in_sample": 0.625}, percent=True)
    'in-sample 62.5 %'
    """
    found = None if figure is None else figure.get("in_sample")
    return "" if found is None else f"in-sample {number(found, percent)}"


def flags(data):
    """The flags of a report's figures, and what they mean.

    Args:
        data: `Report.to_dict()`.

    Returns:
        Dict from a flag that occurs to a clause.

    Example:

    >>> list(flags(report.to_dict()))
    ['flat maps']
    """
    told = {
        flag
        for found in data["figures"].values()
        for figure in found.values()
        if figure
        for flag in figure.get("flag", "").split(", ")
    }
    return {flag: meaning for flag, meaning in _FLAGS.items() if flag in told}


def _cell(figure, metric):
    percent = metric["percent"]
    return {
        "in_sample": in_sample(figure, percent),
        "flag": (figure or {}).get("flag", ""),
        "number": _value(figure),
        "value": number(_value(figure), percent),
        "interval": interval(figure, percent),
        "bar": _bar(figure, metric["range"]),
    }


def _difference(figure, name, first, metric):
    """What a model has more than the first one, and whether that is for sure."""
    verdict = ""
    if figure is not None and figure["better"] is not None:
        verdict = "better" if figure["better"] == name else "worse"
    percent = metric["percent"]
    shown = {"signed": True, "decimals": decimals_of(figure, percent)}
    return {
        "model": name,
        "first": first,
        "number": _value(figure),
        "value": number(_value(figure), percent, **shown),
        "interval": interval(figure, percent, **shown),
        "verdict": verdict,
    }


def _value(figure):
    return None if figure is None else figure["value"]


def _best(values, direction):
    """Places of the best of several values; none where all are alike."""
    known = [value for value in values if value is not None]
    if len(known) < 2 or min(known) == max(known):
        return set()
    best = max(known) if direction == "higher" else min(known)
    return {place for place, value in enumerate(values) if value == best}


def _bar(figure, limits):
    """Where value and interval lie in the metric's range, in percent of it."""
    low, high = limits or (None, None)
    if None in (_value(figure), low, high) or not interval(figure):
        return None
    places = (figure["value"], figure["low"], figure["high"])
    value, start, stop = (
        round(100.0 * min(max((place - low) / (high - low), 0.0), 1.0), 2)
        for place in places
    )
    return {"value": value, "start": start, "width": round(stop - start, 2)}


def _counts(found, key):
    """The number for each model, or one number where it is the same for all."""
    values = [None if figure is None else figure[key] for figure in found]
    known = dict.fromkeys(value for value in values if value is not None)
    if len(known) < 2:
        return "".join(count(value) for value in known)
    return " / ".join("–" if value is None else count(value) for value in values)


def _any_skipped(found):
    return any(figure["skipped"] for figure in found if figure is not None)
