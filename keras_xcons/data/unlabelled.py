"""Images without labels beside a labelled data set."""

import tensorflow as tf


def with_unlabelled(dataset, unlabelled):
    """Puts a batch of unlabelled images beside each batch of a data set.

    For a training method that learns from images without labels, such as
    `keras_xcons.CGCModel`. The second data set begins anew where it ends first.

    Args:
        dataset: `tf.data.Dataset` of batches `(images, labels)` or `(images, labels,
            sample_weight)`, with sample ids or without.
        unlabelled: `tf.data.Dataset` of batches of images `(B, H, W, C)` of the same
            size, or of tuples that begin with them, whose rest is left out.

    Returns:
        A `tf.data.Dataset` of the length of `dataset` whose images are a dict with
        `"image"` and `"unlabelled"`.

    Raises:
        TypeError: One of them is no `tf.data.Dataset`.
        ValueError: `dataset` has no labels, or `unlabelled` is empty or not of batches
            of images.

    Example:

    >>> train = keras_xcons.data.with_unlabelled(labelled, more_images)
    >>> keras_xcons.CGCModel(classifier).fit(train)
    """
    for name, value in (("dataset", dataset), ("unlabelled", unlabelled)):
        if not isinstance(value, tf.data.Dataset):
            raise TypeError(
                f"`{name}` must be a tf.data.Dataset. Received: {name} of type "
                f"{type(value).__name__}"
            )
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) < 2:
        raise ValueError(
            "`dataset` must give batches (images, labels). Received: elements of "
            f"{spec}"
        )
    more = unlabelled.map(_images)
    if not isinstance(more.element_spec, tf.TensorSpec) or (
        more.element_spec.shape.rank != 4
    ):
        raise ValueError(
            "`unlabelled` must give batches of images (batch, height, width, "
            f"channels). Received: elements of {unlabelled.element_spec}"
        )
    if unlabelled.cardinality() == 0:
        # It would end the epoch before it begins.
        raise ValueError(
            "`unlabelled` must have images. Received: unlabelled without a batch"
        )

    images = spec[0]["image"] if isinstance(spec[0], dict) else spec[0]
    if not images.shape[1:].is_compatible_with(more.element_spec.shape[1:]):
        raise ValueError(
            "`unlabelled` must give images of the size of the labelled ones, "
            f"{tuple(images.shape[1:])}. Received: images of "
            f"{tuple(more.element_spec.shape[1:])}"
        )

    def beside(batch, images):
        x, *rest = batch
        x = x if isinstance(x, dict) else {"image": x}
        return {**x, "unlabelled": images}, *rest

    return tf.data.Dataset.zip(dataset, more.repeat()).map(
        beside, num_parallel_calls=tf.data.AUTOTUNE
    )


def unlabelled_of(x):
    """The unlabelled images beside a batch.

    Args:
        x: Images, or the dictionary that `with_unlabelled` makes of them.

    Returns:
        What lies under `"unlabelled"`, or `None` where there is none.

    Example:

    >>> unlabelled_of({"image": "images", "unlabelled": "more"})
    'more'
    """
    return x.get("unlabelled") if isinstance(x, dict) else None


def _images(*element):
    images = element[0]
    return images["image"] if isinstance(images, dict) else images
