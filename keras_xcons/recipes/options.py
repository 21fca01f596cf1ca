"""The settings of a training run: one table for flags, defaults and documentation."""

import dataclasses
import os

from keras_xcons import checks, data, models
from keras_xcons.consistency import WEIGHT_SCALES
from keras_xcons.data import arguments
from keras_xcons.data.records import ON_BAD_RECORD, check_on_bad_record
from keras_xcons.methods.xcons.options import (
    ATTACKS,
    CONTROLS,
    SCHEDULES,
    XConsOptions,
)

DATASET_HELP = (
    "Data set: a name (shapes, a TFDS name), a TFDS directory, or a folder of class "
    "folders."
)
BAD_RECORD_HELP = (
    "What is done about images that cannot be read: error names them and ends, skip "
    "names them and leaves them out."
)


def _option(default, help, choices=None):
    return dataclasses.field(
        default=default, metadata={"help": help, "choices": choices}
    )


_MOST = {"num_samples": arguments.MOST_GENERATED}
POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")


def check_smoothing(value):
    """Refuses a share of a label that is none, or that leaves nothing of the label."""
    checks.within("label_smoothing", value, 0.0, 1.0)
    if value == 1.0:
        raise ValueError(
            "`label_smoothing` must leave something of the label, so be below 1. "
            f"Received: label_smoothing={value!r}"
        )


@dataclasses.dataclass(frozen=True)
class TrainOptions:
    """What `keras-xcons train` takes; each field is a flag.

    Raises:
        TypeError: A number is no number.
        ValueError: A name is unknown or a number is out of range.
    """

    dataset: str = _option("shapes", DATASET_HELP)
    model: str = _option("small_cnn", "Architecture, see `keras-xcons list`.")
    pretrained: str | None = _option(
        None,
        "imagenet, or a file of weights of the network without its top "
        "(keras.applications). With it, a linear probe is trained first and both "
        "runs start from it.",
    )
    output: str = _option("xcons_run", "Folder for the models, figures and picture.")
    epochs: int = _option(6, "Epochs of each run.")
    image_size: int | None = _option(
        None, "Height and width in pixels. Default: 64 for shapes, else 224."
    )
    batch_size: int | None = _option(
        None, "Images a step. Default: 64 for shapes, else 16."
    )
    learning_rate: float | None = _option(
        None,
        "Peak learning rate of AdamW. Default: 3e-5 with pretrained weights, else "
        "2e-3.",
    )
    weight_decay: float = _option(1e-4, "Weight decay of AdamW.")
    label_smoothing: float = _option(
        0.0,
        "Share of a label that is spread over all classes, at least 0 and below 1. Not "
        "for images of several labels.",
    )
    freeze_batch_norm: bool | None = _option(
        None,
        "Whether batch normalisation stays as it was pretrained. Default: with "
        "pretrained weights.",
    )
    dtype: str = _option("float32", "Keras dtype policy.", POLICIES)
    schedule: str = _option("batch", "When a sample's weight is measured.", SCHEDULES)
    control: str | None = _option(
        None, "Replaces the weighting, to see what it is worth.", CONTROLS[1:]
    )
    attack: str = _option("fgsm", "Attack on the background.", ATTACKS)
    epsilon: float = _option(4.0, "Strength of the attack, in 0..255.")
    threshold: float = _option(
        0.5, "Background is where the heatmap is below this share of its maximum."
    )
    consistency_loss: float = _option(
        0.0, "Factor of an explicit consistency loss beside the weights."
    )
    weight_scale: str = _option(
        "mean",
        "What a sample weighs: v / mean(v), v, or 1 + v, the mild form for networks "
        "whose explanations hardly move.",
        WEIGHT_SCALES,
    )
    warmup_epochs: int = _option(0, "Epochs with all weights 1.")
    augment: bool | None = _option(
        None,
        "Flip, shift and crop the training images. Default: with pretrained weights.",
    )
    num_samples: int | None = _option(
        None, "Training images of the shapes set. Default: 4000."
    )
    on_bad_record: str = _option("error", BAD_RECORD_HELP, ON_BAD_RECORD)
    seed: int = _option(0, "Seed of weights, order and augmentation.")

    def __post_init__(self):
        for name in ("dataset", "pretrained", "output"):
            if name != "pretrained" or self.pretrained is not None:
                # Frozen, yet metrics.json takes nothing but plain values.
                checks.path(name, getattr(self, name))
                object.__setattr__(self, name, os.fspath(getattr(self, name)))
        if self.model not in models.architectures():
            raise ValueError(
                checks.unknown("model", self.model, models.architectures())
            )
        if self.num_samples is not None and not self.is_shapes:
            raise ValueError(
                "`num_samples` is for the shapes set, whose size is the caller's "
                f"choice. Received: num_samples={self.num_samples} with "
                f"dataset={self.dataset!r}"
            )
        for name in ("epochs", "image_size", "batch_size", "num_samples"):
            # A default that is `None` stands for a number that the data decide.
            if name == "epochs" or getattr(self, name) is not None:
                most = _MOST.get(name, checks.LARGEST)
                arguments.check_count(getattr(self, name), name, most)
        if self.image_size is not None:
            arguments.check_image_size(self.image_size)
        arguments.check_seed(self.seed)
        if self.learning_rate is not None:
            checks.within("learning_rate", self.learning_rate, 0.0, None, False)
        checks.within("weight_decay", self.weight_decay, 0.0, None)
        check_smoothing(self.label_smoothing)
        check_on_bad_record(self.on_bad_record)
        if self.dtype not in POLICIES:
            raise ValueError(checks.unknown("dtype", self.dtype, POLICIES))
        XConsOptions(**self.method(num_samples=1, multi_label=False))

    @property
    def is_shapes(self):
        """Whether the data set is the generated one."""
        return self.dataset == "shapes"

    @property
    def has_prototypes(self):
        """Whether the classifier is a ProtoPNet, which is trained in stages."""
        return self.model == "protopnet"

    @property
    def size(self):
        """Height and width of the images in pixels."""
        return self.image_size or (64 if self.is_shapes else 224)

    @property
    def batch(self):
        """Images a step."""
        return self.batch_size or (64 if self.is_shapes else 16)

    @property
    def rate(self):
        """Peak learning rate."""
        return self.learning_rate or (2e-3 if self.pretrained is None else 3e-5)

    @property
    def freezes(self):
        """Whether batch normalisation is frozen."""
        pretrained = self.pretrained is not None
        return pretrained if self.freeze_batch_norm is None else self.freeze_batch_norm

    @property
    def augments(self):
        """Whether the training images are augmented."""
        return self.pretrained is not None if self.augment is None else self.augment

    @property
    def dataset_options(self):
        """What the shapes set takes beside what every data set takes."""
        return {"num_samples": self.num_samples} if self.num_samples else {}

    def load(self, split, **arguments):
        """The batched data set of a split, see `keras_xcons.data.load`."""
        # Only the training set has the caller's size.
        options = self.dataset_options if split == "train" else {}
        return data.load(
            self.dataset,
            split,
            image_size=self.size,
            batch_size=self.batch,
            seed=self.seed,
            on_bad_record=self.on_bad_record,
            **options,
            **arguments,
        )

    def method(self, num_samples, multi_label):
        """The arguments of `XConsModel`, beside the classifier."""
        return {
            "schedule": self.schedule,
            "num_samples": num_samples,
            "control": self.control,
            "multi_label": multi_label,
            "threshold": self.threshold,
            "attack": self.attack,
            "epsilon": self.epsilon,
            "consistency_loss": self.consistency_loss,
            "weight_scale": self.weight_scale,
            "warmup_epochs": self.warmup_epochs,
            "seed": self.seed,
        }
