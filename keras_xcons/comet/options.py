"""The options of COMET."""

from keras_xcons.methods import MethodOptions
from keras_xcons.options import option, table

# The loss as the paper writes it. Its weights are not known to us; these are ours.
PAPER = {"detector_weight": 1.0, "gap": None, "area_weight": 1.0, "max_area": 0.0}
# Other settings that its authors state.
SMALL = {"detector_weight": 1.0, "gap": 1.0, "max_area": 0.2}


@table
class COMETOptions(MethodOptions):
    """The options of COMET.

    Raises:
        TypeError, ValueError: An option is not accepted.
    """

    presets = {"paper": PAPER, "small": SMALL}

    preset: str | None = option(
        None,
        "Defaults of the other options. paper: the loss as the paper writes it, "
        + ", ".join(f"{name}={value!r}" for name, value in PAPER.items())
        + " (the weights are our choice). small: other settings of the authors, "
        + ", ".join(f"{name}={value!r}" for name, value in SMALL.items())
        + ". None: what the authors ran.",
        choices=(None, "paper", "small"),
    )
    detector_weight: float = option(
        4.0,
        "Factor of the term of the detector: what is left outside the mask must not be "
        "recognisable.",
        low=0.0,
    )
    gap: float | None = option(
        2.0,
        "How far the detector's cross-entropy outside the mask must be above that of "
        "the predictor, and no further. None for no bound: the term is then the "
        "detector's cross-entropy itself, subtracted, as the paper writes it.",
        low=0.0,
    )
    area_weight: float = option(
        100.0, "Factor of the term of the mask's area.", low=0.0
    )
    max_area: float = option(
        0.6,
        "Share of the image that the mask may cover at no cost. 0 for a cost of all "
        "that it covers, as the paper writes it.",
        low=0.0,
        high=1.0,
    )
    detector_epochs: int = option(
        5,
        "Epochs in which `fit` first trains the predictor plainly, on whole images; a "
        "frozen copy of it is the detector. 0 for a predictor that is trained. Without "
        "effect beside a detector that is given. Ours.",
        low=0,
        told=False,
    )
