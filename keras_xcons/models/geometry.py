"""Where the cells of a feature map lie, by the strides and paddings on the way to it.

A strided convolution with 'same' padding pads on one side, so that what a cell sees
is not centred under the cell. Along one side, with a window of k cells, dilation d,
stride s and p cells of padding in front, output cell i is centred at the input cell
`i·s + ((k - 1)·d) / 2 - p`. Followed exactly, in fractions, from the images to the
features, this tells where in the image the grid of the cells lies. (The arithmetic of
receptive fields, as in [Araujo et al., 2019](https://doi.org/10.23915/distill.00021).)
"""

from fractions import Fraction

import keras

from keras_xcons.models.flatten import used
from keras_xcons.models.kinds import kind_of
from keras_xcons.models.moves import Move, outside, padding_of, pixels
from keras_xcons.models.windows import Span, Window

_CONVOLUTIONS = ("Conv2D", "DepthwiseConv2D", "SeparableConv2D")
_POOLS = ("AveragePool", "AveragePooling2D", "MaxPool", "MaxPooling2D")
_OPERATIONS = ("Conv", "DepthwiseConv", "SeparableConv")
_TRANSPOSED = ("Conv2DTranspose", "ConvTranspose")
_LAYERS = (*_CONVOLUTIONS, *_POOLS, "Conv2DTranspose")


def cells_move(node, specs, output, move):
    """What a node does to the grid of the cells.

    Args:
        node: A node of a Keras graph.
        specs: Dict from the id of a tensor to its `keras.KerasTensor` of known size.
        output: Spec of its output.
        move: The `Move` of the pixels that it shows, or `None` where they stay.

    Returns:
        A `Move`, or `None` where the grid stays.

    Raises:
        ValueError: A layer of the user's, with weights, makes a grid of another size.
    """
    spec = specs[id(node.input_tensors[0])]
    operation = used(node.operation)
    if len(spec.shape) != 4:
        return move
    if len(output.shape) != 4:
        _check_grid(operation, spec, output)
        return move
    while isinstance(operation, keras.layers.Wrapper):  # spectral normalisation
        operation = operation.layer
    kind = kind_of(operation) or _base(operation, spec, output)
    if kind in ("ZeroPadding2D", "Pad"):
        # Also what a window right behind it takes away again.
        size = _sides(operation, spec)
        return pixels(size, outside(padding_of(operation), size))
    window = _window(node, operation, kind)
    if window is None:
        _check_grid(operation, spec, output)
        return move if move is None or move.grid is None else Move(move.grid)
    sizes, targets = _sides(operation, spec), _sides(operation, output)
    follow = _transposed if kind in _TRANSPOSED else _strided
    same = operation.padding == "same"
    parts = [follow(*each, same) for each in zip(sizes, targets, *window, strict=True)]
    return Move(tuple(parts))


def mean_window(windows, shares):
    """The grid of cells that several branches make together.

    Where strides and paddings of branches differ, as in a residual block whose
    shortcut pads otherwise, no place is right for both: the mean is our choice.

    Args:
        windows: List of `Window`, one a branch.
        shares: List of positive ints, how much each counts.

    Returns:
        A `Window`.
    """
    first = windows[0]
    if all(each == first for each in windows):
        return first
    total = sum(shares)
    spans = []
    for axis in (0, 1):
        pairs = list(zip(shares, (each[axis] for each in windows), strict=True))
        ends = [sum(n * span[end] for n, span in pairs) / total for end in (0, 1)]
        spans.append(Span(*ends))
    return Window(*spans)


def branch_shares(node, tensors, specs):
    """How much each branch counts where they meet: by its channels if it keeps them.

    Args:
        node: The node at which they meet.
        tensors: Its inputs that are maps.
        specs: As for `cells_move`.

    Returns:
        List of positive ints.
    """
    if kind_of(used(node.operation)) != "Concatenate":
        return [1] * len(tensors)
    return [specs[id(each)].shape[-1] or 1 for each in tensors]


def _sides(operation, spec):
    first = getattr(operation, "data_format", None) == "channels_first"
    return spec.shape[2:4] if first else spec.shape[1:3]


def _base(operation, spec, output):
    """The class of Keras that a layer of the user's moves a window as, or `None`.

    Whatever it does to its kernel, such as standardise it: it has the strides and
    paddings of the class, and makes maps of the size that the class makes.
    """
    for base in type(operation).__mro__:
        if base.__module__.startswith("keras.") and base.__name__ in _LAYERS:
            made = base.compute_output_shape(operation, spec.shape)
            return base.__name__ if tuple(made[1:]) == tuple(output.shape[1:]) else None
    return None


def _check_grid(operation, spec, output):
    """Refuses a layer of the user's, with weights, that makes another grid."""
    unknown = kind_of(operation) is None and getattr(operation, "weights", None)
    sizes, found = spec.shape[1:], output.shape[1:]
    if unknown and (len(found) != 3 or sizes[:2] != found[:2]):
        raise ValueError(
            'align="geometric" follows strides and paddings, and what the layer '
            f"{operation.name!r} of class {type(operation).__name__} does inside it "
            "cannot see: measure the offset by `keras_xcons.calibrate`, or pass "
            "align=(rows, columns) in pixels, or align=False. Received: a layer that "
            f"makes {tuple(found)} of {tuple(sizes)}"
        )


def _window(node, operation, kind):
    """Window, stride and dilation of an operation, a pair each; `None` without one."""
    if kind in _POOLS:
        sides = _pair(operation.pool_size)
        strides = sides if operation.strides is None else _pair(operation.strides)
        return sides, strides, (1, 1)
    if kind in _CONVOLUTIONS or kind == "Conv2DTranspose":
        sides = _pair(operation.kernel_size)
    elif kind in _OPERATIONS or kind == "ConvTranspose":
        sides = _kernel(node).shape[:2]
    else:
        return None
    return sides, _pair(operation.strides), _pair(operation.dilation_rate)


def _kernel(node):
    """The kernel that an operation of `keras.ops` is called with."""
    arguments = [*node.arguments.args, *node.arguments.kwargs.values()]
    tensors = [each for each in arguments if len(getattr(each, "shape", ())) == 4]
    return tensors[1]


def _pair(value):
    return (value, value) if isinstance(value, int) else tuple(value)


def _strided(count, target, side, stride, rate, same):
    """The part of a side of `count` cells that `target` strided windows span."""
    reach = rate * (side - 1)
    front = max((target - 1) * stride + reach + 1 - count, 0) // 2 if same else 0
    # Half a stride before the centre of the first window.
    first = Fraction(reach + 1 - stride, 2) - front
    return first / count, (first + target * stride) / count


def _transposed(count, target, side, stride, rate, same):
    """The part that the output of a transposed convolution spans."""
    reach = rate * (side - 1)
    front = max((count - 1) * stride + reach + 1 - target, 0) // 2 if same else 0
    first = Fraction(front - Fraction(reach + 1, 2), stride) + Fraction(1, 2)
    return first / count, (first + Fraction(target, stride)) / count
