"""Sample ids: which image of the data set each one of a batch is.

Sample weights that outlive a batch are kept in a table with one entry a sample;
the id is the row. It travels in the images' place, as a dictionary, because Keras
passes `x` through untouched, whatever its structure.
"""

import tensorflow as tf


def with_sample_ids(dataset):
    """Numbers the samples of a data set.

    Call it before shuffling and augmenting, so that an id stays with its image.

    Args:
        dataset: A `tf.data.Dataset` of `(image, label)`, with or without further
            parts such as a sample weight. Images are `(H, W, C)`, or
            `(B, H, W, C)` where the data set is batched; the last batch may be a
            smaller one.

    Returns:
        A `tf.data.Dataset` of the same structure and cardinality whose images are
        `{"image": image, "sample_id": id}`; the id is an int32 scalar, or int32
        `(B,)` where batched, and counts from 0 in the order of the data set.

    Raises:
        TypeError: `dataset` is not a `tf.data.Dataset`.
        ValueError: Its elements are not tuples that start with an image tensor of
            rank 3 or 4 and a label, or it is shuffled anew in each epoch.

    Example:

    >>> images, labels = tf.zeros((5, 8, 8, 3)), tf.range(5)
    >>> dataset = tf.data.Dataset.from_tensor_slices((images, labels)).batch(2)
    >>> [x["sample_id"].numpy().tolist() for x, _ in with_sample_ids(dataset)]
    [[0, 1], [2, 3], [4]]
    """
    if not isinstance(dataset, tf.data.Dataset):
        raise TypeError(
            "`dataset` must be a tf.data.Dataset of (image, label). "
            f"Received: dataset of type {type(dataset).__name__}"
        )
    spec = dataset.element_spec
    image = spec[0] if isinstance(spec, tuple) and len(spec) >= 2 else None
    rank = image.shape.rank if isinstance(image, tf.TensorSpec) else None
    if rank not in (3, 4):
        raise ValueError(
            "Sample ids are given to a data set of (image, label) tuples with "
            "images of known rank: 3 (H, W, C), or 4 (B, H, W, C) where batched. "
            f"Received: dataset.element_spec={spec!r}"
        )
    if _is_reshuffled(dataset):
        raise ValueError(
            "Sample ids are given before shuffling, as an id is the place in the data "
            "set. Read the images with shuffle=False, and call `with_sample_ids` and "
            "then `.shuffle`. Received: a dataset that is shuffled anew in each epoch"
        )
    if rank == 3:
        return dataset.enumerate().map(
            lambda number, element: (
                {"image": element[0], "sample_id": tf.cast(number, tf.int32)},
                *element[1:],
            ),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )

    def number_batch(seen, element):
        following = seen + tf.shape(element[0])[0]
        ids = tf.range(seen, following)
        return following, ({"image": element[0], "sample_id": ids}, *element[1:])

    return dataset.scan(tf.constant(0, tf.int32), number_batch)


def _is_reshuffled(dataset):
    """Whether the order of a data set is another in each epoch."""
    kind = type(dataset).__name__
    if kind == "_ShuffleDataset" and dataset._reshuffle_each_iteration is not False:
        return True
    if kind == "_ShuffleAndRepeatDataset":
        return True
    # What is kept of the first epoch has the order of that one.
    inputs = () if kind == "CacheDataset" else dataset._inputs()
    return any(_is_reshuffled(each) for each in inputs)


def split_sample_ids(x):
    """Takes the sample ids off the images, where there are any.

    Args:
        x: Images, or the dictionary that `with_sample_ids` makes of them.

    Returns:
        `(images, ids)`, with `ids` `None` where `x` carries none.

    Example:

    >>> split_sample_ids({"image": "images", "sample_id": "ids"})
    ('images', 'ids')
    >>> split_sample_ids("images")
    ('images', None)
    """
    if isinstance(x, dict) and "image" in x:
        return x["image"], x.get("sample_id")
    return x, None
