"""The ten silhouettes of the shapes set, as implicit functions.

Each function takes object coordinates `u, v` (float arrays of one shape, `v`
pointing down, the object within about -1..1) and returns a level of that shape:
negative inside the object, zero on its outline, and close to the distance from
the outline near it.
"""

import functools
import math

import numpy as np


def _box(u, v, half_width, half_height):
    return np.maximum(np.abs(u) - half_width, np.abs(v) - half_height)


def circle(u, v):
    """A disc."""
    return np.sqrt(u * u + v * v) - 1.0


def square(u, v):
    """A square."""
    return _box(u, v, 1.0, 1.0)


def triangle(u, v):
    """An equilateral triangle, apex up."""
    return np.maximum(np.abs(u) * math.sqrt(0.75) - 0.5 * v, v) - 0.5


def star(u, v):
    """A pentagram, one tip up."""
    # The five long edges of a pentagram of circumradius 1 lie at cos(72 degrees)
    # from its centre, across from its tips. A point is inside when at most one of
    # them excludes it: the level is the second largest of the five.
    largest = second = np.full_like(u, -np.inf)
    for tip in range(5):
        angle = math.pi / 2 + 2 * math.pi * tip / 5
        plane = math.cos(angle) * u - math.sin(angle) * v - math.cos(0.4 * math.pi)
        second = np.maximum(second, np.minimum(largest, plane))
        largest = np.maximum(largest, plane)
    return second


def cross(u, v):
    """An upright cross with arms of one length."""
    return np.minimum(_box(u, v, 1.0, 0.32), _box(u, v, 0.32, 1.0))


def ring(u, v):
    """A ring."""
    return np.abs(np.sqrt(u * u + v * v) - 0.775) - 0.225


def heart(u, v):
    """A heart."""
    # A square standing on its corner, with a half disc on each upper edge.
    side = math.sqrt(0.5)
    a, b = (u - v) * side, (-u - v) * side
    body = np.maximum(np.abs(a), np.abs(b)) - 0.5
    right = np.sqrt((a - 0.5) ** 2 + b * b) - 0.5
    left = np.sqrt(a * a + (b - 0.5) ** 2) - 0.5
    return np.minimum(body, np.minimum(right, left))


def crescent(u, v):
    """A crescent, open to the right."""
    outer = np.sqrt(u * u + v * v) - 1.0
    inner = np.sqrt((u - 0.55) ** 2 + v * v) - 0.8
    return np.maximum(outer, -inner)


def arrow(u, v):
    """An arrow, pointing up."""
    shaft = _box(u, v - 0.45, 0.22, 0.55)
    head = np.maximum((np.abs(u) - v - 1.0) * math.sqrt(0.5), v)
    return np.minimum(shaft, head)


def hourglass(u, v):
    """Two triangles, tip to tip."""
    # |u| = 0.75 |v| are the slanted edges; a 3-4-5 triangle, hence the 0.8.
    return np.maximum((np.abs(u) - 0.75 * np.abs(v)) * 0.8, np.abs(v) - 1.0)


# The position in this table is the class label.
SILHOUETTES = (
    circle,
    square,
    triangle,
    star,
    cross,
    ring,
    heart,
    crescent,
    arrow,
    hourglass,
)
CLASS_NAMES = tuple(silhouette.__name__ for silhouette in SILHOUETTES)


@functools.cache
def geometry(label, resolution=512):
    """Area, centroid and reach of a silhouette, measured on a fine grid.

    With them, objects of all classes are drawn at the same area, around the same
    centre and inside the image, so that none of these gives the class away.

    Args:
        label: int, the class.
        resolution: int, samples a side of the grid. Defaults to 512.

    Returns:
        `(area, (u, v), radius)`: the area in square units of the object
        coordinates, the centroid, and the largest distance of a point of the
        object from it.

    Example:

    >>> area, _, radius = geometry(CLASS_NAMES.index("square"))
    >>> round(float(area), 1), round(float(radius), 1)
    (4.0, 1.4)
    """
    extent = 1.6
    axis = (np.arange(resolution) + 0.5) / resolution * 2 * extent - extent
    u, v = np.meshgrid(axis, axis)
    inside = SILHOUETTES[label](u, v) < 0
    u, v = u[inside], v[inside]
    area = inside.sum() * (2 * extent / resolution) ** 2
    radius = np.hypot(u - u.mean(), v - v.mean()).max()
    return area, (u.mean(), v.mean()), radius
