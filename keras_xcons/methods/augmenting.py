"""Random layers inside a classifier, applied once a training step.

A map belongs to the image that the features were computed of. Where layers of the
model flip or shift its images at random, the step applies these layers first, and
what they return takes the place of the images: both passes, the attack and its mask
then share one random draw and one frame.
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from keras_xcons.models.flatten import flat_model, used
from keras_xcons.models.frame import nodes_between
from keras_xcons.models.random_moves import (
    draws_moves,
    holds_random_moves,
    keeps_grey,
    keeps_values,
)

_MIXING = (layers.MixUp, layers.CutMix)


def split_augmentation(view):
    """Splits a view behind the last of its layers that move pixels at random.

    Args:
        view: `ClassifierView`.

    Returns:
        `(augment, inner)`: a function from float32 images `(B, H, W, channels)` and
        the mode, training or not, to the images that the view called `inner` takes.
        Both are in 0..255. Without such layers they are the images, and `view`.

    Raises:
        ValueError: What comes before the last random layer has weights or changes
            values in a way that cannot be undone, or a layer mixes images.
    """
    images = view.flat.inputs[0]
    nodes = nodes_between(images, view.flat.outputs[0])
    moving = _random_moves(nodes, images)
    for node in moving:
        if isinstance(used(node.operation), _MIXING):
            raise _refusal(node, "mixes images, which then have maps of two classes")
    if not moving:
        return _unchanged, view
    last = moving[-1]
    inside = last.outputs[0]
    rescaling = _rescaling(nodes_between(images, inside), moving)
    before = keras.Model(images, inside)
    crops = any(isinstance(used(node.operation), layers.RandomCrop) for node in moving)
    # In inference a RandomCrop leaves images as they are, whatever shape it declares.
    size = (None, None) if crops else inside.shape[1:3]
    start = keras.Input((*size, inside.shape[-1]), dtype="float32")
    taken = start if rescaling is None else rescaling(start)
    flat = flat_model(start, _outputs_of(view.flat, inside, taken, last))

    def augment(images, training):
        moved = tf.cast(before(images, training=training), tf.float32)
        if training:
            moved.set_shape((images.shape[0], *inside.shape[1:]))
        if rescaling is not None:
            moved = (moved - rescaling.offset) / rescaling.scale
        return moved

    return augment, dataclasses.replace(view, flat=flat, explainers={})


def _outputs_of(flat, inside, taken, last):
    """The outputs of a flat model, anew from a tensor in the place of an inner one."""
    known = {id(inside): taken}
    for output in flat.outputs:
        for node in nodes_between(inside, output):
            if id(node.outputs[0]) in known:
                continue
            if any(id(tensor) not in known for tensor in node.input_tensors):
                raise _refusal(
                    last, "moves pixels on one of several ways to the logits"
                )
            args, kwargs = node.arguments.fill_in(known)
            found = keras.tree.flatten(node.operation(*args, **kwargs))
            known |= zip(map(id, node.outputs), found, strict=True)
    return [known[id(output)] for output in flat.outputs]


def _unchanged(images, training):
    return images


def _random_moves(nodes, images):
    """The nodes that move pixels of images at random.

    Raises:
        ValueError: One of them has weights or changes values, too, so that it cannot
            be applied to the images.
    """
    shown, found = {id(images)}, []
    for node in nodes:
        operation = used(node.operation)
        of_images = all(id(tensor) in shown for tensor in node.input_tensors)
        keeps = keeps_values(operation)
        if holds_random_moves(operation) or (of_images and draws_moves(node)):
            if getattr(operation, "weights", None):
                raise _refusal(node, "moves pixels at random and has weights, too")
            if of_images and not (keeps or isinstance(operation, _MIXING)):
                keeps = keeps_grey(node)
                if not keeps:
                    raise _refusal(node, "moves pixels at random and changes values")
            found.append(node)
        if of_images and (keeps or _rescales(operation)):
            shown.update(id(tensor) for tensor in node.outputs)
    return found


def _rescales(operation):
    return type(operation) is layers.Rescaling


def _rescaling(nodes, moving):
    """What the nodes make of the values of images, as one layer; `None` for nothing."""
    scale, offset = np.float32(1.0), np.float32(0.0)
    for node in nodes:
        operation = used(node.operation)
        if _rescales(operation):
            factor = np.asarray(operation.scale, "float32")
            scale, offset = scale * factor, offset * factor + operation.offset
        elif not (keeps_values(operation) or node in moving):
            front = f"{type(operation).__name__} {operation.name!r}"
            raise _refusal(
                moving[-1], f"moves pixels at random behind {front}, no image"
            )
    if np.all(scale == 1.0) and np.all(offset == 0.0):
        return None
    return layers.Rescaling(scale, offset, dtype="float32")


def _refusal(node, reason):
    operation = used(node.operation)
    return ValueError(
        f"The layer {operation.name!r} ({type(operation).__name__}) {reason}. Put it "
        "first in the model, where random layers and Rescaling alone may stand, in "
        "front of any backbone, or into the dataset. Received: a classifier with the "
        f"layer {operation.name!r}"
    )
