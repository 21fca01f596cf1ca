"""What the axes of each tensor of a graph are: rows, columns, tokens, channels.

Only a tensor of (batch, height, width, channels) is a map, and nothing but the way
from the images to it tells whether a 4-D tensor is one: a `Permute`, a reshape or a
channels-first layer makes another of it.
"""

import math
import typing

import keras
import numpy as np
import tensorflow as tf

from keras_xcons.models.flatten import used
from keras_xcons.models.kinds import comes_from_keras, exactly, is_keras_operation

# Operations that put numbers of different places or channels into one.
CONTRACTIONS = (
    *("BatchDot", "Dot", "DotProductAttention", "Einsum", "Inner", "Matmul"),
    *("Outer", "Tensordot", "Vdot"),
)
_REDUCTIONS = (
    *("All", "Amax", "Amin", "Any", "Max", "Mean", "Min", "Norm", "Prod", "Std"),
    *("Sum", "Var", "Logsumexp"),
)
_IMAGES, _FIRST, _TOKENS = "bhwc", "bchw", "bnc"


class Layout(typing.NamedTuple):
    """The axes of a tensor.

    Attributes:
        axes: One letter an axis: `b`atch, `h`eight, `w`idth, to`n`ens, `c`hannels; or
            `None` where that is not known.
        grid: `(h, w)` that the tokens come from, or `None`.
        culprit: The operation after which the axes are not known, or the places of
            the tokens.
    """

    axes: str | None
    grid: tuple | None = None
    culprit: keras.Operation | None = None

    @property
    def is_map(self):
        """Whether there are rows, columns and channels, in any order."""
        return self.axes is not None and sorted(self.axes) == sorted(_IMAGES)

    @property
    def is_tokens(self):
        """Whether there are tokens and channels, in any order."""
        return self.axes is not None and sorted(self.axes) == sorted(_TOKENS)


def layouts(flat):
    """The `Layout` of every tensor of a flat graph.

    Args:
        flat: Flat functional model of images `(batch, height, width, channels)`.

    Returns:
        Dict from the `id` of a symbolic tensor to its `Layout`.
    """
    found = {id(flat.inputs[0]): Layout(_IMAGES)}
    for depth in sorted(flat._nodes_by_depth, reverse=True):
        for node in flat._nodes_by_depth[depth]:
            if node.is_input:
                continue
            operation, inputs = used(node.operation), node.input_tensors
            for number, output in enumerate(node.outputs):
                layout = _layout(operation, inputs, output, found)
                if layout.is_map and _is_untold(operation, inputs):
                    apart = _keeps_places_apart(node, number)
                    layout = layout if apart else Layout(None)
                if layout.axes is None and layout.culprit is None:
                    layout = layout._replace(culprit=operation)
                found[id(output)] = layout
    return found


def _layout(operation, inputs, output, found):
    before = [found[id(tensor)] for tensor in inputs]
    unknown = next((each for each in before if each.axes is None), None)
    rank = len(output.shape)
    if rank <= 2:
        return Layout("bc"[:rank])
    own = not comes_from_keras(operation)
    if own and not any(len(tensor.shape) == rank for tensor in inputs):
        # A layer of the user's, such as one that cuts images into tokens: as Keras has
        # it, channels come last.
        return Layout({3: _TOKENS, 4: _IMAGES}.get(rank))
    if unknown is not None:
        return Layout(None, culprit=unknown.culprit)
    if is_keras_operation(operation, *CONTRACTIONS):
        return Layout(None)
    # Of several inputs the one of most places: gates, masks and class tokens are
    # laid over it or beside it.
    same = [i for i, each in enumerate(before) if len(each.axes) == rank]
    main = max(same, key=lambda i: _size(inputs[i]), default=0)
    shape, layout = inputs[main].shape, before[main]
    order = _order(operation, len(layout.axes))
    if order is not None:
        return layout._replace(axes="".join(layout.axes[axis] for axis in order))
    expected = _expected(operation, len(shape))
    if expected is not None and expected != layout.axes:
        return Layout(None)
    if any(sorted(before[i].axes) != sorted(layout.axes) for i in same):
        return Layout(None)
    if any(before[i].axes != layout.axes for i in same):
        return Layout(None)
    if _reshapes(operation):
        return _reshaped(layout, shape, output.shape)
    if is_keras_operation(operation, *_REDUCTIONS):
        return _reduced(operation, layout, rank)
    if exactly(operation, keras.layers.EinsumDense) and not _keeps_places(operation):
        return Layout(None)
    if len(same) == 0:
        return Layout(None)
    if layout.axes == _TOKENS and output.shape[1] != shape[1]:
        return _other_tokens(operation, own, layout, main, inputs)
    return layout


def _other_tokens(operation, own, layout, main, inputs):
    """The layout after tokens were put in front, or left out again.

    How many is told later, from the grid. Behind those of the image none may stand.
    """
    joins = exactly(operation, keras.layers.Concatenate)
    if joins or is_keras_operation(operation, "Concatenate"):
        last = main == len(inputs) - 1
        return layout if last else layout._replace(grid=None, culprit=operation)
    if own or is_keras_operation(operation, "GetItem"):
        return layout
    return layout._replace(grid=None, culprit=operation)


def _is_untold(operation, inputs):
    """Whether only a trial tells what an operation does to the axes of a map."""
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or None in inputs[0].shape[1:]:
        return False
    is_lambda = isinstance(operation, keras.layers.Lambda)
    return (is_lambda or not comes_from_keras(operation)) and not getattr(
        operation, "weights", None
    )


def _size(tensor):
    return math.prod(side or 0 for side in tensor.shape[1:])


def _order(operation, rank):
    """The order in which an operation puts its axes, or `None`."""
    if exactly(operation, keras.layers.Permute):
        return (0, *operation.dims)
    order = list(range(rank))
    if is_keras_operation(operation, "Transpose"):
        axes = operation.axes
        return order[::-1] if axes is None else [axis % rank for axis in axes]
    if is_keras_operation(operation, "Swapaxes"):
        one, two = operation.axis1 % rank, operation.axis2 % rank
        order[one], order[two] = two, one
        return order
    if is_keras_operation(operation, "Moveaxis"):
        sources = [axis % rank for axis in keras.tree.flatten(operation.source)]
        targets = [axis % rank for axis in keras.tree.flatten(operation.destination)]
        rest = [axis for axis in order if axis not in sources]
        for target, source in sorted(zip(targets, sources, strict=True)):
            rest.insert(target, source)
        return rest
    return None


def _expected(operation, rank):
    """The axes that a layer takes its input for, or `None` for any."""
    if not isinstance(operation, keras.Layer) or rank not in (3, 4):
        return None
    data_format = getattr(operation, "data_format", None)
    if data_format is None or exactly(operation, keras.layers.Flatten):
        return None
    if rank == 3:
        return _TOKENS if data_format == "channels_last" else "bcn"
    return _IMAGES if data_format == "channels_last" else _FIRST


def _reshapes(operation):
    layers = (keras.layers.Reshape, keras.layers.Flatten)
    names = ("Reshape", "ExpandDims", "Squeeze")
    return exactly(operation, *layers) or is_keras_operation(operation, *names)


def _reshaped(layout, shape, target):
    """The layout of a reshape that splits or joins places and keeps the channels."""
    sides = dict(zip(layout.axes, shape, strict=True))
    if layout.axes == "bc" and math.prod(target[1:-1]) == 1:
        return Layout({3: _TOKENS, 4: _IMAGES}.get(len(target)))
    if tuple(shape) == tuple(target):
        return layout
    last = layout.axes[-1] == "c" and target[-1] == sides["c"] is not None
    first = layout.axes[1] == "c" and target[1] == sides["c"] is not None
    if not (first or last):
        return Layout(None)
    places = target[1:-1] if last else target[2:]
    if layout.is_map and len(places) == 1:
        grid = (sides["h"], sides["w"])
        axes = _TOKENS if last else "bcn"
        return Layout(axes, None if None in grid else grid)
    if layout.is_tokens and len(places) == 2 and None not in places:
        if math.prod(places) == sides["n"] and layout.grid in (None, tuple(places)):
            return Layout(_IMAGES if last else _FIRST)
    return Layout(None)


def _reduced(operation, layout, rank):
    if rank == len(layout.axes):
        return layout
    axes = [axis % len(layout.axes) for axis in keras.tree.flatten(operation.axis)]
    left = "".join(a for i, a in enumerate(layout.axes) if i not in axes)
    return Layout(left if len(left) == rank else None)


def _keeps_places(layer):
    inputs, rest = layer.equation.split(",")
    return inputs[:-1] == rest.split("->")[1][:-1]


def _keeps_places_apart(node, output):
    """Whether an operation without weights leaves places where rows and columns are.

    A `Lambda` says nothing of what it does. A channel of a place is changed, then that
    of a place in another row, then another channel: what changes behind it must lie
    close together, move by rows, and not move at all.
    """
    (tensor,) = node.input_tensors
    height, width, channels = tensor.shape[1:]
    random = np.random.default_rng(0)
    images = random.uniform(0.25, 0.75, (1, height, width, channels))
    images = np.repeat(images.astype("float32"), 4, axis=0)
    for number, (row, channel) in enumerate(((4, 0), (2, 0), (2, -1)), start=1):
        images[number, height // row, width // 2, channel] += 0.2
    # Also where a model is split while something else is traced.
    with tf.init_scope(), keras.StatelessScope():
        args, kwargs = node.arguments.fill_in({id(tensor): tf.constant(images)})
        # Keras' random layers draw unless they are told.
        if getattr(used(node.operation), "_call_has_training_arg", False):
            kwargs = {**kwargs, "training": False}
        outputs = keras.tree.flatten(node.operation.call(*args, **kwargs))
        outputs = np.asarray(outputs[output], "float64")
    peaks = []
    for change in np.abs(outputs[1:] - outputs[:1]).sum(axis=-1):
        row, column = peak = np.unravel_index(change.argmax(), change.shape)
        near = change[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
        if near.sum() < 0.5 * change.sum():
            return False
        # What was cropped or left out tells nothing.
        peaks.append(np.array(peak) if change.any() else None)
    first, second, third = peaks
    if first is not None and second is not None:
        rows, columns = np.abs(first - second)
        if columns > rows:
            return False
    return second is None or third is None or np.abs(second - third).max() <= 1
