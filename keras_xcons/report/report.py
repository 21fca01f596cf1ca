"""What an evaluation found."""

import copy
import json

from keras_xcons.report import html, report_files, table, text

_KEYS = (
    *("title", "models", "metrics", "figures", "baselines", "differences"),
    *("left_out", "notes", "curves", "provenance"),
)


class Report:
    """What an evaluation found, as figures, a table, a text and a page.

    `print(report)` shows the figures in a terminal; a notebook shows them as a
    table. The same figures give the same bytes in every format.

    Args:
        data: Dict of plain JSON values, as `to_dict` returns it. Every figure has a
            95 % interval `low`, `high`, the number `n` of its images and the number
            `skipped` of those it could not be measured on.
        samples: Sequence of `keras_xcons.report.Sample`, the pictures of the page's
            gallery. Defaults to `()`.

    Attributes:
        samples: Tuple of the samples.

    Raises:
        TypeError: `data` holds what is no plain JSON value.
        ValueError: `data` lacks an entry or holds NaN, or a sample is not seen by
            exactly the models of the report.

    Example:

    >>> report = keras_xcons.evaluate(model, dataset)
    >>> report.to_dict()["figures"]["model"]["pointing_game"]["value"]
    0.81
    >>> report.to_html("report.html")
    """

    def __init__(self, data, samples=()):
        self._data = _plain(data)
        missing = [key for key in _KEYS if key not in self._data]
        if missing:
            raise ValueError(
                f"`data` must have the entries {', '.join(_KEYS)}. Received: data "
                f"without {', '.join(missing)}"
            )
        names = [model["name"] for model in self._data["models"]]
        if not names or sorted(self._data["figures"]) != sorted(names):
            raise ValueError(
                "`data` must have figures for each of its models. Received: models="
                f"{names!r} and figures for {list(self._data['figures'])!r}"
            )
        self.samples = tuple(samples)
        for sample in self.samples:
            if sorted(sample.views) != sorted(names):
                raise ValueError(
                    f"Every sample must have a view for each of the models {names!r}. "
                    f"Received: sample {sample.index} with views for "
                    f"{list(sample.views)!r}"
                )

    def to_dict(self):
        """Returns all figures as plain JSON values, without the pictures.

        Returns:
            Dict, a copy of its own, with

            - `title`, `models`, `metrics`: what was measured, in order of display;
            - `figures`: `{model: {metric: figure}}`, a figure being a dict of
              `value`, `low`, `high`, `n`, `skipped`, of MaxBoxAcc also `in_sample`,
              the value at the best threshold on the very images, and `flag`, `"flat
              maps"`, where heatmaps that are bright everywhere make it look good, or
              `"not aligned"`, where these heatmaps are not moved by their offset and
              those of other models are, or both with a comma;
            - `baselines`: `{metric: {baseline: figure}}`;
            - `differences`: `{model: {metric: {value, low, high, n, better}}}`, each
              model less the first, image by image; `better` is the name of the
              better model, `None` when the interval holds 0, or one of the two
              figures is flagged;
            - `left_out`, `notes`: what was not measured, and why;
            - `curves`: those of the page's charts;
            - `provenance`: what makes these figures again.

        Example:

        >>> report.to_dict()["provenance"]["seed"]
        0
        """
        return copy.deepcopy(self._data)

    def to_json(self, path=None):
        """Returns what `to_dict` does as JSON text, and writes it.

        Args:
            path: File to write, ending in `.json`, or `None`. Defaults to `None`.

        Returns:
            The text.

        Raises:
            FileNotFoundError: The file's folder does not exist.
            IsADirectoryError: `path` is a folder.
            ValueError: `path` does not end in `.json`.

        Example:

        >>> report.to_json("report.json")
        """
        return _written(
            path,
            ".json",
            lambda: json.dumps(self._data, indent=2, ensure_ascii=False) + "\n",
        )

    def to_csv(self, path=None):
        """Returns the figures as CSV text, and writes it.

        A row is one metric of one model, or of one baseline that has its name in the
        column `model`. The columns: model, metric, label, group, direction, value,
        low, high, in_sample, n, skipped, difference, difference_low,
        difference_high, better, flag, and heatmaps, what made them and how they
        are scaled.
        The difference is to the first model.

        Args:
            path: File to write, ending in `.csv`, or `None`. Defaults to `None`.

        Returns:
            The text.

        Raises:
            FileNotFoundError: The file's folder does not exist.
            IsADirectoryError: `path` is a folder.
            ValueError: `path` does not end in `.csv`.

        Example:

        >>> report.to_csv("report.csv").splitlines()[0].split(",")[:3]
        ['model', 'metric', 'label']
        """
        return _written(path, ".csv", lambda: table.render(self._data))

    def to_html(self, path=None):
        """Returns the report as one HTML page, and writes it.

        The page holds its pictures, styles and scripts, and loads nothing from
        elsewhere: it may be mailed, and read without a network.

        Args:
            path: File to write, ending in `.html`, or `None`. Defaults to `None`.

        Returns:
            The text.

        Raises:
            FileNotFoundError: The file's folder does not exist.
            IsADirectoryError: `path` is a folder.
            ValueError: `path` does not end in `.html`.

        Example:

        >>> report.to_html("report.html").startswith("<!doctype html>")
        True
        """
        return _written(path, ".html", lambda: html.page(self._data, self.samples))

    def _repr_html_(self):
        return html.notebook(self._data)

    def __repr__(self):
        return text.render(self._data)


def _plain(data):
    """A deep copy of `data`, made of plain JSON values alone."""
    try:
        return json.loads(json.dumps(data, allow_nan=False))
    except TypeError as error:
        raise TypeError(
            f"`data` must hold plain JSON values alone ({error}). Received: data of "
            f"type {type(data).__name__}"
        ) from error
    except ValueError as error:
        raise ValueError(
            f"`data` must hold finite numbers alone ({error}). Received: data of type "
            f"{type(data).__name__}"
        ) from error


def _written(path, suffix, render):
    """What `render` makes, written to `path` unless that is `None`."""
    path = None if path is None else report_files.checked(path, suffix)
    made = render()
    if path is not None:
        report_files.write(path, made)
    return made
