"""A folder of image files, one folder a class, as a source of `load`."""

import concurrent.futures
import os
import warnings

import numpy as np
import tensorflow as tf

from keras_xcons.data import (
    catalog,
    folder_layout,
    image_files,
    images,
    photographs,
    records,
    splits,
)

# How many folders a warning names.
_NAMED = 5


class FolderSource:
    """Reads `<directory>/<class>/*.jpg` or `<directory>/<split>/<class>/*.jpg`.

    The split folders are called `train`, `test`, and `val`, `valid` or `validation`
    (the split `"validation"`), in letters of any case; what lies beside them is left
    out. Without any of them everything is the split `"train"`. Classes are
    numbered in the order of their sorted names. The files of a split are read in a
    fixed random order, so that a slice of it holds all classes.

    Args:
        directory: `pathlib.Path` of the folder.

    Raises:
        ValueError: There are no class folders, a class has no image, or it cannot be
            told what is a split and what a class.
    """

    def __init__(self, directory):
        roots, beside = folder_layout.find_splits(directory)
        files, left_out = {}, _LeftOut(beside)
        for split, root in roots.items():
            files[split] = {}
            for folder in folder_layout.class_folders(root):
                files[split][folder.name], others = image_files.find(folder)
                left_out.others += others
            left_out.look_beside(root)
        if directory not in roots.values():
            left_out.look_beside(directory)
        class_names = sorted({name for classes in files.values() for name in classes})
        if not class_names:
            raise ValueError(_no_classes(directory))
        for name in class_names:
            if not _is_utf8(name):
                raise ValueError(
                    "The name of a class folder must be UTF-8: rename it. Received: "
                    f"class folder '{photographs.shown(name)}' in {str(directory)!r}"
                )
            if not any(classes.get(name) for classes in files.values()):
                raise ValueError(
                    f"The class folder {name!r} holds no image. Accepted: files "
                    f"ending in {image_files.accepted()}. "
                    f"Received: directory={str(directory)!r}"
                )
        left_out.warn(directory)
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

    def read(self, split, size, annotations, on_bad_record="error"):
        """Reads a split.

        Args:
            split: str, a TFDS split specification.
            size: `(height, width)`, or `None` for the files' own sizes.
            annotations: Always `False`: a folder has none.
            on_bad_record: `"error"`, or `"skip"` to leave out the files that cannot
                be read, which reads all of them once.

        Returns:
            A `tf.data.Dataset` of known cardinality of `(image, label)`: uint8,
            int32.
        """
        del annotations
        paths, labels = self._files(split)
        if on_bad_record == "skip":
            found, new = self.check(split)
            if new:
                records.warn_of_skipped(found, split)
            bad = {name for name, _ in found.bad}
            good = [photographs.shown(path) not in bad for path in paths]
            paths, labels = paths[good], labels[good]
        return tf.data.Dataset.from_tensor_slices((paths, labels)).map(
            lambda path, label: (
                images.resize_image(images.read_image(path), size),
                label,
            ),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )

    def check(self, split):
        """Reads every file of a split, once a process.

        Args:
            split: str, a TFDS split specification.

        Returns:
            `(records, new)`, see `keras_xcons.data.records.look`.
        """
        paths, labels = self._files(split)
        return records.look(
            tuple(map(records.state, paths)), lambda: _read_all(paths, labels)
        )

    def _files(self, split):
        """Paths, as bytes, and labels of a split."""
        selected = splits.ranges(split, self.info.splits)
        return (
            np.concatenate(
                [
                    self._examples[name][column][start:stop]
                    for name, start, stop in selected
                ]
            )
            for column in range(2)
        )


class _LeftOut:
    """The files of a data set that are not read, told in one warning."""

    def __init__(self, beside):
        self.others, self._loose, self._beside = [], [], beside

    def look_beside(self, folder):
        """Finds the images beside the class folders, which are of no class."""
        self._loose += folder_layout.loose_images(folder)

    def warn(self, directory):
        """Warns of them, if there are any."""
        told = []
        if self.others:
            told.append(image_files.others_in_words(self.others))
        if self._loose:
            told.append(
                f"images in no class folder: {len(self._loose)}, as "
                f"{photographs.shown(self._loose[0])}"
            )
        if self._beside:
            names = [f"{photographs.shown(path.name)}/" for path in self._beside]
            more = ", ..." if len(names) > _NAMED else ""
            told.append(
                f"folders beside those of the splits: {', '.join(names[:_NAMED])}{more}"
            )
        if told:
            warnings.warn(
                f"Left out of the data set {str(directory)!r}: {'; '.join(told)}",
                stacklevel=4,
            )


def _read_all(paths, labels):
    """`Records` of files."""

    def problem(path):
        try:
            photographs.read(path)
        except photographs.UnreadableImage as error:
            return error.path, error.reason
        return None

    # Pillow decodes without holding Python's lock.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
        problems = list(threads.map(problem, paths))
    good = [one is None for one in problems]
    bad = tuple(one for one in problems if one is not None)
    return records.Records(labels[good], bad, len(paths))


def _is_utf8(name):
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _shuffled(classes, class_names):
    """Paths as bytes and int32 labels of a split, in a fixed random order."""
    rows = [
        (os.fsencode(path), class_names.index(name))
        for name, paths in classes.items()
        for path in paths
    ]
    # A stream of its own: with a seed that others take too, what they draw at random
    # would be the files in order.
    order = np.random.default_rng([*b"folder"]).permutation(len(rows))
    paths = np.array([path for path, _ in rows], dtype=object)
    labels = np.array([label for _, label in rows], dtype=np.int32)
    return paths[order], labels[order]


def _no_classes(directory):
    message = (
        "The folder holds no class folders. Accepted: a TFDS directory (with a "
        "features.json), <class>/*.jpg, or such folders within train/, val/ and test/. "
    )
    if image_files.find(directory)[0]:
        message += "For images without labels use keras_xcons.data.backgrounds. "
    return message + f"Received: directory={str(directory)!r}"
