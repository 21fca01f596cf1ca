"""The ten texture families of the shapes set's backgrounds.

Each family is a function of a `Field`, the coordinates of a group of samples, and
returns a pattern in 0..1 of shape `(n, H, W)`, which the caller colours from one
tone to another. All lengths are relative to the shorter side of the image, so
that a sample looks the same at every image size.
"""

import numpy as np


class Field:
    """The coordinates in which one group of backgrounds is drawn.

    Args:
        x: float32 `(W,)`, pixel centres from 0 in units of the shorter side.
        y: float32 `(H,)`, likewise.
        draws: dict of float32 `(n,)` in 0..1: `"scale"`, `"angle"`, `"u"` and
            `"v"` (the shift), `"salt"` (the seed of the random lattices).
    """

    def __init__(self, x, y, draws):
        self._x, self._y, self._draws = x, y, draws
        self._zoom = 0.75 + 0.5 * draws["scale"]

    def plane(self, periods):
        """Shifted and rotated `u, v`, running through about `periods` units."""
        angle = np.float32(2 * np.pi) * self._draws["angle"]
        frequency = np.float32(periods) * self._zoom
        cos = (np.cos(angle) * frequency)[:, None, None]
        sin = (np.sin(angle) * frequency)[:, None, None]
        u_shift = 4 * self._draws["u"][:, None, None]
        v_shift = 4 * self._draws["v"][:, None, None]
        x, y = self._x[None, None, :], self._y[None, :, None]
        # Each bracket is a row or a column: only the last sum is over the image.
        return x * cos + (y * sin + u_shift), y * cos + (v_shift - x * sin)

    def radius(self, periods):
        """Distance from a random point, in about `periods` units a side."""
        x = self._x[None, :] - self._draws["u"][:, None]
        y = self._y[None, :] - self._draws["v"][:, None]
        distance = np.sqrt((x * x)[:, None, :] + (y * y)[:, :, None])
        return distance * (np.float32(periods) * self._zoom)[:, None, None]

    def lattice(self, cells, smooth):
        """Random values in 0..1 on about `cells` cells a side.

        Constant in each cell, or, if `smooth`, interpolated linearly between the
        cells: the two are one product of the values with weights of the rows and
        of the columns.
        """
        extent = max(self._x[-1], self._y[-1])
        knots = int(np.ceil(cells * 1.25 * extent)) + 3
        frequency = np.float32(cells) * self._zoom[:, None]
        rows = self._y * frequency + self._draws["u"][:, None]
        columns = self._x * frequency + self._draws["v"][:, None]
        weights = _linear_weights if smooth else _cell_weights
        values = _hashed(self._draws["salt"], knots)
        return weights(rows, knots) @ values @ weights(columns, knots).mT


def _linear_weights(position, knots):
    distance = np.abs(position[:, :, None] - np.arange(knots, dtype=np.float32))
    return np.maximum(np.float32(1) - distance, 0)


def _cell_weights(position, knots):
    cell = np.floor(position)[:, :, None]
    return (cell == np.arange(knots, dtype=np.float32)).astype(np.float32)


def _hashed(salt, side):
    """float32 `(n, side, side)` in 0..1, a hash of the salt and the position.

    The mixing function is `lowbias32` of Chris Wellons' hash-prospector. A row of
    a random generator would do as well, but costs a generator for each sample.
    """
    row, column = np.indices((side, side), dtype=np.uint32)
    cell = row * np.uint32(4096) + column
    state = (salt * 2**24).astype(np.uint32) * np.uint32(0x9E3779B1)
    state = state[:, None, None] + cell
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        state = (state ^ (state >> np.uint32(shift))) * np.uint32(factor)
    state ^= state >> np.uint32(16)
    return (state >> np.uint32(8)).astype(np.float32) * np.float32(2**-24)


def _wave(u):
    """Triangle wave of period 1, in -0.5..0.5."""
    return 2.0 * np.abs(u - np.floor(u) - 0.5) - 0.5


def _step(level, slope):
    """A soft step from 0 to 1 of the given slope around level 0."""
    return np.clip(level * slope + 0.5, 0.0, 1.0)


def stripes(field):
    """Straight stripes."""
    u, _ = field.plane(7.0)
    return _step(_wave(u), 3.0)


def checks(field):
    """A checkerboard."""
    u, v = field.plane(4.0)
    return _step(_wave(u) * _wave(v), 16.0)


def dots(field):
    """Discs on a square grid."""
    u, v = field.plane(6.5)
    u, v = u - np.floor(u) - 0.5, v - np.floor(v) - 0.5
    return _step(0.085 - u * u - v * v, 12.0)


def gradient(field):
    """One slow change from one tone to the other."""
    u, _ = field.plane(0.5)
    return _wave(u) + 0.5


def noise(field):
    """Small squares of random tones."""
    return field.lattice(22, smooth=False)


def clouds(field):
    """Soft blots of two sizes."""
    coarse = field.lattice(4, smooth=True)
    fine = field.lattice(9, smooth=True)
    return _step(0.7 * coarse + 0.3 * fine - 0.5, 2.0)


def waves(field):
    """Zigzag stripes."""
    u, v = field.plane(6.0)
    return _step(_wave(u + 0.9 * _wave(0.6 * v)), 3.0)


def ripples(field):
    """Rings around a point."""
    return _step(_wave(field.radius(7.0)), 3.0)


def mesh(field):
    """Two sets of lines, crossing."""
    u, v = field.plane(6.0)
    return _step(-0.18 - np.minimum(_wave(u), _wave(v)), 8.0)


def bricks(field):
    """A brick wall: the joints of every second row are shifted."""
    u, v = field.plane(6.0)
    # Bricks two rows long; every second row is shifted by half a brick. `_wave` is
    # lowest, and so the joints are, where its argument is halfway between integers.
    u = 0.5 * u + 0.5 * (np.floor(v + 0.5) % 2.0)
    return _step(np.minimum(2.0 * _wave(u) + 0.5, _wave(v)) + 0.3, 8.0)


# The position in this table is the class whose training images stand on it.
TEXTURES = (
    stripes,
    checks,
    dots,
    gradient,
    noise,
    clouds,
    waves,
    ripples,
    mesh,
    bricks,
)
TEXTURE_NAMES = tuple(texture.__name__ for texture in TEXTURES)
