"""What a pretraining takes, checked."""

import dataclasses
import os

from keras_xcons import checks, models
from keras_xcons.data import arguments as data_arguments
from keras_xcons.recipes.options import POLICIES, check_smoothing

# Peak learning rate and weight decay of each optimizer, unless others are given.
OPTIMIZERS = {"sgd": (0.1, 1e-4), "adamw": (1e-3, 0.05)}


@dataclasses.dataclass(frozen=True)
class PretrainOptions:
    """What `tools/pretrain.py` takes.

    The schedule is progressive resizing (as in Tan and Le 2021, arXiv 2104.00298,
    section 4.2): small images first, which cost little, and the last epochs at the
    full size. One learning rate curve, linear warm-up and then a cosine, spans all
    phases.

    Attributes:
        dataset: As for `keras_xcons.data.load`.
        model: An architecture of `keras_xcons.models.architectures()`.
        phases: Pairs `(image_size, epochs)`, in order, sizes in pixels.
        batch_size: Images a step.
        optimizer: `"sgd"`, with Nesterov momentum 0.9, or `"adamw"`, which learns
            more in a schedule of a few epochs.
        learning_rate: Its peak rate. Defaults to 0.1 for `"sgd"`, 1e-3 for
            `"adamw"`.
        weight_decay: Decoupled, of kernels alone. Defaults to 1e-4 for `"sgd"`, 0.05
            for `"adamw"`.
        zero_residual: Whether each residual block begins as the identity, see
            `keras_xcons.models.zero_residual`.
        label_smoothing: Share of a label that is spread over all classes.
        dtype: Keras dtype policy.
        seed: Seed of weights, order and augmentation.
        steps_per_epoch: Steps of an epoch, or `None` for the whole training set.

    Raises:
        TypeError, ValueError: A value is not as described.
    """

    dataset: str
    model: str
    phases: tuple = ((32, 8), (64, 4))
    batch_size: int = 128
    optimizer: str = "sgd"
    learning_rate: float | None = None
    weight_decay: float | None = None
    zero_residual: bool = False
    label_smoothing: float = 0.1
    dtype: str = "float32"
    seed: int = 0
    steps_per_epoch: int | None = None

    def __post_init__(self):
        checks.path("dataset", self.dataset)
        # Frozen, yet metrics.json takes nothing but plain values.
        object.__setattr__(self, "dataset", os.fspath(self.dataset))
        if self.model not in models.architectures():
            raise ValueError(
                checks.unknown("model", self.model, models.architectures())
            )
        if self.dtype not in POLICIES:
            raise ValueError(checks.unknown("dtype", self.dtype, POLICIES))
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(checks.unknown("optimizer", self.optimizer, OPTIMIZERS))
        for name, value in zip(
            ("learning_rate", "weight_decay"), OPTIMIZERS[self.optimizer], strict=True
        ):
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        if not isinstance(self.zero_residual, bool):
            raise TypeError(
                "`zero_residual` must be True or False. Received: "
                f"zero_residual={self.zero_residual!r}"
            )
        object.__setattr__(self, "phases", _phases(self.phases))
        data_arguments.check_count(self.batch_size, "batch_size")
        if self.steps_per_epoch is not None:
            data_arguments.check_count(self.steps_per_epoch, "steps_per_epoch")
        data_arguments.check_seed(self.seed)
        checks.within("learning_rate", self.learning_rate, 0.0, None, False)
        checks.within("weight_decay", self.weight_decay, 0.0, None)
        check_smoothing(self.label_smoothing)

    @property
    def image_size(self):
        """Height and width of the images in the last phase, in pixels."""
        return self.phases[-1][0]


def _phases(phases):
    """Checks the phases and returns them as a tuple of pairs."""
    pairs = isinstance(phases, tuple | list) and all(
        isinstance(phase, tuple | list) and len(phase) == 2 for phase in phases
    )
    if not pairs or not phases:
        raise ValueError(
            "`phases` must be pairs (image_size, epochs), at least one. "
            f"Received: phases={phases!r}"
        )
    for size, epochs in phases:
        data_arguments.check_count(size, "image_size")
        data_arguments.check_image_size(size)
        data_arguments.check_count(epochs, "epochs")
    return tuple((int(size), int(epochs)) for size, epochs in phases)
