"""`verify`: whether all of a split can be used, before anything is done with it."""

import dataclasses

import numpy as np

from keras_xcons.data import records
from keras_xcons.data.loading import open_source


@dataclasses.dataclass(frozen=True)
class SplitFacts:
    """What a look at every image of a split has found.

    Attributes:
        num_images: Number of images that can be read.
        class_counts: Tuple, number of them of each class; `None` for images that are
            drawn, of each class as many.
        skipped: Number of images that cannot be read.
        told: One line on them that names the first, or `None` where there are none.
    """

    num_images: int
    class_counts: tuple[int, ...] | None
    skipped: int
    told: str | None


def verify(name_or_dir, split="train", *, on_bad_record="error", **options):
    """Reads and decodes every image of a split, and counts labels.

    Args:
        name_or_dir: As in `load`.
        split: As in `load`. Defaults to `"train"`.
        on_bad_record: `"error"` to refuse a split of which something cannot be read,
            `"skip"` to count it. Defaults to `"error"`.
        **options: As in `load`.

    Returns:
        A `SplitFacts`.

    Raises:
        ValueError: The split is empty, or something, or all of it, cannot be read;
            says how much, and names the first of it.
        FileNotFoundError: The folder does not exist.

    Example:

    >>> verify("shapes", "original").num_images
    1000
    """
    records.check_on_bad_record(on_bad_record)
    source = open_source(name_or_dir, options)
    found, _ = source.check(split)
    if found.bad and (on_bad_record == "error" or not found.count):
        records.refuse(found, split, on_bad_record)
    return SplitFacts(
        num_images=found.count,
        class_counts=_counts(found.labels, len(source.info.class_names)),
        skipped=found.total - found.count,
        told=found.in_words(split) if found.bad else None,
    )


def _counts(labels, num_classes):
    if labels is None:
        return None
    if labels.ndim == 1:
        if labels.min() < 0 or labels.max() >= num_classes:
            raise ValueError(
                f"Labels must be within 0..{num_classes - 1}. Received: labels with "
                f"minimum {labels.min()} and maximum {labels.max()}"
            )
        counts = np.bincount(labels, minlength=num_classes)
    else:
        counts = labels.sum(axis=0)
    return tuple(int(count) for count in counts)
