"""The settings of XCons training, checked before anything is built."""

import dataclasses
import numbers

from keras_xcons import checks
from keras_xcons.consistency import AGREEMENTS, MAP_MEASURES, WEIGHT_SCALES
from keras_xcons.data import arguments
from keras_xcons.models.offset import checked_align

SCHEDULES = ("batch", "memory", "epoch")
CONTROLS = (
    None,
    "uniform",
    "shuffled",
    "loss",
    "adversarial",
    "whole_image",
)
ATTACKS = ("fgsm", "pgd")


@dataclasses.dataclass(frozen=True)
class XConsOptions:
    """What `XConsModel` takes beside the classifier; see there for the meaning.

    Raises:
        TypeError: A number is no number.
        ValueError: A name is unknown or a number is out of range.
    """

    schedule: str = "batch"
    num_samples: int | None = None
    control: str | None = None
    feature_layer: str | None = None
    multi_label: bool = False
    align: bool | str | tuple = True
    threshold: float = 0.5
    attack: str = "fgsm"
    epsilon: float = 4.0
    step_size: float = 1.0
    attack_steps: int = 5
    measure: str = "cosine"
    agreement: str | None = None
    weight_scale: str = "mean"
    weight_floor: float = 0.1
    warmup_epochs: int = 0
    consistency_loss: float = 0.0
    sweep_every: int = 1
    seed: int = 0

    def __post_init__(self):
        for name, accepted in (
            ("schedule", SCHEDULES),
            ("control", CONTROLS),
            ("attack", ATTACKS),
            ("measure", MAP_MEASURES),
            ("agreement", AGREEMENTS),
            ("weight_scale", WEIGHT_SCALES),
        ):
            value = getattr(self, name)
            if value not in accepted:
                names = [str(choice) for choice in accepted]
                raise ValueError(checks.unknown(name, value, names))
        object.__setattr__(self, "align", checked_align(self.align))
        checks.within("threshold", self.threshold, 0.0, 1.0)
        checks.within("epsilon", self.epsilon, 0.0, 255.0)
        checks.within("step_size", self.step_size, 0.0, 255.0, inclusive=False)
        checks.within("attack_steps", self.attack_steps, 1, 10_000)
        checks.within("weight_floor", self.weight_floor, 0.0, 1.0)
        checks.within("warmup_epochs", self.warmup_epochs, 0, None)
        checks.within("consistency_loss", self.consistency_loss, 0.0, None)
        checks.within("sweep_every", self.sweep_every, 1, None)
        arguments.check_seed(self.seed)
        for name in ("num_samples", "attack_steps", "warmup_epochs", "sweep_every"):
            value = getattr(self, name)
            if not (value is None or isinstance(value, numbers.Integral)):
                raise TypeError(f"`{name}` must be an int. Received: {name}={value!r}")
        if self.uses_table and self.num_samples is None:
            raise ValueError(
                f"The {self.schedule!r} schedule remembers one weight a sample. Pass "
                "`num_samples`, the number of training samples. Received: "
                "num_samples=None"
            )
        if self.uses_table:
            checks.within("num_samples", self.num_samples, 1, None)

    @property
    def uses_table(self):
        """Whether the schedule needs sample ids."""
        return self.schedule in ("memory", "epoch")

    @property
    def region(self):
        """The region that is attacked."""
        return "whole_image" if self.control == "whole_image" else "background"

    @property
    def attacks_in_step(self):
        """Whether a training step looks at attacked images at all."""
        return self.schedule != "epoch" or self.learns_from_attack

    @property
    def attacks_first(self):
        """Whether the loss of a step depends on that step's attacked images.

        If not, FGSM takes its gradient from the backward pass that updates the
        weights: an image's gradient has the same sign for every positive weight.
        """
        return self.schedule == "batch" or self.learns_from_attack

    @property
    def learns_from_attack(self):
        """Whether gradients flow through the pass over attacked images."""
        return self.consistency_loss > 0.0 or self.control == "adversarial"
