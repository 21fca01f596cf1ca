"""Where in the image that was passed in the feature map lies.

Layers inside a model may crop, pad, resize or turn its images before the features
are computed. A `Frame` follows a graph from its images to its features and tells
which part of an image the map spans; `place` is the one function that lays a map on
an image.
"""

import functools
import typing
from fractions import Fraction

import keras
import numpy as np
import tensorflow as tf

from keras_xcons.models.flatten import used
from keras_xcons.models.moves import is_moving, moves


class Span(typing.NamedTuple):
    """A part of one side of an image, in shares of the side.

    It may begin before the image or end behind it, where a model pads; it ends
    before it begins where the map is a mirror image.
    """

    first: Fraction = Fraction(0)
    end: Fraction = Fraction(1)

    def part(self, first, end):
        """The span of a part, given in shares of this one."""
        length = self.end - self.first
        return Span(self.first + first * length, self.first + end * length)

    def near(self, other, tolerance):
        """Whether both ends of another span are less than `tolerance` away."""
        return all(
            abs(one - two) < tolerance for one, two in zip(self, other, strict=True)
        )


class Window(typing.NamedTuple):
    """The rows and the columns of an image that a map spans."""

    rows: Span = Span()
    columns: Span = Span()


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
        self._window = functools.lru_cache(maxsize=64)(self._follow)

    @property
    def moves(self):
        """Whether anything on the way may move pixels."""
        return not self._still

    def window(self, image_size):
        """The window of the map in images of a size.

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
        return self._window(*(int(side) for side in image_size))

    def check(self):
        """Follows the layers now, where the size of the images is known.

        Raises:
            ValueError: As `window`.
        """
        size = self._images.shape[1:3]
        if None not in size:
            self.window(size)

    def place(self, maps, image_size):
        """Lays maps on images: bilinearly over their window, zeros outside it.

        Works inside a `tf.function`, under XLA where the size is static, and is
        differentiable.

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
        if not self._still and size is None:
            window = tf.numpy_function(self._flat_window, [image_size], tf.float64)
            window = tf.reshape(window, (2, 2))
        elif self._still or self.window(size) == Window():
            return tf.image.resize(maps, image_size)
        else:
            window = tf.constant(self._flat_window(size))
        for axis in (1, 2):
            maps = _stretched(maps, axis, image_size[axis - 1], window[axis - 1])
        return maps

    def _flat_window(self, size):
        return np.array(self.window(size), "float64")

    def _follow(self, height, width):
        """The window of the features in images of a size, along the graph."""
        images, features = self._images, self._features
        # Of each tensor its window, and a spec that knows its size.
        windows = {id(images): Window()}
        specs = {id(images): _spec(images, (height, width))}
        for number, node in enumerate(self._nodes):
            window = _merged(node, windows, specs)
            changes = moves(node, specs, self._users, self._nodes[:number])
            outputs = _output_specs(node, specs, changes[0])
            for tensor, spec, change in zip(
                node.outputs, outputs, changes, strict=True
            ):
                shown = window
                if change is not None:
                    rows, columns = change.parts
                    shown = Window(
                        window.rows.part(*rows), window.columns.part(*columns)
                    )
                windows[id(tensor)], specs[id(tensor)] = shown, spec
        return windows[id(features)]


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
    tensors = node.input_tensors
    # What has one value an image, or one a channel, lies wherever it is used.
    spatial = [each for each in tensors if _is_spatial(specs[id(each)])] or tensors
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


def _is_spatial(spec):
    return len(spec.shape) == 4 and spec.shape[1:3] != (1, 1)


def _shown(windows):
    shares = sorted(
        {tuple(float(share) for span in window for share in span) for window in windows}
    )
    return " and ".join(
        f"rows {a:.3g}..{b:.3g}, columns {c:.3g}..{d:.3g}" for a, b, c, d in shares
    )


def _stretched(maps, axis, side, span):
    """Maps, one axis of them interpolated to the part of the image that they span."""
    cells = tf.shape(maps)[axis] if maps.shape[axis] is None else maps.shape[axis]
    centres = (tf.range(side, dtype=tf.float64) + 0.5) / tf.cast(side, tf.float64)
    share = (centres - span[0]) / (span[1] - span[0])
    # Centres of cells, held at the outer ones, as `tf.image.resize` does.
    place = share * tf.cast(cells, tf.float64) - 0.5
    place = tf.clip_by_value(place, 0.0, tf.cast(cells - 1, tf.float64))
    lower = tf.cast(tf.floor(place), tf.int32)
    upper = tf.minimum(lower + 1, cells - 1)
    shape = [1] * maps.shape.rank
    shape[axis] = -1
    rest = tf.cast(place - tf.floor(place), tf.float32)
    inside = tf.cast((share > 0.0) & (share < 1.0), tf.float32)
    rest, inside = tf.reshape(rest, shape), tf.reshape(inside, shape)
    below, above = tf.gather(maps, lower, axis=axis), tf.gather(maps, upper, axis=axis)
    return (below + (above - below) * rest) * inside


# Of maps that lie over the whole image.
_IMAGES = keras.KerasTensor((None, None, None, 3))
WHOLE = Frame(_IMAGES, _IMAGES)
