"""What a training model takes, as far as shapes and names tell it."""

import tensorflow as tf

from keras_xcons import checks
from keras_xcons.methods.labels import refuse
from keras_xcons.methods.losses import the_loss


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
    if not _is_number(labels.dtype):
        raise ValueError(
            "Labels must be numbers, beside the images. Received: labels of dtype "
            f"{getattr(labels.dtype, 'name', labels.dtype)}"
        )
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


def _is_number(dtype):
    dtype = tf.as_dtype(dtype)
    return dtype.is_floating or dtype.is_integer or dtype.is_bool


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


def settled(dataset, trainer):
    """A dataset of single tensors that tells the width of its labels.

    Whether labels are indices or one-hot must be known as a step is built, and many
    pipelines in Python do not tell. To read a batch would take it from a source that
    gives each once, so what the trainer was compiled with tells.

    Args:
        dataset: `tf.data.Dataset` of batches.
        trainer: As for `check_keys`.

    Returns:
        `tf.data.Dataset` of the same batches: what came as the only one of a tuple
        is taken out of it.

    Raises:
        ValueError: Images or labels have an unknown rank, or labels an unknown width
            that the loss does not tell.
    """
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) < 2:
        return dataset
    if any(isinstance(part, tuple) and len(part) == 1 for part in spec):
        dataset = dataset.map(lambda *batch: tuple(map(_alone, batch)))
        spec = dataset.element_spec
    labels = spec[1]
    if not isinstance(labels, tf.TensorSpec):
        raise ValueError(f"Labels must be a single tensor. Received: {labels}")
    images = spec[0]["image"] if isinstance(spec[0], dict) else spec[0]
    unknown = [
        name
        for name, part in (("images", images), ("labels", labels))
        if isinstance(part, tf.TensorSpec) and part.shape.rank is None
    ]
    if unknown:
        raise ValueError(
            "The dataset must tell the ranks of what it gives: map `lambda x, y: "
            "(tf.ensure_shape(x, (None, None, None, 3)), tf.ensure_shape(y, (None,)))` "
            f"over it. Received: {' and '.join(unknown)} of unknown rank"
        )
    if labels.shape.rank != 2 or labels.shape[1] is not None:
        return dataset
    width = _width_of_labels(trainer)

    def ensure(x, y, *rest):
        # An assert tells more than the error of `ensure_shape`.
        told = (
            f"labels must be (batch, {width}), as the loss takes them. Received: width="
        )
        found = tf.shape(y)[1]
        with tf.control_dependencies(
            [refuse(found == width, told, tf.cast(found, "float32"))]
        ):
            return x, tf.ensure_shape(tf.identity(y), (None, width)), *rest

    return dataset.map(ensure, num_parallel_calls=tf.data.AUTOTUNE)


def _alone(part):
    return part[0] if isinstance(part, tuple) and len(part) == 1 else part


def _width_of_labels(trainer):
    """1 for a column of class indices, or the number of classes."""
    view, loss = trainer.view, the_loss(trainer.loss)
    if trainer.options.multi_label:
        return view.num_classes
    name = loss if isinstance(loss, str) else getattr(loss, "name", None)
    name = name or getattr(loss, "__name__", "")
    if view.binary or "sparse" in name:
        return 1
    if "categorical" in name:
        return view.num_classes
    raise ValueError(
        "The dataset must tell the width of its labels, 1 for class indices and "
        f"{view.num_classes} for one-hot: map `lambda x, y: (x, tf.ensure_shape(y, "
        f"(None, {view.num_classes})))` over it. Received: labels of shape (None, None)"
    )
