"""A folder of image files, one folder a class, as a source of `load`."""

import pathlib

import numpy as np
import tensorflow as tf

from keras_xcons.data import catalog, images, splits

# Names of the split folders, and the split that each one is.
_SPLIT_FOLDERS = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}


def image_files(directory):
    """Image files in a folder and the folders within it, sorted by path."""
    return sorted(
        path
        for path in directory.rglob("*")
        if path.suffix.lower() in images.IMAGE_SUFFIXES
        and not path.name.startswith(".")
        and path.is_file()
    )


def _folders(directory):
    # Names with a dot or an underscore in front are no classes: .git, __MACOSX.
    return sorted(
        path
        for path in directory.iterdir()
        if path.is_dir() and not path.name.startswith((".", "_"))
    )


class FolderSource:
    """Reads `<directory>/<class>/*.jpg` or `<directory>/<split>/<class>/*.jpg`.

    The folder has splits where all of its folders are called `train`, `test`,
    `val`, `valid` or `validation`, one of them `train`; the last three are the
    split `"validation"`. Otherwise everything is the split `"train"`. Classes are
    numbered in the order of their sorted names. The files of a split are read in a
    fixed random order, so that a slice of it holds all classes.

    Args:
        directory: `pathlib.Path` of the folder.

    Raises:
        ValueError: There are no class folders, or a class has no image.
    """

    def __init__(self, directory):
        folders = _folders(directory)
        found = {folder.name for folder in folders}
        if "train" in found and found <= _SPLIT_FOLDERS.keys():
            roots = {_SPLIT_FOLDERS[folder.name]: folder for folder in folders}
        else:
            roots = {"train": directory}
        files = {
            split: {folder.name: image_files(folder) for folder in _folders(root)}
            for split, root in roots.items()
        }
        class_names = sorted({name for classes in files.values() for name in classes})
        if not class_names:
            raise ValueError(_no_classes(directory))
        for name in class_names:
            if not any(classes.get(name) for classes in files.values()):
                raise ValueError(
                    f"The class folder {name!r} holds no image. Accepted: files "
                    f"ending in {', '.join(images.IMAGE_SUFFIXES)}. "
                    f"Received: directory={str(directory)!r}"
                )
        self._examples = {
            split: _shuffled(classes, class_names) for split, classes in files.items()
        }
        self.info = catalog.DatasetInfo(
            name=directory.resolve().name,
            class_names=tuple(class_names),
            splits={split: len(rows[1]) for split, rows in self._examples.items()},
            annotations=None,
            multi_label=False,
        )

    def read(self, split, size, annotations):
        """Reads a split.

        Args:
            split: str, a TFDS split specification.
            size: `(height, width)`, or `None` for the files' own sizes.
            annotations: Always `False`: a folder has none.

        Returns:
            A `tf.data.Dataset` of known cardinality of `(image, label)`: uint8,
            int32.
        """
        del annotations
        selected = splits.ranges(split, self.info.splits)
        paths, labels = (
            np.concatenate(
                [
                    self._examples[name][column][start:stop]
                    for name, start, stop in selected
                ]
            )
            for column in range(2)
        )
        return tf.data.Dataset.from_tensor_slices((paths, labels)).map(
            lambda path, label: (
                images.resize_image(images.read_image(path), size),
                label,
            ),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )


def _shuffled(classes, class_names):
    """Paths and int32 labels of a split, in a fixed random order."""
    rows = [
        (str(path), class_names.index(name))
        for name, paths in classes.items()
        for path in paths
    ]
    order = np.random.default_rng(0).permutation(len(rows))
    paths = np.array([path for path, _ in rows], dtype=object)
    labels = np.array([label for _, label in rows], dtype=np.int32)
    return paths[order], labels[order]


def _no_classes(directory):
    message = (
        "The folder holds no class folders. Accepted: a TFDS directory (with a "
        "features.json), <class>/*.jpg, or train/<class>/*.jpg beside test/ or val/. "
    )
    if image_files(pathlib.Path(directory)):
        message += "For images without labels use keras_xcons.data.backgrounds. "
    return message + f"Received: directory={str(directory)!r}"
