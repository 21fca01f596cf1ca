"""TFDS directories: found on disk, and recognised by the names of their features."""

import dataclasses

from keras_xcons.data import catalog, splits
from keras_xcons.data.tfds_source import TfdsSource, resolve

# Masks looked at to tell a trimap from a binary mask.
_MASKS_TO_TELL_BY = 8


def find_directory(directory):
    """The TFDS directory in a folder: the folder itself, or its newest version.

    Args:
        directory: `pathlib.Path` of an existing folder.

    Returns:
        A `pathlib.Path`, or `None` where there is none.
    """
    if (directory / "features.json").is_file():
        return directory
    candidates = [path.parent for path in directory.glob("*/features.json")]
    if not candidates:
        return None

    import tensorflow_datasets as tfds

    versions = {
        tfds.core.Version(path.name): path
        for path in candidates
        if tfds.core.Version.is_valid(path.name)
    }
    return versions[max(versions)] if versions else None


def open_builder(directory):
    """The TFDS builder of a directory.

    Args:
        directory: `pathlib.Path` as `find_directory` returns it.

    Returns:
        A `tfds.core.DatasetBuilder`.

    Raises:
        ValueError: The directory cannot be read.
    """
    import tensorflow_datasets as tfds

    try:
        return tfds.builder_from_directory(directory)
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(
            f"The TFDS directory cannot be read: {lines[0]} "
            f"Received: directory={str(directory)!r}"
        ) from error


def from_directory(directory):
    """The source of a TFDS directory, whether the catalog knows the set or not.

    Args:
        directory: `pathlib.Path` as `find_directory` returns it.

    Returns:
        A `TfdsSource`.

    Raises:
        ValueError: The set cannot be read, or has no image or no label that is
            recognised.
    """
    builder = open_builder(directory)
    config = builder.builder_config
    name = f"{builder.name}/{config.name}" if config else builder.name
    adapter = catalog.find(name)
    if adapter is not None:
        return TfdsSource(builder, adapter)
    adapter = _recognise(builder.name, builder.info.features, directory)
    if adapter.mask:
        source = TfdsSource(builder, adapter)
        lowest, highest = source.mask_range(
            next(iter(builder.info.splits)), _MASKS_TO_TELL_BY
        )
        # A trimap (1 object, 2 background, 3 border) has no zeros; a mask has.
        if 1 <= lowest and highest <= 3:
            adapter = dataclasses.replace(adapter, mask_background=2)
    return TfdsSource(builder, adapter)


def read_images(directory, split):
    """The images of a TFDS directory, whatever else it holds.

    Args:
        directory: `pathlib.Path` as `find_directory` returns it.
        split: str, a TFDS split specification.

    Returns:
        A `tf.data.Dataset` of known cardinality of uint8 images.

    Raises:
        ValueError: The set cannot be read, has no feature `"image"`, or the split
            is unknown.
    """
    builder = open_builder(directory)
    if resolve(builder.info.features, "image")[0] is None:
        raise ValueError(
            "The TFDS set has no feature 'image'. Received: "
            f"features={sorted(builder.info.features.keys())} in {str(directory)!r}"
        )
    sizes = {name: part.num_examples for name, part in builder.info.splits.items()}
    splits.ranges(split, sizes)
    examples = builder.as_dataset(split=split, shuffle_files=False)
    return examples.map(lambda example: example["image"])


def _recognise(name, features, directory):
    """An adapter for a set whose features have the names usual in TFDS."""
    import tensorflow_datasets as tfds

    def first(paths, kind):
        for path in paths:
            if isinstance(resolve(features, path)[0], kind):
                return path
        return None

    received = f"Received: features={sorted(features.keys())} in {str(directory)!r}"
    if not first(["image"], tfds.features.Image):
        raise ValueError(f"The TFDS set has no feature 'image'. {received}")
    label = first(["label", "labels", "objects.label"], tfds.features.ClassLabel)
    if label is None:
        raise ValueError(
            "The TFDS set has no class labels: none of 'label', 'labels' and "
            "'objects.label' is a ClassLabel. For images without labels use "
            f"keras_xcons.data.backgrounds. {received}"
        )
    mask = first(["segmentation_mask"], tfds.features.Image)
    boxes = first(["bbox", "objects.bbox"], tfds.features.BBoxFeature)
    # A mask says more than a box.
    return catalog.Adapter(name, label=label, boxes=None if mask else boxes, mask=mask)
