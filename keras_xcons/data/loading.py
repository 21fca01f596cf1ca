"""`load` and `info`: any source of images in one form."""

import os

import tensorflow as tf

from keras_xcons import checks
from keras_xcons.data import (
    arguments,
    augmentation,
    catalog,
    folder_source,
    records,
    tfds_directory,
    tfds_source,
)
from keras_xcons.data.sample_ids import with_sample_ids
from keras_xcons.data.shapes_source import ShapesSource

# Shuffling holds as many images as fit into this.
_SHUFFLE_BYTES = 2**30
_OPTIONS = {
    catalog.SHAPES: ("num_samples", "correlation", "data_seed"),
    "TFDS": ("data_dir",),
    "folder": (),
}


def load(
    name_or_dir,
    split="train",
    *,
    image_size=224,
    batch_size=None,
    shuffle=False,
    seed=0,
    augment=False,
    sample_ids=False,
    annotations=False,
    cache=False,
    on_bad_record="error",
    **options,
):
    """Loads a data set as a `tf.data.Dataset` of images in 0..255 and labels.

    Three kinds of source give the same form: a name out of `names()` (`"shapes"`
    is drawn, the others come through TFDS and are downloaded when they are not
    there), a TFDS directory with features of the usual names, and a folder with
    one folder of image files a class.

    Images are stretched to the size, bilinear with antialiasing, masks by nearest
    neighbours; boxes are relative and stay as they are. The stream is the same
    whenever the arguments (and the global seed of TensorFlow, where `shuffle` or
    `augment` is on) are the same.

    Args:
        name_or_dir: A name, or the path of a folder.
        split: str, a split or a TFDS slice or sum of them, as `"train[:80%]"`.
            Defaults to `"train"`.
        image_size: int or `(height, width)` in pixels, at least 16, or `None` for
            the images' own sizes (64 by 64 for `"shapes"`). Defaults to 224.
        batch_size: int or `None` for single images. The last batch may be smaller.
            Defaults to `None`.
        shuffle: bool, whether to shuffle anew in each epoch, over all images or as
            many as fit into 1 GiB. Defaults to `False`.
        seed: int in 0..2**31 - 1, of `shuffle` and `augment`. Defaults to 0.
        augment: bool, whether to flip, shift and crop at random, see
            `keras_xcons.data.augment`. Not with `annotations`. Defaults to
            `False`.
        sample_ids: bool, whether images come as `{"image": image, "sample_id":
            id}`. An id is the place of the image in the split. Defaults to
            `False`.
        annotations: bool, whether boxes or masks come as a third part. Defaults to
            `False`.
        cache: bool, whether to keep the decoded and resized images in memory, one
            byte a channel. Defaults to `False`.
        on_bad_record: `"error"` or `"skip"`, what is done about images that cannot be
            read. `"error"` raises when such a one is reached, and names it;
            `"skip"` reads everything once before, and leaves them out with a
            warning that counts and names them. Defaults to `"error"`.
        **options: Of `"shapes"`: `num_samples`, `correlation` and `data_seed` (the
            `seed` of `keras_xcons.data.shapes`). Of TFDS names: `data_dir`, the
            folder of TFDS sets, by default that of TFDS.

    Returns:
        A `tf.data.Dataset` of `(image, label)`: float32 `(H, W, 3)` and int32
        scalar, or float32 multi-hot `(C,)` for a multi-label set. With
        `annotations` of `(image, label, boxes)`, float32 `(N, 4)` as `ymin, xmin,
        ymax, xmax` in 0..1, filled up with boxes of zero area where images have
        several; or of `(image, label, mask)`, float32 `(H, W, 1)`, 1.0 on the
        object. Its cardinality is known.

    Raises:
        ValueError: A name, split or argument is not accepted, or the set has no
            labels, or not the annotations asked for.
        TypeError: An argument is of the wrong type, or an option is unknown.
        FileNotFoundError: The folder does not exist.
        OSError: The set cannot be downloaded.

    Example:

    >>> dataset = load("shapes", image_size=64, batch_size=32, num_samples=100)
    >>> images, labels = next(iter(dataset))
    >>> images.shape, len(dataset)
    (TensorShape([32, 64, 64, 3]), 4)
    """
    size = None if image_size is None else arguments.check_image_size(image_size)
    if batch_size is not None:
        arguments.check_count(batch_size, "batch_size")
    arguments.check_seed(seed)
    if augment and annotations:
        raise ValueError(
            "`augment` moves the image and not its boxes or mask. "
            "Received: augment=True and annotations=True"
        )
    records.check_on_bad_record(on_bad_record)
    source = open_source(name_or_dir, options)
    if annotations and source.info.annotations is None:
        raise ValueError(
            f"The set {source.info.name!r} has neither boxes nor masks. "
            "Received: annotations=True"
        )
    dataset = source.read(split, size, annotations, on_bad_record)
    shape = dataset.element_spec[0].shape
    if batch_size is not None and not shape.is_fully_defined():
        raise ValueError(
            "Images of different sizes cannot be batched: give an `image_size`. "
            f"Received: image_size=None and batch_size={batch_size!r}"
        )
    if cache:
        dataset = dataset.cache()
    if sample_ids:
        dataset = with_sample_ids(dataset)
    if shuffle:
        dataset = dataset.shuffle(
            _shuffle_buffer(len(dataset), shape), seed, reshuffle_each_iteration=True
        )
    dataset = dataset.map(
        _as_float, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    if augment:
        dataset = augmentation.augment(dataset, seed)
    if batch_size is not None:
        dataset = dataset.batch(
            batch_size, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )
    return dataset.prefetch(tf.data.AUTOTUNE)


def info(name_or_dir, **options):
    """Says what a data set holds.

    Of a set that has not been downloaded yet it says what is known of it.

    Args:
        name_or_dir: As in `load`.
        **options: As in `load`.

    Returns:
        A `DatasetInfo`.

    Raises:
        ValueError: The name is unknown, or the set cannot be used.
        TypeError: An option is unknown.
        FileNotFoundError: The folder does not exist.

    Example:

    >>> info("shapes").splits["train"]
    4000
    """
    return open_source(name_or_dir, options).info


def open_source(name_or_dir, options):
    """The source of a name or a folder, with the options of `load`."""
    if not isinstance(name_or_dir, str | os.PathLike):
        raise TypeError(
            "A data set is given by its name or the path of its folder. "
            f"Received: name_or_dir={name_or_dir!r}"
        )
    if name_or_dir == catalog.SHAPES:
        _check_options(options, catalog.SHAPES)
        return ShapesSource(**options)
    adapter = catalog.find(name_or_dir) if isinstance(name_or_dir, str) else None
    if adapter:
        _check_options(options, "TFDS")
        return tfds_source.from_name(adapter, **options)
    if catalog.looks_like_a_name(name_or_dir) and not os.path.exists(name_or_dir):
        raise ValueError(catalog.unknown_name(name_or_dir))
    directory = arguments.existing_folder(name_or_dir)
    _check_options(options, "folder")
    found = tfds_directory.find_directory(directory)
    if found:
        return tfds_directory.from_directory(found)
    return folder_source.FolderSource(directory)


def _check_options(options, kind):
    for option in options:
        if option not in _OPTIONS[kind]:
            raise TypeError(checks.unknown("option", option, _OPTIONS[kind]))


def _shuffle_buffer(count, shape):
    # An image of unknown size is taken for one of 512 by 512.
    size = shape.num_elements() if shape.is_fully_defined() else 512 * 512 * 3
    return min(count, max(1000, _SHUFFLE_BYTES // size))


def _as_float(x, label, annotation=None):
    """Images and masks are uint8 up to here, so that cache and buffers are small."""
    if isinstance(x, dict):
        x = x | {"image": tf.cast(x["image"], tf.float32)}
    else:
        x = tf.cast(x, tf.float32)
    if annotation is None:
        return x, label
    return x, label, tf.cast(annotation, tf.float32)
