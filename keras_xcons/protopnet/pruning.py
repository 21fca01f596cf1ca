"""Pruning: prototypes that stand for no class are dropped."""

import numpy as np
import tensorflow as tf
from keras import ops

from keras_xcons import checks
from keras_xcons.models import copy_model
from keras_xcons.models.offset import offsets_of, remember_offsets
from keras_xcons.protopnet.data import checked_batches
from keras_xcons.protopnet.layers import Prototypes
from keras_xcons.protopnet.network import last_layer
from keras_xcons.protopnet.view import prototype_view


def prune_prototypes(classifier, dataset, nearest=6, minimum=3):
    """A copy of a ProtoPNet without the prototypes that stand for no class.

    A prototype is dropped when fewer than `minimum` of its `nearest` training patches
    are of its class: it has found something common, such as the sky. An image counts
    with the one patch that is nearest. The copy's logits are those of the classifier
    minus what the dropped prototypes contributed.

    A class never loses its last prototype (our choice: it could not be predicted any
    more): where all fail, the one with the most patches of its class stays, the first
    of several.

    Args:
        classifier: A ProtoPNet, or its training model; it stays as it is. Prune
            after a push.
        dataset: `tf.data.Dataset` of batches `(images, labels)`, not augmented.
            Labels are integers `(B,)` or one-hot `(B, C)`.
        nearest: Number of patches to look at. Defaults to 6.
        minimum: Number of them that must be of the prototype's class. Defaults to 3.

    Returns:
        `(pruned, kept)`: a new `keras.Model`, which shares nothing with the
        classifier, and the places of its prototypes among the classifier's, an int
        NumPy array. `pruned.get_layer("prototypes").prototypes_per_class` is what
        `create("protopnet", ..., prototypes=...)` takes to build the same model.

    Raises:
        TypeError, ValueError: `classifier` is no ProtoPNet or was not pushed yet, a
            number is out of range, or the data are not as described or hold fewer
            than `nearest` images.

    Example:

    >>> pruned, kept = prune_prototypes(trainer, images_in_order)
    >>> len(kept)
    413

    Reference:
        [Chen et al., 2019](https://arxiv.org/abs/1806.10574), supplement
    """
    view = prototype_view(classifier)
    for name, value, high in (
        ("nearest", nearest, None),
        ("minimum", minimum, nearest),
    ):
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"`{name}` must be an int. Received: {name}={value!r}")
        checks.within(name, value, 1, high)
    if not view.layer.pushed:
        raise ValueError(
            "Prune after a push: only then are the prototypes patches of images. "
            f"Received: model={view.model.name!r} without sources"
        )
    own = _own_patches(view, dataset, nearest)
    keep = own >= minimum
    for label in range(view.dense.units):
        members = np.flatnonzero(view.classes == label)
        if not keep[members].any():
            keep[members[own[members].argmax()]] = True
    kept = np.flatnonzero(keep)
    return _with_prototypes(view, kept), kept


def _own_patches(view, dataset, nearest):
    """How many of the nearest patches of each prototype are of its class."""

    @tf.function(reduce_retracing=True, autograph=False)
    def look(distances, labels, images, batch_labels):
        patches = view.space(images, training=False)
        found = ops.transpose(view.layer(patches))
        targets = ops.broadcast_to(batch_labels, ops.shape(found))
        distances = ops.concatenate([distances, found], axis=-1)
        labels = ops.concatenate([labels, targets], axis=-1)
        values, places = ops.top_k(-distances, nearest)
        return -values, ops.take_along_axis(labels, places, axis=-1)

    distances = tf.fill((view.layer.count, nearest), np.float32(np.inf))
    labels = tf.fill((view.layer.count, nearest), -1)
    for images, _, batch_labels in checked_batches(dataset, view):
        distances, labels = look(distances, labels, images, batch_labels)
    labels = labels.numpy()
    if (labels < 0).any():
        raise ValueError(
            f"The data must hold at least {nearest} images, to find as many patches. "
            f"Received: a dataset of fewer, with nearest={nearest}"
        )
    return (labels == view.classes[:, None]).sum(axis=1)


def _with_prototypes(view, kept):
    """A copy of a ProtoPNet with some of its prototypes."""
    counts = np.bincount(view.classes[kept], minlength=view.dense.units).tolist()

    def new_layer(layer):
        if layer is view.layer:
            return Prototypes(counts, name=layer.name)
        if layer is view.dense:
            return last_layer(view.dense.units)
        return type(layer).from_config(layer.get_config())

    weights = []
    for layer in view.model.layers:
        part = layer is view.layer or layer is view.dense
        # Every weight of these two has a row for each prototype.
        weights += [w[kept] if part else w for w in layer.get_weights()]
    pruned = copy_model(view.model, new_layer, weights)
    # Of the same features, so that its heatmaps lie where the model's do.
    remember_offsets(pruned, offsets_of(view.model))
    return pruned
