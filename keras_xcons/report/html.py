"""A report as an HTML page, and as a table for notebooks."""

import functools
import json
import re

from keras_xcons import plotting
from keras_xcons.report import charts, figures, pictures

# Shown large at the top of the page, the first six of those that were measured.
_TELLING = (
    *("accuracy", "mean_average_precision", "pointing_game", "max_box_acc_v2"),
    *("insertion", "explanation_consistency", "pgd_accuracy", "mixed_rand"),
    *("deletion", "energy_pointing_game", "bg_gap"),
)
_STRIP = 6
_ARXIV = re.compile(r"(?:https?://arxiv\.org/abs/|arXiv[ :])(\d{4}\.\d{4,5})")


def page(data, samples):
    """Renders the whole page, with styles, scripts and pictures in it.

    Args:
        data: `Report.to_dict()`.
        samples: Sequence of `keras_xcons.report.Sample`.

    Returns:
        The page's text.

    Example:

    >>> page(report.to_dict(), samples).startswith("<!doctype html>")
    True
    """
    names = [model["name"] for model in data["models"]]
    tiles = [_tile(sample, names) for sample in samples]
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            data=data,
            groups=figures.groups(data),
            flags=figures.flags(data),
            strip=_strip(data),
            charts=charts.charts(data),
            chart=charts,
            tiles=tiles,
            labels=list(dict.fromkeys(tile["label"] for tile in tiles)),
            attacked=any(view["adversary"] for tile in tiles for view in tile["views"]),
        )
    )


def notebook(data):
    """Renders the figures as a table to be shown in a notebook.

    Args:
        data: `Report.to_dict()`.

    Returns:
        The text of one `div` element, without any script.

    Example:

    >>> "<script" in notebook(report.to_dict())
    False
    """
    template = _environment().get_template("notebook.html.jinja")
    return template.render(data=data, groups=figures.groups(data))


@functools.cache
def _environment():
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("keras_xcons.report", "template"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(count=figures.count, plain=_as_text, linked=_linked)
    environment.globals["asset"] = functools.partial(_asset, environment)
    return environment


def _asset(environment, name):
    """The styles or the script of a file, which are no template."""
    import markupsafe

    source, _, _ = environment.loader.get_source(environment, name)
    return markupsafe.Markup(source)


def _as_text(value):
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _linked(source):
    """A source with its arXiv numbers made links."""
    import markupsafe

    parts = _ARXIV.split(source)
    link = markupsafe.Markup(
        '<a href="https://arxiv.org/abs/{0}" rel="noreferrer">arXiv {0}</a>'
    )
    return markupsafe.Markup("").join(
        link.format(part) if place % 2 else part for place, part in enumerate(parts)
    )


def _strip(data):
    rows = {
        row["metric"]["name"]: row
        for group in figures.groups(data)
        for row in group["rows"]
    }
    return [rows[name] for name in _TELLING if name in rows][:_STRIP]


def _tile(sample, names):
    """One image of the gallery, with its pictures made."""
    views = [sample.views[name] for name in names]
    return {
        "index": int(sample.index),
        "label": sample.label,
        "image": pictures.data_uri(sample.image),
        "outline": pictures.outline(sample),
        "views": [
            _view(sample, name, view) for name, view in zip(names, views, strict=True)
        ],
    }


def _view(sample, name, view):
    known = view.consistency is not None and view.consistency == view.consistency
    attacked = view.adversary
    reheated = view.adversary_heatmap
    return {
        "model": name,
        "predicted": view.predicted,
        "correct": bool(view.correct),
        "confidence": float(view.confidence),
        "consistency": float(view.consistency) if known else None,
        "heatmap": _heated(sample.image, view.heatmap),
        "adversary": None if attacked is None else pictures.data_uri(attacked),
        "adversary_heatmap": None if reheated is None else _heated(attacked, reheated),
        "panels": {
            title: pictures.data_uri(each) for title, each in view.panels.items()
        },
    }


def _heated(image, heatmap):
    return pictures.data_uri(plotting.overlay(image, heatmap))
