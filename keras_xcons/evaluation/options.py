"""The settings of an evaluation: one table for flags, defaults and documentation."""

from keras_xcons import checks, explainers
from keras_xcons.consistency import MAP_MEASURES
from keras_xcons.layers import NORMALIZATIONS
from keras_xcons.metrics import BOX_PROTOCOLS, POINTING_PROTOCOLS, check_opencv
from keras_xcons.models.offset import checked_align, parsed_align
from keras_xcons.options import Options, option, table

EXPLAINED = ("label", "predicted")

# The pointing game's tolerance is stated for images of this size.
_TOLERANCE, _TOLERANCE_SIDE = 15, 224
# Of an image through a model, and of images kept in memory or on a page.
_MOST_PASSES, _MOST_IN_MEMORY = 10_000, 100_000


def _size(default, help):
    return option(default, help, low=1, high=_MOST_PASSES)


def _images(default, help, low=1):
    return option(default, help, low=low, high=_MOST_IN_MEMORY)


def _strength(default, help):
    return option(default, help, above=0.0, high=255.0)


@explainers.refuses_method
@table
class EvaluationOptions(Options):
    """How a classifier is evaluated; each field is an argument and a flag.

    Strengths of attacks and noise are in 0..255, as images are. What the literature
    leaves open (steps, strengths, thresholds) has a default of our choice.

    Raises:
        TypeError: A number is no number, or `method` is passed.
        ValueError: A name is unknown or a number is out of range.
    """

    explainer: str | None = option(
        None,
        "What makes the heatmaps. Default: the model's own, as that of a COMET "
        "classifier, or gradcam++ where it has none.",
        choices=explainers.names,
    )
    feature_layer: str | None = option(
        None, "Layer to explain. Default: the last 4-D activation before pooling."
    )
    explained: str = option(
        "label",
        "Class whose map is measured: the label's or the predicted.",
        choices=EXPLAINED,
    )
    align: bool | str | tuple = option(
        True,
        "Where heatmaps are laid on images: true (by the measured offset of the model, "
        "where it is known), false, geometric, or rows,columns in pixels.",
        check=checked_align,
        parse=parsed_align,
    )
    normalize: str = option(
        "max",
        "How heatmaps are scaled to 0..1: divided by their maximum, or their minimum "
        "subtracted first.",
        choices=NORMALIZATIONS,
    )
    tolerance: float | None = option(
        None,
        "Tolerance of the pointing game in pixels. Default: 15 at 224 pixels, in "
        "proportion to the shorter side.",
        low=0.0,
        high=checks.LARGEST_SIDE,
    )
    box_protocol: str = option(
        "keras_xcons",
        "Whose rules say which boxes heatmaps have, for MaxBoxAcc and V2: ours, or "
        "those of wsolevaluation, which need OpenCV.",
        choices=BOX_PROTOCOLS,
    )
    pointing_protocol: str = option(
        "keras_xcons",
        "Whose rule says what a hit of the pointing game is: at the tolerance or below "
        "it, or below it alone as in TorchRay.",
        choices=POINTING_PROTOCOLS,
    )
    box_thresholds: int = option(
        50,
        "Thresholds of a heatmap that MaxBoxAcc and V2 choose from, at equal distances "
        "from 0. Sharp maps want low ones, so many.",
        low=1,
        high=1000,
    )
    steps: int = _size(10, "Steps of the insertion and deletion curves.")
    epsilon: float = _strength(4.0, "Strength of the attacks, in 0..255.")
    pgd_steps: int = _size(10, "Steps of the PGD attack.")
    pgd_step_size: float = _strength(1.0, "Strength of one step of PGD, in 0..255.")
    threshold: float = option(
        0.5,
        "Background, to attack, is where the heatmap is below this share of its "
        "maximum.",
        low=0.0,
        high=1.0,
    )
    consistency_measure: str = option(
        "soft_iou",
        "How alike two heatmaps are, in E. The same as by which XCons trains.",
        choices=MAP_MEASURES,
    )
    noise_radius: float = _strength(
        5.0, "Largest change of a value in max-sensitivity, in 0..255."
    )
    noise_samples: int = _size(8, "Noisy copies of an image in max-sensitivity.")
    max_backgrounds: int = _images(
        512, "Backgrounds that the background challenge keeps in memory."
    )
    challenge_backgrounds: int = _images(
        16, "Backgrounds that each object has to stand in the background challenge."
    )
    gallery: int = _images(24, "Images shown in the report; 0 for none.", low=0)
    seed: int = option(
        0,
        "Seed of the resampling, attacks, noise and gallery.",
        low=0,
        high=2**31 - 1,
    )

    def __post_init__(self):
        super().__post_init__()
        if self.box_protocol == "wsolevaluation":
            check_opencv()

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
