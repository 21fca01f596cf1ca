"""Where in an image a prototype of a ProtoPNet finds what it resembles."""

import numpy as np
import tensorflow as tf
from keras import ops

from keras_xcons import checks
from keras_xcons.data import split_sample_ids
from keras_xcons.models.compiling import CompiledMaps
from keras_xcons.protopnet.view import prototype_view


def prototype_maps(model, images, prototypes, batch_size=32, resize=True, align=True):
    """Heatmaps of how much each place of an image resembles a prototype.

    The map of similarities `log((d + 1) / (d + epsilon))`, its minimum subtracted and
    divided by what is then its maximum, as the authors' published code draws it (from
    memory of that code): it tells where an image resembles a prototype most, not how
    much. `prototype_similarities` tells that. So these maps are those of
    `normalize="minmax"` in `explain`, and know no other.

    Args:
        model: A ProtoPNet, its training model, or a `PrototypeView` of it.
        images: Array or tensor `(B, H, W, 3)`, uint8 or float, in 0..255.
        prototypes: Int, or integers `(B,)`: the prototype to look for in each image.
        batch_size: Number of images computed at a time. Defaults to 32.
        resize: Whether maps are resized (bilinearly) to the image. Defaults to
            `True`.
        align: Where maps are laid on the images, see `keras_xcons.models.split`.
            Defaults to `True`.

    Returns:
        Float32 NumPy array `(B, H, W)` in 0..1, or `(B, h, w)`. A map that is the
        same everywhere is all zeros.

    Raises:
        TypeError: `model` is no model, `images` are no numbers, or `batch_size` is
            no int.
        ValueError: `model` is no ProtoPNet, or an argument is not as described.

    Example:

    >>> maps = prototype_maps(model, images, prototypes=3)
    >>> boxes = activated_boxes(maps)

    Reference:
        [Chen et al., 2019](https://arxiv.org/abs/1806.10574), section 2.4
    """
    view = prototype_view(model)
    frame = view.aligned_frame(align)
    images = checks.image_batch(images, view.model.input_shape[1:])
    checks.positive_int("batch_size", batch_size)
    prototypes = np.asarray(prototypes)
    if prototypes.ndim == 0:
        prototypes = np.full(len(images), prototypes)
    prototypes = checks.class_labels(
        prototypes, len(images), view.layer.count, "prototypes"
    )

    def maps_of(batch, wanted):
        distances = view.layer.distances(view.space(batch, training=False))
        wanted = ops.take_along_axis(distances, wanted[:, None, None], axis=-1)
        return tf.reshape(view.similarity(wanted[..., 0]), (-1, *view.grid))

    found = _in_batches(view, "maps", maps_of, batch_size, images, prototypes)
    found -= found.min(axis=(1, 2), keepdims=True)
    peak = found.max(axis=(1, 2), keepdims=True)
    found /= np.where(peak > 0.0, peak, 1.0)
    if resize:
        found = frame.place(found, images.shape[1:3]).numpy()
    return found


def prototype_similarities(model, images, batch_size=32):
    """How much each image resembles each prototype, at the most similar place.

    A class logit is the sum of the similarities times the weights of the last layer:
    `prototype_similarities(model, images) @ model.get_layer("logits").kernel`.

    Args:
        model: A ProtoPNet, its training model, or a `PrototypeView` of it.
        images: Array or tensor `(B, H, W, 3)`, uint8 or float, in 0..255.
        batch_size: Number of images computed at a time. Defaults to 32.

    Returns:
        Float32 NumPy array `(B, m)`, in 0..`log(1 / epsilon)`.

    Raises:
        TypeError: `model` is no model, `images` are no numbers, or `batch_size` is
            no int.
        ValueError: `model` is no ProtoPNet, or an argument is not as described.

    Example:

    >>> similarities = prototype_similarities(model, images)
    """
    view = prototype_view(model)
    images = checks.image_batch(images, view.model.input_shape[1:])
    checks.positive_int("batch_size", batch_size)

    def similarities_of(batch, _):
        return view.similarity(view.layer(view.space(batch, training=False)))

    return _in_batches(view, "similarities", similarities_of, batch_size, images)


def source_images(model, dataset):
    """The training images that the prototypes were taken from.

    Args:
        model: A ProtoPNet after a push, its training model, or a `PrototypeView`.
        dataset: The `tf.data.Dataset` of batches `(images, labels)` that the
            prototypes were pushed to; what comes after the last of the images is not
            read.

    Returns:
        Dict from `source_image` to a float32 NumPy array `(H, W, 3)` in 0..255.

    Raises:
        TypeError: `model` is no model.
        ValueError: `model` is no ProtoPNet or was not pushed yet, or the dataset does
            not hold the images.

    Example:

    >>> push_prototypes(model, images_in_order)
    >>> sources = source_images(model, images_in_order)
    """
    view = prototype_view(model)
    wanted = set(np.asarray(view.layer.source_image).tolist())
    if not view.layer.pushed:
        raise ValueError(
            "Prototypes come from training images only after a push. Received: a model "
            "without sources; see `push_prototypes`"
        )
    found, seen = {}, 0
    for x, *_ in dataset:
        images, ids = split_sample_ids(x)
        if ids is None:
            ids = np.arange(seen, seen + len(images))
            seen += len(images)
        for place, number in enumerate(np.asarray(ids).tolist()):
            if number in wanted:
                found[number] = np.asarray(images[place], "float32")
        if len(found) == len(wanted):
            return found
    raise ValueError(
        "The dataset must be the one that the prototypes were pushed to. Received: a "
        f"dataset without the images {sorted(wanted - found.keys())[:5]}"
    )


def activated_boxes(heatmaps, percentile=95.0):
    """The box around the most activated region of each heatmap.

    The pixels at or above the percentile are what the authors' published code crops
    prototypes to (from memory of that code). Of these the ones that touch the
    maximum, by a side or a corner or through others, make the region (our choice: a
    box around two places far apart would show what lies between them).

    Args:
        heatmaps: Array `(B, H, W)`.
        percentile: In 0..100. Defaults to 95.

    Returns:
        Float32 NumPy array `(B, 4)`, `ymin, xmin, ymax, xmax` in 0..1 at the outer
        edges of the outer pixels.

    Raises:
        TypeError: `percentile` is not a number.
        ValueError: An argument is not as described.

    Example:

    >>> heatmaps = np.zeros((1, 4, 5))
    >>> heatmaps[0, 1, 2:4] = 1.0
    >>> activated_boxes(heatmaps, percentile=90)
    array([[0.25, 0.4 , 0.5 , 0.8 ]], dtype=float32)
    """
    from scipy import ndimage

    heatmaps = np.asarray(heatmaps)
    if heatmaps.ndim != 3 or heatmaps.size == 0:
        raise ValueError(
            "`heatmaps` must have the shape (batch, height, width). Received: heatmaps "
            f"of shape {heatmaps.shape}"
        )
    checks.within("percentile", percentile, 0.0, 100.0)
    height, width = heatmaps.shape[1:]
    cut = np.percentile(heatmaps, percentile, axis=(1, 2), keepdims=True)
    # Pixels touch within a map, never from one map to the next.
    touching = np.zeros((3, 3, 3), "int32")
    touching[1] = 1
    regions, _ = ndimage.label(heatmaps >= cut, touching)
    peaks = heatmaps.reshape(len(heatmaps), -1).argmax(axis=1)
    wanted = regions.reshape(len(heatmaps), -1)[np.arange(len(heatmaps)), peaks]
    active = regions == wanted[:, None, None]
    boxes = []
    for axis, size in ((2, height), (1, width)):
        line = active.any(axis=axis)
        first = line.argmax(axis=1) / size
        end = 1.0 - line[:, ::-1].argmax(axis=1) / size
        boxes.append((first, end))
    (top, bottom), (left, right) = boxes
    return np.stack([top, left, bottom, right], axis=-1).astype("float32")


def _in_batches(view, name, function, batch_size, images, *others):
    """One float32 array of what a function makes of batches, compiled once a view."""
    if name not in view.compiled:
        view.compiled[name] = CompiledMaps(function)
    parts = []
    for start in range(0, len(images), batch_size):
        part = slice(start, start + batch_size)
        batch = [tf.constant(array[part]) for array in (images, *others)]
        parts.append(view.compiled[name](*batch).numpy())
    return np.concatenate(parts)
