"""Finds the parts of a flat graph: its logits, its features, and its pooling.

The graph is walked back from the output, along the operations that made each
symbolic tensor.
"""

import keras

from keras_xcons import checks
from keras_xcons.layers import Logits
from keras_xcons.models.flatten import producer, used
from keras_xcons.models.kinds import (
    BOUNDED,
    activation_of,
    bounded_ending,
    exactly,
    is_activation,
)

# Layers that only gather, drop or reorder what the features before them hold.
_PASSIVE = (
    keras.layers.AveragePooling2D,
    keras.layers.Dropout,
    keras.layers.Flatten,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.MaxPooling2D,
    keras.layers.Reshape,
    keras.layers.SpatialDropout2D,
    keras.layers.ZeroPadding2D,
)


def _uncast(tensor):
    """The operation behind a tensor and any casts, and the tensors it took."""
    operation, inputs = producer(tensor)
    # `Activation("linear", dtype="float32")` is how mixed precision casts.
    while is_activation(operation, ("linear",)):
        operation, inputs = producer(inputs[0])
    return operation, inputs


def find_logits(output):
    """The logits behind an output, before any softmax or sigmoid.

    Args:
        output: Symbolic output of a flat graph, `(batch, classes)`.

    Returns:
        `(logits, dense, inputs)`: the symbolic logits, the `Dense` layer they are
        from, and what it takes; the last two are `None` for any other layer.

    Raises:
        ValueError: The logits under a final activation cannot be read.
    """
    operation, inputs = _uncast(output)
    while is_activation(operation, BOUNDED):
        output = inputs[0]
        operation, inputs = _uncast(output)
    if exactly(operation, keras.layers.Dense):
        activation = activation_of(operation)
        if activation in BOUNDED:
            return Logits(operation)(inputs[0]), operation, inputs[0]
        if activation == "linear":
            return output, operation, inputs[0]
    ending = bounded_ending(operation, inputs)
    if ending is not None:
        raise ValueError(
            f"The model ends in {type(operation).__name__} {operation.name!r} with a "
            f"{ending}, whose logits cannot be read. End it in a "
            "`Dense` layer or a separate `Softmax` layer, or leave the activation "
            f"out and train with `from_logits=True`. Received: output={output}"
        )
    return output, None, None


def final_activation(output):
    """What a classifier makes of its logits.

    Args:
        output: Symbolic output of a flat graph, `(batch, classes)`.

    Returns:
        `"softmax"`, `"sigmoid"`, or `None` where the output is the logits.
    """
    operation, _ = _uncast(output)
    is_dense = exactly(operation, keras.layers.Dense)
    for name in ("softmax", "sigmoid"):
        named = is_dense and activation_of(operation) == name
        if named or is_activation(operation, (name,)):
            return name
    return None


def _is_spatial(tensor):
    shape = tensor.shape
    return len(shape) == 4 and (shape[1], shape[2]) != (1, 1)


def _has_weights(tensor):
    """Whether any layer up to and including this tensor's is a learned one."""
    stack, seen = [tensor], set()
    while stack:
        operation, inputs = producer(stack.pop())
        if getattr(operation, "weights", None):
            return True
        seen.add(id(operation))
        stack.extend(t for t in inputs if id(producer(t)[0]) not in seen)
    return False


def find_features(logits):
    """The last 4-D activation before pooling.

    Args:
        logits: Symbolic logits of a flat graph.

    Returns:
        `(name, tensor)`: the layer's name and its symbolic output.

    Raises:
        ValueError: There is none, or more than one.
    """
    stack, seen, found = [logits], set(), {}
    while stack:
        tensor = stack.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        operation, inputs = producer(tensor)
        if _is_spatial(tensor) and not exactly(operation, *_PASSIVE):
            if _has_weights(tensor):
                found[operation.name] = tensor
        else:
            stack.extend(inputs)
    if len(found) == 1:
        return next(iter(found.items()))
    if found:
        raise ValueError(
            "The model's head takes more than one 4-D activation. Choose one with "
            f"`feature_layer`. Received: a model with {sorted(found)}"
        )
    raise ValueError(
        "The model has no 4-D activation (batch, height, width, channels) between "
        "its input and its logits, so there is nothing to draw a heatmap on. Pass "
        "a convolutional classifier, or a pair (backbone, head). Received: a model "
        f"that ends in {producer(logits)[0].name!r}"
    )


def named_features(flat, name):
    """The output of a named layer, which must be 4-D.

    Args:
        flat: Flat functional `keras.Model`.
        name: Name of the layer.

    Returns:
        The symbolic output.

    Raises:
        ValueError: There is no such layer, or its output is not 4-D.
    """
    tensors = {}
    # From the images to the logits: the last use of a shared layer counts.
    for depth in sorted(flat._nodes_by_depth, reverse=True):
        for node in flat._nodes_by_depth[depth]:
            key, output = used(node.operation).name, node.outputs[0]
            # Layers of different nested models may share a name.
            fits = key not in tensors or _is_spatial(output)
            if fits and len(node.outputs) == 1:
                tensors[key] = output
    spatial = sorted(n for n, t in tensors.items() if _is_spatial(t))
    if name not in tensors:
        raise ValueError(checks.unknown("feature layer", name, spatial))
    if name not in spatial:
        raise ValueError(
            "A feature layer must have a 4-D output (batch, height, width, "
            f"channels) of more than one location. Received: feature_layer={name!r} "
            f"with output shape {tuple(tensors[name].shape)}"
        )
    return tensors[name]


def is_pooling(tensor, activations):
    """Whether a tensor is the activations, averaged over all locations.

    Args:
        tensor: Symbolic tensor, or `None`.
        activations: Symbolic tensor `(batch, height, width, channels)`.

    Returns:
        `True` if nothing but global average pooling lies between them.
    """
    neutral = (
        keras.layers.Dropout,
        keras.layers.Flatten,
        keras.layers.Identity,
        keras.layers.Reshape,
    )
    # Once pooled, a Flatten or Reshape keeps the order of the channels.
    while tensor is not None and all(side == 1 for side in tensor.shape[1:-1]):
        operation, inputs = producer(tensor)
        if exactly(operation, keras.layers.GlobalAveragePooling2D):
            last = operation.data_format == "channels_last"
            return last and inputs[0] is activations
        linear = is_activation(operation, ("linear",))
        if not (linear or exactly(operation, *neutral)):
            return False
        tensor = inputs[0]
    return False
