"""Parts of an image, and maps stretched over them."""

import math
import typing
from fractions import Fraction

import tensorflow as tf


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

    def moved(self, share):
        """The span, moved by a share of the side."""
        return Span(self.first + share, self.end + share)

    def near(self, other, tolerance):
        """Whether both ends of another span are less than `tolerance` away."""
        return all(
            abs(one - two) < tolerance for one, two in zip(self, other, strict=True)
        )


class Window(typing.NamedTuple):
    """The rows and the columns of an image that a map spans."""

    rows: Span = Span()
    columns: Span = Span()

    def pixels(self, size):
        """The pixels of an image of a size whose centres it holds, and at least one.

        Args:
            size: `(H, W)`, ints.

        Returns:
            `(rows, columns)`, slices.

        Example:

        >>> Window(rows=Span(Fraction(1, 4), Fraction(3, 4))).pixels((8, 8))
        (slice(2, 6, None), slice(0, 8, None))
        """
        found = []
        for span, side in zip(self, size, strict=True):
            low, high = sorted(share * side - Fraction(1, 2) for share in span)
            start = min(max(math.floor(low) + 1, 0), side - 1)
            found.append(slice(start, max(min(math.ceil(high), side), start + 1)))
        return tuple(found)


def moved_windows(shifts, counts):
    """Where maps lie that show the whole image and are moved, in the graph.

    Args:
        shifts: `(rows, columns)`, floats, in the units of `counts`.
        counts: Integer tensor `(2,)`, how many of them a side of the image has.

    Returns:
        Float64 tensor `(2, 2, 2)`: what the cells tile and what the map shows, of both
        the rows and the columns, as first and end in shares of the side.
    """
    shares = tf.constant(shifts, tf.float64) / tf.cast(counts, tf.float64)
    whole = tf.constant([[0.0, 1.0], [0.0, 1.0]], tf.float64)
    return tf.stack([whole + shares[:, None], whole])


def stretched(maps, axis, side, cells, seen):
    """Maps, one axis of them interpolated to where their cells lie in the image.

    Args:
        maps: Float32 tensor of any rank.
        axis: The axis of its cells.
        side: Number of pixels of the image.
        cells: `(first, end)` of what the cells tile, in shares of the side.
        seen: `(first, end)` of what the map shows; it is zero outside it.

    Returns:
        Float32 tensor with `side` values on the axis.
    """
    count = tf.shape(maps)[axis] if maps.shape[axis] is None else maps.shape[axis]
    centres = (tf.range(side, dtype=tf.float64) + 0.5) / tf.cast(side, tf.float64)
    # Centres of cells, held at the outer ones, as `tf.image.resize` does.
    place = (centres - cells[0]) / (cells[1] - cells[0])
    place = place * tf.cast(count, tf.float64) - 0.5
    place = tf.clip_by_value(place, 0.0, tf.cast(count - 1, tf.float64))
    lower = tf.cast(tf.floor(place), tf.int32)
    upper = tf.minimum(lower + 1, count - 1)
    shape = [1] * maps.shape.rank
    shape[axis] = -1
    rest = tf.reshape(tf.cast(place - tf.floor(place), tf.float32), shape)
    share = (centres - seen[0]) / (seen[1] - seen[0])
    inside = tf.reshape(tf.cast((share > 0.0) & (share < 1.0), tf.float32), shape)
    below, above = tf.gather(maps, lower, axis=axis), tf.gather(maps, upper, axis=axis)
    return (below + (above - below) * rest) * inside
