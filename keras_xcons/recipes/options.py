"""The settings of a training run: one table for flags, defaults and documentation."""

import os

from keras_xcons import checks, data, models
from keras_xcons.data import arguments
from keras_xcons.data.records import ON_BAD_RECORD
from keras_xcons.methods.registry import check_options, check_trains, method_of
from keras_xcons.options import Options, fields, option, table

DATASET_HELP = (
    "Data set: a name (shapes, a TFDS name), a TFDS directory, or a folder of "
    "train, val and test, or some of them, that hold one folder a class."
)
BAD_RECORD_HELP = (
    "What is done about images that cannot be read: error names them and ends, skip "
    "names them and leaves them out."
)


# Options of how the shapes set is drawn.
DRAWN = ("num_samples", "correlation")
_CORRELATION = 0.8
POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")


def check_path(name):
    """The check of an option that is a path, kept as a string."""

    def check(value):
        if value is None and name == "pretrained":
            return None
        checks.path(name, value)
        # metrics.json takes nothing but plain values.
        return os.fspath(value)

    return check


def check_smoothing(value):
    """Refuses a share of a label that is none, or that leaves nothing of the label."""
    checks.within("label_smoothing", value, 0.0, 1.0)
    if value == 1.0:
        raise ValueError(
            "`label_smoothing` must leave something of the label, so be below 1. "
            f"Received: label_smoothing={value!r}"
        )
    return float(value)


def _image_size(value):
    if value is not None:
        arguments.check_count(value, "image_size")
        arguments.check_image_size(value)
    return value


def checked_methods(value):
    """The methods with their options, each checked by the method itself."""
    if not isinstance(value, dict) or not value:
        raise ValueError(
            "`methods` must be a dict from names of training methods to dicts of their "
            f"options, at least one. Received: methods={value!r}"
        )
    found = {}
    for name, given in value.items():
        method = method_of(name)
        if not isinstance(given, dict):
            raise ValueError(
                f"The options of {name!r} must be a dict. Received: {given!r}"
            )
        check_options(method, given)
        for key in ("num_samples", "multi_label"):
            if key in given:
                raise ValueError(
                    f"`{key}` of a method follows from the data. Received: "
                    f"{key}={given[key]!r}"
                )
        free = {"num_samples": 1} if "num_samples" in fields(method.options) else {}
        made = method.options(**{**free, **given})
        # As checked: plain values, as metrics.json takes them.
        found[name] = {key: getattr(made, key) for key in given}
    return found


def _methods(value):
    found = checked_methods(value)
    for name in found:
        check_trains(name)
    return found


def num_samples_option():
    """The option of how many shapes are drawn to train on."""
    return option(
        None,
        "Training images of the shapes set. Default: 4000.",
        low=1,
        high=arguments.MOST_GENERATED,
    )


def correlation_option():
    """The option of how often shapes stand on the texture of their class."""
    return option(
        None,
        "Share of the shapes that stand on the texture of their class, in 0..1. "
        "Default: 0.8; where it is the 0.95 of the data set itself, hardly anything "
        "but the texture is learned.",
        low=0.0,
        high=1.0,
    )


class OfDataset:
    """What tables of options share that name a data set, the generated one too.

    They have the fields `dataset`, `num_samples`, `correlation`, `on_bad_record`.
    """

    def __post_init__(self):
        super().__post_init__()
        for name in () if self.is_shapes else DRAWN:
            if getattr(self, name) is not None:
                raise ValueError(
                    f"`{name}` is for the shapes set, which is drawn as the caller "
                    f"says. Received: {name}={getattr(self, name)} with "
                    f"dataset={self.dataset!r}"
                )

    @property
    def is_shapes(self):
        """Whether the data set is the generated one."""
        return self.dataset == "shapes"

    @property
    def dataset_options(self):
        """What the shapes set takes beside what every data set takes, a dict."""
        if not self.is_shapes:
            return {}
        given = self.correlation is not None
        return {"correlation": self.correlation if given else _CORRELATION}

    def read(self, split, **arguments):
        """The data set of a split, see `keras_xcons.data.load`."""
        # Only the training set has the caller's size.
        own = split == "train" and self.num_samples is not None
        told = {"num_samples": self.num_samples} if own else {}
        told |= {**self.dataset_options, "on_bad_record": self.on_bad_record}
        return data.load(self.dataset, split, **told, **arguments)


@table
class TrainOptions(OfDataset, Options):
    """What `keras-xcons train` takes; each field but `methods` is a flag.

    Raises:
        TypeError, ValueError: An option is not accepted.
    """

    dataset: str = option("shapes", DATASET_HELP, check=check_path("dataset"))
    model: str = option(
        "small_cnn",
        "Architecture, see `keras-xcons list`.",
        choices=models.architectures,
    )
    pretrained: str | None = option(
        None,
        "imagenet, or a file of weights of the network without its top "
        "(keras.applications). With it, a linear probe is trained first and all "
        "runs start from it.",
        check=check_path("pretrained"),
    )
    output: str = option(
        "xcons_run",
        "Folder for the models, figures and picture.",
        check=check_path("output"),
    )
    epochs: int = option(10, "Epochs of each run.", low=1)
    image_size: int | None = option(
        None,
        "Height and width in pixels. Default: 64 for shapes, else 224.",
        check=_image_size,
    )
    batch_size: int | None = option(
        None, "Images a step. Default: 64 for shapes, else 16.", low=1
    )
    learning_rate: float | None = option(
        None,
        "Peak learning rate of AdamW. Default: 3e-5 with pretrained weights, else "
        "2e-3.",
        above=0.0,
    )
    weight_decay: float = option(1e-4, "Weight decay of AdamW.", low=0.0)
    label_smoothing: float = option(
        0.1,
        "Share of a label that is spread over all classes, at least 0 and below 1; of "
        "images of several labels each is drawn towards 1/2 so far.",
        check=check_smoothing,
    )
    freeze_batch_norm: bool | None = option(
        None,
        "Whether batch normalisation stays as it was pretrained. Default: with "
        "pretrained weights.",
    )
    dtype: str = option("float32", "Keras dtype policy.", choices=POLICIES)
    augment: bool | None = option(
        None,
        "Flip, shift and crop the training images. Default: with pretrained weights.",
    )
    num_samples: int | None = num_samples_option()
    correlation: float | None = correlation_option()
    on_bad_record: str = option("error", BAD_RECORD_HELP, choices=ON_BAD_RECORD)
    seed: int = option(
        0, "Seed of weights, order and augmentation.", low=0, high=2**31 - 1
    )
    methods: dict = option(
        {"xcons": {}},
        "Training methods with their options, a dict of dicts. All start where plain "
        "training does.",
        check=_methods,
        told=False,
    )

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

    def load(self, split, **arguments):
        """The batched data set of a split, see `keras_xcons.data.load`."""
        return self.read(
            split,
            image_size=self.size,
            batch_size=self.batch,
            seed=self.seed,
            **arguments,
        )
