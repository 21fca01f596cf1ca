"""The charts of a report: where their lines, ticks and marks go."""

import math

import numpy as np

from keras_xcons.report import figures

WIDTH, HEIGHT = 520, 296
# Room around the plot for the ticks and the labels of the axes.
LEFT, RIGHT, TOP, BOTTOM = 56, 504, 40, 246
_MARKS = 5
_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25)

_LINES = {
    "insertion": {
        "title": "Insertion",
        "caption": "The image gets its pixels back, the hottest first. The sooner the "
        "class is seen, the better: a large area under the curve.",
        "x_label": "share of pixels put back",
        "y_label": "probability of the class",
    },
    "deletion": {
        "title": "Deletion",
        "caption": "The image loses its pixels, the hottest first. The sooner the "
        "class is lost, the better: a small area under the curve.",
        "x_label": "share of pixels removed",
        "y_label": "probability of the class",
    },
    "max_box_acc": {
        "title": "Boxes over thresholds",
        "caption": "How many boxes around the thresholded heatmap fit the object’s. "
        "The highest point, marked with a ring, is the in-sample MaxBoxAcc.",
        "x_label": "threshold of the heatmap",
        "y_label": "images whose box fits",
    },
}


def charts(data):
    """Lays out the charts of a report.

    Args:
        data: `Report.to_dict()`.

    Returns:
        List of dicts, one a chart, in pixels of a view box of `WIDTH` by `HEIGHT`.

    Example:

    >>> [chart["key"] for chart in charts(report.to_dict())]
    ['insertion', 'deletion', 'max_box_acc', 'consistency']
    """
    curves = data["curves"]
    names = [model["name"] for model in data["models"]]
    made = [
        _lines(key, curves[key], names, fixed)
        for key, fixed in _LINES.items()
        if key in curves
    ]
    if "consistency" in curves:
        made.append(_histogram(curves["consistency"], names))
    return made


def _lines(key, curve, names, fixed):
    """A chart of one line a model, and of one a baseline."""
    xs = np.array(curve["x"], "float64")
    highest = max(max(ys) for ys in curve["y"].values())
    top, y_ticks = _axis(min(highest, 1.0))
    series = []
    for name, ys in curve["y"].items():
        points = np.stack([_across(xs), _up(np.array(ys), top)], axis=1)
        peak = int(np.argmax(ys))
        series.append(
            {
                "name": name,
                "style": names.index(name) if name in names else None,
                "points": _points(points),
                "area": False,
                "marks": _marks(points) if name in names else [],
                "ring": _place(points[peak]) if key == "max_box_acc" else None,
                "told": f"{name}: starts at {figures.number(ys[0], True)}, ends at "
                f"{figures.number(ys[-1], True)}, highest "
                f"{figures.number(ys[peak], True)} at {xs[peak]:.2f}.",
            }
        )
    return {
        "key": key,
        **fixed,
        "x_ticks": _x_ticks(),
        "y_ticks": [
            {"at": round(float(_up(tick, top)), 1), "text": f"{tick * 100:.0f} %"}
            for tick in y_ticks
        ],
        "series": series,
    }


def _histogram(curve, names):
    """A chart of one stepped line a model."""
    edges = np.array(curve["edges"], "float64")
    middles = (edges[1:] + edges[:-1]) / 2.0
    shares = {
        name: np.array(counts) / max(sum(counts), 1)
        for name, counts in curve["counts"].items()
    }
    top, y_ticks = _axis(max(share.max() for share in shares.values()))
    series = []
    for name, share in shares.items():
        heights = np.concatenate([[0.0], np.repeat(share, 2), [0.0]])
        steps = np.stack([_across(np.repeat(edges, 2)), _up(heights, top)], axis=1)
        peak = int(np.argmax(share))
        marks = np.stack([_across(middles), _up(share, top)], axis=1)[share > 0]
        series.append(
            {
                "name": name,
                "style": names.index(name),
                "points": _points(steps),
                "area": True,
                "marks": _marks(marks),
                "ring": None,
                "told": f"{name}: {sum(curve['counts'][name])} images, most of them "
                f"({figures.number(share[peak], True)}) between {edges[peak]:.2f} and "
                f"{edges[peak + 1]:.2f}.",
            }
        )
    return {
        "key": "consistency",
        "title": "Explanation consistency",
        "caption": "How well each image’s heatmap survives an attack on the "
        "background. The further to the right, the better.",
        "x_label": "consistency E",
        "y_label": "share of images",
        "x_ticks": _x_ticks(),
        "y_ticks": [
            {"at": round(float(_up(tick, top)), 1), "text": f"{tick * 100:.0f} %"}
            for tick in y_ticks
        ],
        "series": series,
    }


def _axis(highest):
    """The end of an axis from 0 that holds `highest`, and its ticks."""
    highest = max(float(highest), 0.01)
    step = next((step for step in _STEPS if highest / step <= 5.0 + 1e-9), _STEPS[-1])
    ticks = math.ceil(highest / step - 1e-9)
    return ticks * step, [place * step for place in range(ticks + 1)]


def _x_ticks():
    return [
        {"at": round(float(_across(place / 5)), 1), "text": f"{place / 5:.1f}"}
        for place in range(6)
    ]


def _across(x):
    return LEFT + (RIGHT - LEFT) * x


def _up(y, top):
    return BOTTOM - (BOTTOM - TOP) * y / top


def _points(places):
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _place(point):
    return {"x": round(float(point[0]), 1), "y": round(float(point[1]), 1)}


def _marks(points):
    """A few places along a line, for the marks that tell it from other lines."""
    if len(points) == 0:
        return []
    chosen = np.linspace(0, len(points) - 1, min(_MARKS, len(points))).round()
    return [_place(points[int(place)]) for place in chosen]
