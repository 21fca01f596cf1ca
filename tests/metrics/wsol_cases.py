"""Seeded maps and boxes on which wsolevaluation's own functions have been run."""

import numpy as np

THRESHOLDS = [0.0, 0.1, 0.25, 0.5, 0.52, 0.75, 0.9, 0.98]
LEVELS = [0.3, 0.5, 0.7]
_COUNT = 120


def cases():
    """Yields `(kind, maps, boxes)`: float64 `(N, h, w)` in 0..1, boxes `(N, 2, 4)`."""
    makers = {"noise": _noise, "coarse": _coarse, "rings": _rings, "flat": _flat}
    for seed, (kind, make) in enumerate(makers.items()):
        draw = np.random.default_rng(seed)
        maps = make(draw)
        # Whole pixels of a side of 16 or 20, which floats hold exactly or nearly.
        height, width = maps.shape[1:]
        corners = np.sort(draw.integers(0, [height, width], (_COUNT, 2, 2, 2)), axis=2)
        corners[:, :, 1] += 1
        boxes = corners.reshape(_COUNT, 2, 4) / [height, width, height, width]
        yield kind, maps, boxes


def _noise(draw):
    return draw.uniform(size=(_COUNT, 16, 20))


def _coarse(draw):
    """Blocks, with many equal values that touch by sides, corners and at the edges."""
    small = draw.integers(0, 4, (_COUNT, 4, 5)) / 3.0
    return small.repeat(4, axis=1).repeat(4, axis=2)


def _rings(draw):
    """Rings around holes, some with an island, beside a bar as wide as a hole."""
    rows, columns = np.mgrid[:16, :20]
    centre = draw.uniform(3, 13, (2, _COUNT, 1, 1))
    distance = np.hypot(rows - centre[0], columns - centre[1])
    radius = draw.uniform(2, 7, (_COUNT, 1, 1))
    ring = np.exp(-(((distance - radius) / 1.2) ** 2))
    island = draw.uniform(size=(_COUNT, 1, 1)) * (distance < 1.5)
    bar = draw.uniform(size=(_COUNT, 1, 1)) * (columns > 16)
    return np.clip(np.maximum(ring, np.maximum(island, bar)), 0.0, 1.0)


def _flat(draw):
    """The same everywhere, nearly so, all zeros, or a few single pixels."""
    maps = np.full((_COUNT, 16, 20), 1.0) * draw.uniform(size=(_COUNT, 1, 1))
    maps[::4] = 0.0
    maps[1::4] *= draw.uniform(0.99, 1.0, maps[1::4].shape)
    maps[2::4] = draw.uniform(size=maps[2::4].shape) > 0.98
    return maps
