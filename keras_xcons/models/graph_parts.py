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
    is_keras_operation,
)
from keras_xcons.models.layouts import CONTRACTIONS, Layout
from keras_xcons.models.mixing import has_places, is_passive, mixes_places


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
            "out and train with `from_logits=True`. Received: a model that ends in "
            f"{operation.name!r}"
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


def _is_map(tensor, layout):
    """Whether a tensor may be a map of more than one location."""
    if len(tensor.shape) != 4:
        return False
    axes = layout.axes or "bhwc"
    sides = [tensor.shape[axes.index(axis)] for axis in "hw" if axis in axes]
    return len(sides) == 2 and sides != [1, 1]


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


def find_features(logits, found):
    """The last map before pooling.

    Args:
        logits: Symbolic logits of a flat graph.
        found: The graph's `keras_xcons.models.layouts.layouts`.

    Returns:
        `(name, tensor)`: the layer's name and its symbolic output.

    Raises:
        ValueError: There is none, or more than one, or it tells nothing of where the
            evidence for a class lies.
    """
    stack, seen, maps, mixing, single = [logits], set(), {}, {}, None
    while stack:
        tensor = stack.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        operation, inputs = producer(tensor)
        layout = found.get(id(tensor), Layout("bc"))
        if _is_features(operation, inputs, tensor, found):
            maps[operation.name] = tensor
            continue
        if mixes_places(operation, inputs, tensor, found):
            mixing[id(operation)] = operation
        if single is None and _leaves_one_place(operation, inputs, tensor, layout):
            single = operation
        stack.extend(inputs)
    last, _ = producer(logits)
    last = last.dense if isinstance(last, Logits) else last
    ending = f"a model that ends in {last.name!r}"
    if mixing:
        raise ValueError(_mixed(list(mixing.values()), maps, found, ending))
    if single is not None:
        raise ValueError(
            f"{single.name!r} ({type(single).__name__}) leaves a single location (1x1) "
            "of images of this size, and a heatmap of the last features would be one "
            "number. Take larger images, or name an earlier layer with "
            f"`feature_layer`. Received: {ending}"
        )
    if len(maps) == 1:
        return next(iter(maps.items()))
    if maps:
        raise ValueError(
            "The model's head takes more than one 4-D activation. Choose one with "
            f"`feature_layer`. Received: a model with {sorted(maps)}"
        )
    raise ValueError(
        "The model has no 4-D activation (batch, height, width, channels) between "
        "its input and its logits, so there is nothing to draw a heatmap on. Pass "
        "a convolutional classifier, or a pair (backbone, head), or name a layer whose "
        "output is tokens (batch, tokens, channels) with `feature_layer`. Received: "
        f"{ending}"
    )


def _is_features(operation, inputs, tensor, found):
    if not _is_map(tensor, found.get(id(tensor), Layout("bc"))):
        return False
    if is_keras_operation(operation, *CONTRACTIONS) or not _has_weights(tensor):
        return False
    # Tokens that are laid out as a map again.
    laid_out = found[id(tensor)].is_map and found[id(inputs[0])].is_tokens
    return laid_out or not is_passive(operation)


def _leaves_one_place(operation, inputs, tensor, layout):
    """Whether a convolution strides over a map until one location is left of it.

    One as large as the map gathers it, as pooling does.
    """
    kernel, strides = (
        getattr(operation, name, None) for name in ("kernel_size", "strides")
    )
    if None in (kernel, strides) or not layout.is_map or has_places(tensor):
        return False
    sides = [
        side
        for axis, side in zip(layout.axes, inputs[0].shape, strict=True)
        if axis in "hw"
    ]
    # With a stride it is one of a network that goes on as if there were more places.
    gathers = keras.tree.flatten(kernel) == sides and {
        *keras.tree.flatten(strides)
    } == {1}
    return sides != [1, 1] and not gathers


def _mixed(mixing, maps, found, ending):
    """Why a map of features tells nothing, and what to pass instead."""
    first = f"{mixing[0].name!r} ({type(mixing[0]).__name__})"
    more = f" and {len(mixing) - 1} more" if len(mixing) > 1 else ""
    grids = {layout.grid for layout in found.values() if layout.grid}
    grid = (
        f"token_grid={grids.pop()}" if len(grids) == 1 else "token_grid=(rows, columns)"
    )
    given = "".join(
        f" To explain {name!r} nevertheless, name it." for name in sorted(maps)[:1]
    )
    return (
        f"{first}{more} between the last 4-D activation and the logits may mix the "
        "locations of the image, so that a map in front of it would not tell where "
        "the evidence lies. Name a layer behind most of that with `feature_layer`, "
        f"whose output is (batch, tokens, channels), and {grid}.{given} Received: "
        f"{ending}"
    )


def named_features(flat, name, found):
    """The output of a named layer.

    Args:
        flat: Flat functional `keras.Model`.
        name: Name of the layer.
        found: The graph's `keras_xcons.models.layouts.layouts`.

    Returns:
        The symbolic output.

    Raises:
        ValueError: There is no such layer, or it has no locations.
    """
    tensors, fit = {}, {}
    # From the images to the logits: the last use of a shared layer counts.
    for depth in sorted(flat._nodes_by_depth, reverse=True):
        for node in flat._nodes_by_depth[depth]:
            operation, output = used(node.operation), node.outputs[0]
            if node.is_input or len(node.outputs) > 1:
                continue
            key, layout = operation.name, found[id(output)]
            # Layers of different nested models may share a name.
            fits = 2 * _is_map(output, layout) or (
                len(output.shape) == 3 and has_places(output)
            )
            if fits >= fit.get(key, 0):
                tensors[key], fit[key] = output, fits
    if name not in tensors:
        best = max(fit.values(), default=0)
        accepted = [each for each in fit if fit[each] == best]
        raise ValueError(checks.unknown("feature layer", name, accepted))
    if not fit[name]:
        raise ValueError(
            "A feature layer must have a 4-D output (batch, height, width, channels) "
            "of more than one location, or tokens (batch, tokens, channels). Received: "
            f"feature_layer={name!r} with output shape {tuple(tensors[name].shape)}"
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
