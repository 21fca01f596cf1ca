"""What an operation of a graph does to the places of the pixels it is given.

Most keep them: convolutions, pooling, norms, activations. What crops, pads, resizes
or turns images is known by its class; what could do anything (a `Lambda`, a layer of
the user's) is asked by way of its gradients.
"""

import typing
from fractions import Fraction

import numpy as np
from keras import layers

from keras_xcons.models.flatten import used
from keras_xcons.models.gradient_trace import traced_parts
from keras_xcons.models.kinds import kind_of

# Keras' operations that rearrange pixels, by an argument or a tensor.
_ARRANGING = {
    *("AffineTransform", "CropImages", "ElasticTransform", "Flip", "GetItem"),
    *("MapCoordinates", "PerspectiveTransform", "Roll", "Rot90", "ScaleAndTranslate"),
    "Take",
}
_SPLITTING = ("ArraySplit", "Split")
# Puts places into an order or a sum, along an axis.
_ACCUMULATING = ("Argsort", "Cumprod", "Cumsum", "Diff", "Sort")
# Where rows and columns are after these, the layout of the tensors tells.
_REORDERING = ("Moveaxis", "Permute", "Swapaxes", "ToMap", "Transpose")
_HANDING_ON = {
    *("Cast", "ConvertToTensor", "CropImages", "Cropping2D", "Flip", "GetItem"),
    *("Identity", "Pad", "PadImages", "Resize", "Roll", "Rot90", "ZeroPadding2D"),
}


class Move(typing.NamedTuple):
    """What part of its input an output shows.

    Attributes:
        parts: `((first, end), (first, end))` of rows and columns, in shares.
        size: `(h, w)` of the output, where the graph's own is not to be believed.
        grid: What the cells of the output tile, where that is not `parts`.
    """

    parts: tuple
    size: tuple | None = None
    grid: tuple | None = None


def is_moving(node, users):
    """Whether a node may move pixels.

    Args:
        node: A node of a Keras graph.
        users: Dict from the id of a tensor to the nodes that take it.
    """
    operation = used(node.operation)
    inputs, kind = node.input_tensors, kind_of(operation)
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        return False
    if kind in _ACCUMULATING:
        return operation.axis is None or operation.axis % 4 in (1, 2)
    if any(len(tensor.shape) != 4 for tensor in node.outputs):
        return False
    if len(node.outputs) > 1:
        return kind in _SPLITTING or _is_unknown(operation)
    if kind in ("ZeroPadding2D", "Pad"):
        return not _is_consumed(node, users)
    if kind in ("Resize", "Resizing"):
        return operation.crop_to_aspect_ratio or operation.pad_to_aspect_ratio
    if kind in ("CenterCrop", "Cropping2D", "PadImages"):
        return True
    return _is_unknown(operation)


def reorders(operation):
    """Whether an operation puts the axes of its input into another order."""
    return type(operation).__name__ in _REORDERING


def hands_on(operation):
    """Whether an operation only leaves out, adds or rearranges pixels."""
    return kind_of(operation) in _HANDING_ON


def moves(node, specs, users, before=()):
    """What a node does to places in inference, for each of its outputs.

    Args:
        node: A node of a Keras graph.
        specs: As in `move`.
        users: As in `is_moving`.
        before: The nodes before it.

    Returns:
        List of a `Move`, or `None` where places stay, for each output.

    Raises:
        ValueError: As `move`.
    """
    numbers = range(len(node.outputs))
    return [move(node, specs, users, before, number) for number in numbers]


def move(node, specs, users, before=(), number=0):
    """What a node does to places in inference.

    Args:
        node: A node of a Keras graph.
        specs: Dict from the id of a tensor to its `keras.KerasTensor` of known size.
        users: As in `is_moving`.
        before: The nodes before it.
        number: Which of its outputs. Defaults to the first.

    Returns:
        A `Move`, or `None` where places stay.

    Raises:
        ValueError: It cannot be described as a part of the input.
    """
    operation = used(node.operation)
    kind = kind_of(operation)
    spec = specs[id(node.input_tensors[0])]
    if kind == "RandomCrop":
        # It leaves images as they are in inference, whatever shape it declares.
        return Move(((0, 1), (0, 1)), spec.shape[1:3])
    if not is_moving(node, users):
        return None
    channels_first = getattr(operation, "data_format", None) == "channels_first"
    size = spec.shape[2:4] if channels_first else spec.shape[1:3]
    if kind in _ACCUMULATING:
        raise _refusal(operation, "brings places together")
    if any(reorders(used(each.operation)) for each in before):
        if kind in _SPLITTING:
            return None
        raise _refusal(operation, "moves pixels behind a change of the axes")
    edges = _edges(operation, kind, size)
    if edges is not None:
        return pixels(size, edges)
    traced = traced_parts(node, specs, number=number)
    if traced is None:
        raise _refusal(operation, "moves pixels in a way that is no crop")
    parts, grid = traced
    return Move(parts, grid=grid)


def _refusal(operation, reason):
    return ValueError(
        f"The layer {operation.name!r} ({type(operation).__name__}) {reason}, so that "
        "heatmaps cannot be laid on the images. Move it out of the model, into the "
        "dataset, or put CenterCrop, Cropping2D, Resizing, ZeroPadding2D or a slice "
        f"in its place. Received: a model with the layer {operation.name!r}"
    )


def _edges(operation, kind, size):
    """First and last edge of rows and of columns, in pixels of the input.

    `None` for an operation that is not known by its class.
    """
    if kind in ("ZeroPadding2D", "Pad"):
        return outside(padding_of(operation), size)
    if kind == "PadImages":
        starts = (operation.top_padding, operation.left_padding)
        ends = (operation.bottom_padding, operation.right_padding)
        target = (operation.target_height, operation.target_width)
        found = zip(starts, ends, target, size, strict=True)
        return outside([_both_pads(*each) for each in found], size)
    if kind == "Cropping2D":
        return outside([(-a, -b) for a, b in operation.cropping], size)
    if kind == "CenterCrop":
        target = (operation.height, operation.width)
        spare = [side - wanted for side, wanted in zip(size, target, strict=True)]
        if min(spare) < 0:
            return _of_aspect(size, target)
        starts = [each // 2 for each in spare]
        return [(s, s + t) for s, t in zip(starts, target, strict=True)]
    if kind in ("Resize", "Resizing"):
        target = getattr(operation, "size", None) or (operation.height, operation.width)
        return _of_aspect(size, target, operation.pad_to_aspect_ratio)
    return None


def _both_pads(start, end, target, side):
    """What is padded on both sides, of which one may be told by the target."""
    if start is None:
        return target - side - end, end
    return start, target - side - start if end is None else end


def outside(pads, size):
    """Edges that lie outside the input by what is padded."""
    return [(-a, side + b) for (a, b), side in zip(pads, size, strict=True)]


def pixels(size, edges):
    """A `Move` to the part between edges in pixels."""
    return Move(
        tuple(
            (Fraction(first, side), Fraction(end, side))
            for side, (first, end) in zip(size, edges, strict=True)
        )
    )


def _of_aspect(size, target, pads=False):
    """The edges of the centred part of the target's aspect ratio.

    Rounded as Keras does: it either crops to it or pads to it before it resizes.
    """
    edges = []
    for axis in (0, 1):
        other = np.float32(size[1 - axis] * target[axis]) / np.float32(target[1 - axis])
        side = size[axis]
        if pads:
            spare = int((max(side, int(other)) - side) / 2)
            edges.append((-spare, side + spare))
        else:
            kept = max(min(side, int(other)), 1)
            start = int((side - kept) / 2)
            edges.append((start, start + kept))
    return edges


def _is_unknown(operation):
    """Whether only a trial tells where an operation leaves pixels.

    A layer of the user's with weights is taken for a kind of convolution, as the
    gradients of a deep one tell no place.
    """
    if kind_of(operation) in _ARRANGING or isinstance(operation, layers.Pipeline):
        return True
    if isinstance(operation, layers.Lambda):
        return True
    if reorders(operation):
        return False
    return kind_of(operation) is None and not getattr(operation, "weights", None)


def padding_of(operation):
    """`((top, bottom), (left, right))` of an operation that pads."""
    if kind_of(operation) == "ZeroPadding2D":
        return operation.padding
    widths = operation.pad_width
    return (tuple(widths) * 4)[1:3] if len(widths) == 1 else tuple(widths[1:3])


def _is_consumed(node, users):
    """Whether padding is but what a window right behind it needs, as in a ResNet."""
    behind = users.get(id(node.outputs[0]), [])
    pads = [first + end for first, end in padding_of(used(node.operation))]
    return bool(behind) and all(_takes(used(each.operation), pads) for each in behind)


def _takes(operation, pads):
    window = getattr(operation, "kernel_size", getattr(operation, "pool_size", None))
    if window is None or getattr(operation, "padding", None) != "valid":
        return False
    rates = getattr(operation, "dilation_rate", (1, 1))
    return all(
        total <= rate * (side - 1)
        for total, rate, side in zip(pads, rates, window, strict=True)
    )
