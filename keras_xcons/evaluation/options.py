"""The settings of an evaluation: one table for flags, defaults and documentation."""

import dataclasses
import textwrap

import numpy as np

from keras_xcons import checks, explainers
from keras_xcons.consistency import MAP_MEASURES
from keras_xcons.data import arguments
from keras_xcons.layers import NORMALIZATIONS, check_normalize
from keras_xcons.metrics import BOX_PROTOCOLS, POINTING_PROTOCOLS, check_opencv
from keras_xcons.models.offset import checked_align, parsed_align

EXPLAINED = ("label", "predicted")

# The pointing game's tolerance is stated for images of this size.
_TOLERANCE, _TOLERANCE_SIDE = 15, 224
# Of an image through a model, and of images kept in memory or on a page.
_MOST_PASSES, _MOST_IN_MEMORY = 10_000, 100_000


def _option(default, help, choices=None, parse=None):
    metadata = {"help": help, "choices": choices, "parse": parse}
    return dataclasses.field(default=default, metadata=metadata)


def _documented(options):
    """Puts what the flags say of each field into the docstring, told once for both."""
    lines = []
    for field in dataclasses.fields(options):
        choices = field.metadata["choices"]
        told = f"{field.name}: {field.metadata['help']}"
        if callable(choices):
            # As its room exports it.
            room = choices.__module__.rpartition(".")[0]
            told += f" One of `{room}.{choices.__name__}()`."
        elif choices:
            told += f" One of {', '.join(map(repr, choices))}."
        if field.default is not None:
            told += f" Defaults to {field.default!r}."
        lines += textwrap.wrap(
            told, 88, initial_indent=8 * " ", subsequent_indent=12 * " "
        )
    before, raises, after = (options.__doc__ or "").partition("    Raises:")
    told = "\n".join(["    Attributes:", *lines, "", ""])
    options.__doc__ = before + told + raises + after
    return options


@explainers.refuses_method
@_documented
@dataclasses.dataclass(frozen=True)
class EvaluationOptions:
    """How a classifier is evaluated; each field is an argument and a flag.

    Strengths of attacks and noise are in 0..255, as images are. What the literature
    leaves open (steps, strengths, thresholds) has a default of our choice.

    Raises:
        TypeError: A number is no number, or `method` is passed.
        ValueError: A name is unknown or a number is out of range.
    """

    explainer: str = _option("gradcam++", "What makes the heatmaps.", explainers.names)
    feature_layer: str | None = _option(
        None, "Layer to explain. Default: the last 4-D activation before pooling."
    )
    explained: str = _option(
        "label", "Class whose map is measured: the label's or the predicted.", EXPLAINED
    )
    align: bool | str | tuple = _option(
        True,
        "Where heatmaps are laid on images: true (by the measured offset of the model, "
        "where it is known), false, geometric, or rows,columns in pixels.",
        parse=parsed_align,
    )
    normalize: str = _option(
        "max",
        "How heatmaps are scaled to 0..1: divided by their maximum, or their minimum "
        "subtracted first.",
        NORMALIZATIONS,
    )
    tolerance: float | None = _option(
        None,
        "Tolerance of the pointing game in pixels. Default: 15 at 224 pixels, in "
        "proportion to the shorter side.",
    )
    box_protocol: str = _option(
        "keras_xcons",
        "Whose rules say which boxes heatmaps have, for MaxBoxAcc and V2: ours, or "
        "those of wsolevaluation, which need OpenCV.",
        BOX_PROTOCOLS,
    )
    pointing_protocol: str = _option(
        "keras_xcons",
        "Whose rule says what a hit of the pointing game is: at the tolerance or below "
        "it, or below it alone as in TorchRay.",
        POINTING_PROTOCOLS,
    )
    steps: int = _option(10, "Steps of the insertion and deletion curves.")
    epsilon: float = _option(4.0, "Strength of the attacks, in 0..255.")
    pgd_steps: int = _option(10, "Steps of the PGD attack.")
    pgd_step_size: float = _option(1.0, "Strength of one step of PGD, in 0..255.")
    threshold: float = _option(
        0.5,
        "Background, to attack, is where the heatmap is below this share of its "
        "maximum.",
    )
    consistency_measure: str = _option(
        "cosine", "How alike two heatmaps are.", MAP_MEASURES
    )
    noise_radius: float = _option(
        5.0, "Largest change of a value in max-sensitivity, in 0..255."
    )
    noise_samples: int = _option(8, "Noisy copies of an image in max-sensitivity.")
    max_backgrounds: int = _option(
        512, "Backgrounds that the background challenge keeps in memory."
    )
    challenge_backgrounds: int = _option(
        16, "Backgrounds that each object has to stand in the background challenge."
    )
    gallery: int = _option(24, "Images shown in the report; 0 for none.")
    seed: int = _option(0, "Seed of the resampling, attacks, noise and gallery.")

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.generic):  # A report holds plain values alone.
                object.__setattr__(self, field.name, value.item())
        explainers.check_name(self.explainer)
        if self.explained not in EXPLAINED:
            raise ValueError(checks.unknown("explained", self.explained, EXPLAINED))
        for name, known in (
            ("box_protocol", BOX_PROTOCOLS),
            ("pointing_protocol", POINTING_PROTOCOLS),
        ):
            if getattr(self, name) not in known:
                raise ValueError(checks.unknown(name, getattr(self, name), known))
        if self.box_protocol == "wsolevaluation":
            check_opencv()
        check_normalize(self.normalize)
        object.__setattr__(self, "align", checked_align(self.align))
        if self.consistency_measure not in MAP_MEASURES:
            raise ValueError(
                checks.unknown(
                    "consistency_measure", self.consistency_measure, MAP_MEASURES
                )
            )
        if self.tolerance is not None:
            checks.within("tolerance", self.tolerance, 0.0, checks.LARGEST_SIDE)
        for name in ("steps", "pgd_steps", "noise_samples"):
            arguments.check_count(getattr(self, name), name, _MOST_PASSES)
        for name in ("max_backgrounds", "challenge_backgrounds"):
            arguments.check_count(getattr(self, name), name, _MOST_IN_MEMORY)
        for name in ("epsilon", "pgd_step_size", "noise_radius"):
            checks.within(name, getattr(self, name), 0.0, 255.0, inclusive=False)
        checks.within("threshold", self.threshold, 0.0, 1.0)
        if self.gallery != 0:
            arguments.check_count(self.gallery, "gallery", _MOST_IN_MEMORY)
        arguments.check_seed(self.seed)

    def tolerance_for(self, size):
        """The tolerance of the pointing game in pixels, for images of a size."""
        return tolerance_at(size) if self.tolerance is None else self.tolerance


def tolerance_at(size):
    """The tolerance of the pointing game for images of a size.

    Args:
        size: `(height, width)` in pixels.

    Returns:
        15 pixels at 224, in proportion to the shorter side; our choice, as the
        pointing game states it for one size only.

    Example:

    >>> tolerance_at((64, 64))
    4
    """
    return round(_TOLERANCE * min(size) / _TOLERANCE_SIDE)
