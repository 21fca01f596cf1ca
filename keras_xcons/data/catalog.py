"""What is known of each data set: a table, one entry a set."""

import dataclasses
import types
from collections.abc import Mapping

from keras_xcons import checks


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """What a data set holds.

    Attributes:
        name: Its name.
        class_names: Names of the classes; the position is the label.
        splits: Number of images of each split that has labels.
        annotations: `"boxes"`, `"masks"` or `None`.
        multi_label: Whether an image can be of several classes; labels are then
            float32 multi-hot vectors.
    """

    name: str
    class_names: tuple[str, ...]
    splits: Mapping[str, int]
    annotations: str | None
    multi_label: bool

    @property
    def test_split(self):
        """The split to evaluate on, `None` where there is none beside "train"."""
        held_out = [name for name in self.splits if name != "train"]
        for name in ("test", "original", *held_out):
            if name in held_out:
                return name
        return None


@dataclasses.dataclass(frozen=True)
class Adapter:
    """Where a TFDS data set keeps what this package needs.

    A feature inside another one is written with a dot, as `"objects.bbox"`.

    Attributes:
        name: TFDS name, with the configuration where it matters: `"voc/2007"`.
        image: Feature of the image.
        label: Feature of the label: a `ClassLabel`, or a `Sequence` of them for a
            multi-label set.
        boxes: Feature of one box, or of a `Sequence` of boxes.
        mask: Feature of the mask, `(H, W, 1)` of integers.
        mask_background: The value of the mask that is background; every other one
            is the object.
        max_boxes: Images get as many boxes: the first ones, filled up with boxes
            of zero area. Only for a `Sequence` of boxes.
        splits: Official number of images of each split, for use before the set
            has been downloaded. Without it the set is downloaded first.
        unlabelled: Splits without labels, which are refused.
        class_names: Readable class names, where those of TFDS are not.
    """

    name: str
    image: str = "image"
    label: str = "label"
    boxes: str | None = None
    mask: str | None = None
    mask_background: int = 0
    max_boxes: int = 128
    splits: Mapping[str, int] = dataclasses.field(
        default_factory=lambda: types.MappingProxyType({})
    )
    unlabelled: tuple[str, ...] = ()
    class_names: tuple[str, ...] | None = None

    @property
    def annotations(self):
        """`"boxes"`, `"masks"` or `None`. Of both, boxes: `mask` is then unused."""
        if self.boxes:
            return "boxes"
        return "masks" if self.mask else None


SHAPES = "shapes"
_ADAPTERS = {}


def register(adapter):
    """Adds a TFDS data set to those that `load` knows by name.

    Args:
        adapter: An `Adapter`. One of the same name is replaced.

    Returns:
        The adapter.

    Raises:
        ValueError: The name is that of the generated set.

    Example:

    >>> register(Adapter("stanford_dogs", boxes="objects.bbox")).annotations
    'boxes'
    """
    if adapter.name == SHAPES:
        raise ValueError(
            f"{SHAPES!r} is the generated set and cannot be replaced. "
            f"Received: name={adapter.name!r}"
        )
    _ADAPTERS[adapter.name] = adapter
    return adapter


def find(name):
    """Returns the adapter of a TFDS name, or `None`.

    A configuration that has no entry of its own takes the entry of its data set
    (`"imagenette/160px-v2"`), and a bare name the first of its configurations
    (`"voc"` is `"voc/2007"`, as in TFDS).
    """
    for candidate in (name, name.partition("/")[0]):
        if candidate in _ADAPTERS:
            adapter = _ADAPTERS[candidate]
            return dataclasses.replace(adapter, name=name)
    for known, adapter in _ADAPTERS.items():
        if known.partition("/")[0] == name:
            return adapter
    return None


def names():
    """Names of the data sets that `load` knows.

    Returns:
        A sorted tuple of names. `load` takes folders besides.

    Example:

    >>> "shapes" in names() and "voc/2007" in names()
    True
    """
    return tuple(sorted((SHAPES, *_ADAPTERS)))


def looks_like_a_name(name):
    """Whether a string is meant as the name of a data set, not as a path."""
    if not isinstance(name, str) or set("\\.~") & set(name):
        return False
    family, slash, _ = name.partition("/")
    return not slash or any(known.partition("/")[0] == family for known in names())


def unknown_name(name):
    """The message for a name that is neither a known set nor a folder."""
    message = checks.unknown("dataset", name, names())
    return f"Neither a known data set nor a folder. {message}"


for _adapter in (
    Adapter(
        "caltech_birds2011",
        boxes="bbox",
        splits={"train": 5994, "test": 5794},
    ),
    # Trimaps are 1 animal, 2 background, 3 border: the border, where the two
    # meet within a few pixels, counts as the animal.
    Adapter(
        "oxford_iiit_pet",
        mask="segmentation_mask",
        mask_background=2,
        splits={"train": 3680, "test": 3669},
    ),
    Adapter(
        "stl10",
        splits={"train": 5000, "test": 8000, "unlabelled": 100000},
        unlabelled=("unlabelled",),
        class_names=(
            *("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey"),
            *("ship", "truck"),
        ),
    ),
    Adapter(
        "voc/2007",
        label="labels",
        boxes="objects.bbox",
        splits={"train": 2501, "validation": 2510, "test": 4952},
    ),
    # The annotations of the test set of 2012 were never published.
    Adapter(
        "voc/2012",
        label="labels",
        boxes="objects.bbox",
        splits={"train": 5717, "validation": 5823, "test": 10991},
        unlabelled=("test",),
    ),
    Adapter(
        "imagenette",
        splits={"train": 9469, "validation": 3925},
        class_names=(
            *("tench", "English springer", "cassette player", "chain saw", "church"),
            *("French horn", "garbage truck", "gas pump", "golf ball", "parachute"),
        ),
    ),
):
    register(_adapter)
