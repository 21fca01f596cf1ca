"""What an evaluation knows of a metric."""

import dataclasses
from collections.abc import Callable

from keras_xcons.evaluation.statistics import mean

_PLACED = {"localisation", "faithfulness", "consistency"}
_ON_BACKGROUND = {"fgsm_background_accuracy", "pgd_background_accuracy"}


@dataclasses.dataclass(frozen=True)
class Metric:
    """One figure of a report.

    Attributes:
        name: Its name.
        label: Its name for people.
        group: What it tells about.
        direction: `"higher"` or `"lower"`, which is better.
        description: One sentence.
        source: Where the formula is from.
        rows: The rows it is made of, by name. Defaults to those of its own name.
        statistic: Makes the figure of the rows, see
            `keras_xcons.evaluation.statistics.mean`.
        range: `(low, high)`, `None` where there is no limit.
        percent: Whether it is shown in percent.
        needs: What the data set must have: `"truth"` (boxes or masks), `"masks"`,
            `"one label"`, `"several labels"`, `"a label"`, `"more than 5 classes"`.
        inflated: Whether a heatmap that is bright everywhere makes it look good.
        attacked: Whether it is of images that follow a gradient, so that a model
            without one looks good.
        baseline: The rows of a centre Gaussian, which knows nothing of the image,
            to show the metric beside; `None` for no baseline.
    """

    name: str
    label: str
    group: str
    direction: str
    description: str
    rows: str | None = None
    source: str = ""
    statistic: Callable = mean
    range: tuple[float | None, float | None] = (0.0, 1.0)
    percent: bool = True
    needs: tuple[str, ...] = ()
    baseline: str | None = None
    inflated: bool = False
    attacked: bool = False

    def __post_init__(self):
        if self.rows is None:
            object.__setattr__(self, "rows", self.name)

    @property
    def placed(self):
        """Whether it depends on where in the image heatmaps are laid.

        So do the attacks on what a heatmap leaves for background.
        """
        return self.group in _PLACED or self.name in _ON_BACKGROUND

    def card(self):
        """What a report says of the metric, as plain values."""
        names = ("name", "label", "group", "direction", "description", "source")
        found = {name: getattr(self, name) for name in names}
        return {**found, "range": list(self.range), "percent": self.percent}
