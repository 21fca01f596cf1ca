"""Where in the image that was passed in the feature map lies.

Layers inside a model may crop, pad, resize or turn its images before the features
are computed, and strided layers that pad on one side shift the features against
what they see. A `Frame` follows a graph from its images to its features and tells
which part of an image the map shows and where in it its cells lie; `place` is the one
function that lays a map on an image.
"""

import copy
import functools

import keras
import numpy as np
import tensorflow as tf

from keras_xcons.models.flatten import used
from keras_xcons.models.geometry import branch_shares, cells_move, mean_window
from keras_xcons.models.moves import is_moving, moves
from keras_xcons.models.offset import Offset
from keras_xcons.models.windows import Window, moved_windows, stretched


class Frame:
    """The part of the images that a tensor of a graph shows.

    Args:
        images: Symbolic images `(B, H, W, channels)`, the input of a flat graph.
        features: Symbolic tensor that is computed from them.

    Example:

    >>> images = keras.Input((32, 32, 3))
    >>> frame = Frame(images, keras.layers.CenterCrop(16, 16)(images))
    >>> frame.window((32, 32)).rows
    Span(first=Fraction(1, 4), end=Fraction(3, 4))
    """

    def __init__(self, images, features):
        self._images = images
        self._features = features
        self._nodes = nodes_between(images, features)
        self._users = {}
        for node in self._nodes:
            for tensor in node.input_tensors:
                self._users.setdefault(id(tensor), []).append(node)
        moving = (is_moving(node, self._users) for node in self._nodes)
        self._still = not any(moving)
        self._align = None
        self._seen = functools.lru_cache(maxsize=64)(self._follow)
        self._gridded = functools.lru_cache(maxsize=64)(self._follow_cells)

    @property
    def moves(self):
        """Whether anything on the way may move pixels."""
        return not self._still

    @property
    def shifts(self):
        """Whether maps are laid elsewhere than over the whole image, as they are."""
        return self.moves or self._align is not None

    @property
    def _shifts(self):
        """Rows and columns of an offset, in cells or in pixels."""
        if isinstance(self._align, Offset):
            return self._align.rows, self._align.columns
        return self._align

    def aligned(self, align):
        """This frame, with the cells of its maps where they lie.

        Args:
            align: `None` for the nominal placement, in which the cells tile what the
                map shows; `"geometric"` for where strides and paddings put them; an
                `Offset`, as measured; or `(rows, columns)` in pixels of the image.

        Returns:
            A `Frame`.
        """
        if align == self._align:
            return self
        other = copy.copy(self)
        other._align = align
        return other

    def window(self, image_size):
        """The part of images of a size that the map shows.

        Args:
            image_size: `(H, W)` in pixels, ints.

        Returns:
            `Window(rows, columns)`.

        Raises:
            ValueError: A layer moves pixels in a way that no window describes, or
                differently every time.
        """
        if self._still:
            return Window()
        return self._seen(*(int(side) for side in image_size))[0]

    def cells(self, image_size):
        """The part of images of a size that the cells of the map tile, when aligned.

        Args:
            image_size: `(H, W)` in pixels, ints.

        Returns:
            `Window(rows, columns)`; may end outside the image or within it. Exact for
            `"geometric"`, where all branches of the network agree; else their mean.

        Raises:
            ValueError: As `window`.
        """
        size = tuple(int(side) for side in image_size)
        if self._align == "geometric":
            return self._gridded(*size)
        window = self.window(size)
        if self._align is None:
            return window
        if isinstance(self._align, Offset):
            # Of cells, of which the graph knows the number.
            _, grid = self._seen(*size)
            spans = zip(window, self._shifts, grid, strict=True)
            shifts = [(s.end - s.first) * o / n for s, o, n in spans]
        else:
            shifts = [o / n for o, n in zip(self._shifts, size, strict=True)]
        return Window(*(s.moved(o) for s, o in zip(window, shifts, strict=True)))

    def offset(self, image_size):
        """How far aligned maps are moved, from their nominal placement.

        Args:
            image_size: `(H, W)` in pixels, ints.

        Returns:
            `(rows, columns)`, floats in pixels; positive is down and to the right. The
            shift at the middle of the map, where an odd size has cells of another
            width.

        Raises:
            ValueError: As `window`.

        Example:

        >>> view = keras_xcons.split(keras.applications.MobileNetV2(weights=None))
        >>> view.frame.aligned("geometric").offset((224, 224))
        (15.5, 15.5)
        """
        pairs = zip(self.cells(image_size), self.window(image_size), strict=True)
        shifts = [sum(cells) / 2 - sum(seen) / 2 for cells, seen in pairs]
        return tuple(
            float(shift * int(side))
            for shift, side in zip(shifts, image_size, strict=True)
        )

    def check(self):
        """Follows the layers now, where the size of the images is known.

        Raises:
            ValueError: As `window`.
        """
        size = self._images.shape[1:3]
        if None not in size:
            self.window(size)
            self.cells(size)

    def place(self, maps, image_size):
        """Lays maps on images: bilinearly over their window, zeros outside it.

        Between the centres of its cells a map is interpolated, beyond the outer ones
        it is held. Works inside a `tf.function`, under XLA where the size is static,
        and is differentiable.

        Args:
            maps: Float tensor `(B, h, w)`, or features `(B, h, w, K)`.
            image_size: `(H, W)` in pixels, ints or an integer tensor.

        Returns:
            Float32 tensor `(B, H, W)`, or `(B, H, W, K)`.
        """
        maps = tf.cast(maps, tf.float32)
        if maps.shape.rank == 3:
            return self.place(maps[..., None], image_size)[..., 0]
        size = tf.get_static_value(tf.convert_to_tensor(image_size))
        if not self.shifts:
            return tf.image.resize(maps, image_size)
        if size is None and self._still and self._align != "geometric":
            # XLA takes no function of NumPy, and an offset must not end a training.
            of_cells = isinstance(self._align, Offset)
            counts = tf.shape(maps)[1:3] if of_cells else image_size
            found = moved_windows(self._shifts, counts)
        elif size is None:
            found = tf.numpy_function(self._windows, [image_size], tf.float64)
            found = tf.reshape(found, (2, 2, 2))
        else:
            found = self._windows(size)
            if (found == [0.0, 1.0]).all():
                return tf.image.resize(maps, image_size)
        cells, seen = found[0], found[1]
        for axis in (1, 2):
            side = image_size[axis - 1]
            maps = stretched(maps, axis, side, cells[axis - 1], seen[axis - 1])
        return maps

    def _windows(self, size):
        return np.array([self.cells(size), self.window(size)], "float64")

    def _follow(self, height, width, gridded=False):
        """The window of the features in images of a size, along the graph.

        Args:
            height: Of the images.
            width: Likewise.
            gridded: Whether to follow the grid of the cells instead of what they show.

        Returns:
            The window, and `(rows, columns)` of the features.
        """
        images, features = self._images, self._features
        # Of each tensor its window, and a spec that knows its size.
        windows = {id(images): Window()}
        specs = {id(images): _spec(images, (height, width))}
        for number, node in enumerate(self._nodes):
            merged = _middle if gridded else _merged
            window = merged(node, windows, specs)
            changes = moves(node, specs, self._users, self._nodes[:number])
            outputs = _output_specs(node, specs, changes[0])
            for tensor, spec, change in zip(
                node.outputs, outputs, changes, strict=True
            ):
                shown = window
                if gridded:
                    change = cells_move(node, specs, spec, change)
                if change is not None:
                    rows, columns = change.parts
                    shown = Window(
                        window.rows.part(*rows), window.columns.part(*columns)
                    )
                windows[id(tensor)], specs[id(tensor)] = shown, spec
        return windows[id(features)], specs[id(features)].shape[1:3]

    def _follow_cells(self, height, width):
        return self._follow(height, width, gridded=True)[0]


def nodes_between(images, features):
    """The nodes of a graph that lead from its images to a tensor.

    Args:
        images: Symbolic images.
        features: Symbolic tensor that is computed from them.

    Returns:
        List of Keras' nodes, each after those that it takes tensors of.
    """
    order, done, stack = [], {id(images)}, [(features, False)]
    while stack:
        tensor, visited = stack.pop()
        if id(tensor) in done:
            continue
        history = tensor._keras_history
        node = history.operation._inbound_nodes[history.node_index]
        if node.is_input:
            done.add(id(tensor))
        elif visited:
            order.append(node)
            done.update(id(output) for output in node.outputs)
        else:
            stack.append((tensor, True))
            stack.extend((each, False) for each in node.input_tensors)
    return order


def _spec(tensor, size):
    return keras.KerasTensor(
        (*tensor.shape[:1], *size, *tensor.shape[3:]), tensor.dtype
    )


def _output_specs(node, specs, change):
    """Specs of a node's outputs, worked out anew only where the graph's own differ."""
    if change is not None and change.size is not None:
        return [_spec(specs[id(node.input_tensors[0])], change.size)]
    same = all(specs[id(each)].shape == each.shape for each in node.input_tensors)
    if same and all(None not in each.shape[1:] for each in node.outputs):
        return node.outputs
    args, kwargs = node.arguments.fill_in(specs)
    return keras.tree.flatten(used(node.operation).compute_output_spec(*args, **kwargs))


def _merged(node, windows, specs):
    """The window that the inputs of a node share.

    Less than one cell apart they are taken for the same: networks shift one branch by
    a pixel against another before both are pooled.
    """
    spatial = _spatial(node, specs)
    found = [windows[id(each)] for each in spatial]
    first = Window() if Window() in found else found[0]
    for axis in (0, 1):
        shapes = [specs[id(each)].shape for each in spatial]
        sides = [shape[axis + 1] for shape in shapes if len(shape) == 4]
        cell = abs(first[axis].end - first[axis].first) / min(sides, default=1)
        if not all(first[axis].near(other[axis], cell) for other in found):
            raise ValueError(
                f"The layer {used(node.operation).name!r} brings together features of "
                "different parts of the image, so that no part can be shown. Move "
                "cropping, padding and flipping in front of the branches, or out of "
                f"the model. Received: inputs that span {_shown(found)}"
            )
    return first


def _middle(node, windows, specs):
    """The grid of cells that the inputs of a node have, in the mean."""
    spatial = _spatial(node, specs)
    shares = branch_shares(node, spatial, specs)
    return mean_window([windows[id(each)] for each in spatial], shares)


def _spatial(node, specs):
    """The inputs of a node that lie somewhere.

    What has one value an image, or one a channel, lies wherever it is used.
    """
    tensors = node.input_tensors
    return [each for each in tensors if _is_spatial(specs[id(each)])] or tensors


def _is_spatial(spec):
    return len(spec.shape) == 4 and spec.shape[1:3] != (1, 1)


def _shown(windows):
    shares = sorted(
        {tuple(float(share) for span in window for share in span) for window in windows}
    )
    return " and ".join(
        f"rows {a:.3g}..{b:.3g}, columns {c:.3g}..{d:.3g}" for a, b, c, d in shares
    )


# Of maps that lie over the whole image.
_IMAGES = keras.KerasTensor((None, None, None, 3))
WHOLE = Frame(_IMAGES, _IMAGES)
