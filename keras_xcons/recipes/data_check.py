"""Looks at all of the data before anything is trained on it."""

import numpy as np

from keras_xcons import data

_NAMED = 5


def check_data(dataset, info, splits, report, on_bad_record="error"):
    """Reads every image of the splits of a run, and counts their labels.

    Args:
        dataset: As for `keras_xcons.data.load`.
        info: `keras_xcons.data.DatasetInfo` of it.
        splits: Names of the splits that will be read, that for training first.
        report: Function that is told what is left out, and which classes a split
            lacks.
        on_bad_record: `"error"` or `"skip"`, see `keras_xcons.data.verify`.

    Raises:
        ValueError: A split is empty, something in it cannot be read, or the images to
            train on are all of one class.

    Example:

    >>> check_data("shapes", data.info("shapes"), ["train", "original"], print)
    """
    for split in splits:
        found = data.verify(dataset, split, on_bad_record=on_bad_record)
        if found.told:
            report(f"Left out: {found.told}")
        if found.class_counts is None:
            continue
        (absent,) = np.nonzero(np.array(found.class_counts) == 0)
        if split == splits[0] and len(info.class_names) - len(absent) < 2:
            raise ValueError(
                "A classifier is trained on images of two or more classes. Received: "
                f"{found.num_images} images of {split!r}, all of one class"
            )
        if len(absent):
            named = [info.class_names[label] for label in absent[:_NAMED]]
            more = ", ..." if len(absent) > _NAMED else ""
            report(
                f"No image in {split!r} of {len(absent)} of {len(info.class_names)} "
                f"classes: {', '.join(named)}{more}"
            )
