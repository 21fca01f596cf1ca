"""Where the class folders of a folder of image files are: in it, or in its splits."""

from keras_xcons.data import image_files, photographs

# Names of the split folders, in small letters, and the split that each one is.
_SPLITS = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}


def class_folders(directory):
    """The folders in a folder, sorted.

    Names with a dot or an underscore in front are no classes: .git, __MACOSX.
    """
    return sorted(
        path
        for path in directory.iterdir()
        if path.is_dir() and not path.name.startswith((".", "_"))
    )


def loose_images(folder):
    """The images that lie in a folder itself, in no folder within it, sorted."""
    return [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in photographs.IMAGE_SUFFIXES
        and path.is_file()
        and not path.name.startswith(".")
    ]


def find_splits(directory):
    """Finds the split folders of a data set.

    A folder is one if it is called so and holds class folders with images. A class
    of that name holds its images itself.

    Args:
        directory: `pathlib.Path` of the data set.

    Returns:
        `(roots, beside)`: a dict from splits to the folders that hold their class
        folders, `{"train": directory}` where there are no split folders; and a list
        of the folders beside the split folders, which are of no split.

    Raises:
        ValueError: Two folders are the same split, or it cannot be told which
            folders are splits and which are classes.
    """
    folders = class_folders(directory)
    named = [folder for folder in folders if folder.name.lower() in _SPLITS]
    beside = [folder for folder in folders if folder not in named]
    loose = [folder for folder in named if loose_images(folder)]
    deep = [folder for folder in named if _holds_classes(folder)]
    if not named or (beside and not deep):
        return {"train": directory}, []
    if deep:
        _check_mix(directory, loose, deep, beside)
    roots = {}
    for folder in named:
        split = _SPLITS[folder.name.lower()]
        if split in roots:
            pair = _listed([roots[split], folder])
            raise ValueError(
                f"Two folders are the split {split!r}: {pair}. "
                "Put the images of one into the other, or move one elsewhere. "
                f"Received: directory={str(directory)!r}"
            )
        roots[split] = folder
    return roots, beside


def _holds_classes(folder):
    return any(image_files.find(inner)[0] for inner in class_folders(folder))


def _check_mix(directory, loose, deep, beside):
    """Refuses folders of which some look like splits and some like classes."""
    received = f"Received: directory={str(directory)!r}"
    classes = [folder for folder in loose if folder not in deep]
    if not classes and beside and set(deep) <= set(loose):
        classes = loose
    if classes:
        raise ValueError(
            f"It cannot be told whether {_listed(deep + beside)} are splits or "
            f"classes, as {_listed(classes)} holds images in no class folder. Put them "
            f"into class folders, or move them elsewhere. {received}"
        )
    inner = {path.name for folder in deep for path in class_folders(folder)}
    doubled = [folder for folder in beside if folder.name in inner]
    if doubled:
        raise ValueError(
            f"The class folders {_listed(doubled)} lie beside the split folders "
            f"{_listed(deep)}, which have classes of these names. Move them into "
            f"train/, or elsewhere. {received}"
        )


def _listed(folders):
    return ", ".join(f"{photographs.shown(folder.name)}/" for folder in folders)
