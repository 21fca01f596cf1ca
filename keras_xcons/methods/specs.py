"""What a training model takes, as far as shapes and names tell it."""

import tensorflow as tf

from keras_xcons import checks


def check_keys(x, trainer):
    """Refuses a dict with a key that nothing would read.

    Args:
        x: Images, or a dict of them and more; specs or values.
        trainer: The `keras_xcons.methods.TrainingMethod`, whose class attributes say
            what is taken.

    Raises:
        ValueError: There is one, or the images are missing.
    """
    if not isinstance(x, dict):
        return
    accepted = ("image", *trainer.keys)
    for name in x:
        if name not in accepted:
            raise ValueError(checks.unknown("key of a batch", name, accepted))
    if "image" not in x:
        raise ValueError(
            "The dict of a batch must hold the images under 'image'. Received: keys "
            f"{sorted(x)}"
        )


def require_ids(ids, trainer):
    """Refuses images without sample ids where the options need them.

    Args:
        ids: The ids, or `None`.
        trainer: As for `check_keys`.

    Raises:
        ValueError: They are missing.
    """
    if trainer.options.needs_sample_ids and ids is None:
        raise ValueError(
            f"{trainer.method.title} needs sample ids with these options. Wrap the "
            "dataset with `keras_xcons.data.with_sample_ids` before shuffling and "
            "batching. Received: images without a 'sample_id'"
        )


def check_spec(images, labels, trainer):
    """Refuses ranks and channels, which a dataset tells before it is read.

    Args:
        images: Anything with a `shape`.
        labels: Anything with a `shape`.
        trainer: As for `check_keys`.

    Raises:
        ValueError: They are not as the model takes them.
    """
    view = trainer.view
    rank, channels = len(images.shape), view.input_shape[-1]
    if rank != 4 or images.shape[-1] not in (None, channels):
        raise ValueError(
            f"Images must be batches of (batch, height, width, {channels}). Received: "
            f"shape {tuple(images.shape)}; is the dataset batched?"
        )
    trainer.check_image_size(tuple(images.shape[1:3]))
    label_shape = tuple(labels.shape)
    accepted, wanted = [(), (1,)], "(batch,) integers"
    if trainer.options.multi_label:
        accepted = [(view.num_classes,)]
        wanted = f"(batch, {view.num_classes}) multi-hot"
    elif view.binary:
        wanted = "(batch,) or (batch, 1) of 0 and 1, as the model has one output"
    else:
        accepted.append((view.num_classes,))
        wanted += f" or (batch, {view.num_classes}) one-hot"
    if label_shape[1:] not in accepted:
        raise ValueError(f"Labels must be {wanted}. Received: shape {label_shape}")


def check_size(count, trainer):
    """Refuses batches that are known to be too small.

    Args:
        count: Number of images of a batch, or `None`.
        trainer: As for `check_keys`.

    Raises:
        ValueError: It is too small.
    """
    if count is not None and count < trainer.fewest_images:
        raise ValueError(f"{too_small(trainer)} Received: batch_size={count}")


def too_small(trainer):
    """What to tell of batches that are smaller than a method needs.

    Args:
        trainer: The `keras_xcons.methods.TrainingMethod`.

    Returns:
        A sentence.
    """
    return (
        f"{trainer.method.title} compares the images of a batch, which must be at "
        f"least {trainer.fewest_images}."
    )


def settled(dataset):
    """A dataset that tells the ranks of its elements and the width of its labels.

    Many pipelines in Python do not tell them, and whether labels are indices or
    one-hot must be known as a step is built. Where it is not, the first batch tells.

    Args:
        dataset: `tf.data.Dataset` of batches.

    Returns:
        `tf.data.Dataset` of the same batches.
    """
    specs = tf.nest.flatten(dataset.element_spec)
    if all(not isinstance(s, tf.TensorSpec) or _is_settled(s.shape) for s in specs):
        return dataset
    first = next(iter(dataset.take(1)), None)
    if first is None:
        return dataset
    shapes = [
        _settled_shape(spec.shape, value.shape) if hasattr(spec, "shape") else None
        for spec, value in zip(specs, tf.nest.flatten(first), strict=True)
    ]

    def ensure(*batch):
        parts = zip(tf.nest.flatten(batch), shapes, strict=True)
        told = [
            tf.ensure_shape(part, shape) if isinstance(part, tf.Tensor) else part
            for part, shape in parts
        ]
        return tf.nest.pack_sequence_as(batch, told)

    return dataset.map(ensure, num_parallel_calls=tf.data.AUTOTUNE)


def _is_settled(shape):
    # Images may be of any size.
    return shape.rank is not None and (shape.rank == 4 or None not in shape[1:])


def _settled_shape(shape, seen):
    """The shape of a spec, with what a batch tells of it beyond the sizes of images."""
    if len(seen) == 4:
        return shape if shape.rank == 4 else (None, None, None, seen[3])
    return (None if shape.rank is None else shape[0], *seen[1:]) if len(seen) else ()
