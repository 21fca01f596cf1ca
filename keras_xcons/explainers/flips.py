"""How far maps have to be moved to be the mirror images of those of mirror images."""

import numpy as np

# Shifts that are tried, in cells of the map; strides alone shift by less than half one.
STEP, FARTHEST = 0.02, 1.0
FEWEST_CELLS = 3
# Points a cell at which two maps are compared.
_POINTS = 8


class Axis:
    """The rows, or the columns, of the maps of a model.

    Args:
        name: `"rows"` or `"columns"`.
        span: `keras_xcons.models.windows.Span`, the part of the side of an image that
            the maps show, in their nominal placement.
        cells: Number of cells of the maps along it.
        expected: Shift in cells that strides and paddings make. Farther ones than
            `FARTHEST` are tried where this one is.

    Raises:
        ValueError: Too little of the maps has a mirror image in them to compare.

    Example:

    >>> axis = Axis("rows", Span(0, 1), 7)
    >>> axis.shifts[[0, -1]]
    array([-1.,  1.])
    """

    def __init__(self, name, span, cells, expected=0.0):
        if cells < FEWEST_CELLS:
            raise ValueError(
                f"Maps of fewer than {FEWEST_CELLS} rows or columns cannot be "
                "calibrated: take larger images. Received: maps of "
                f"{cells} {name}"
            )
        self.name = name
        self._cells = cells
        # The mirror image of cell p is cell `cells - 1 - p + missing`: where the map
        # shows one side of the image more than the other, it is not at the other end.
        mirrored = cells * (1 - 2 * span.first) / (span.end - span.first)
        self._missing = float(mirrored - cells)
        # So far that a cell and the ways to both sides of it are left to be compared.
        room = (cells - 2 - abs(self._missing)) / 2
        if room < STEP:
            raise ValueError(
                "The model shows the features one side of its images alone, so that "
                "maps of mirror images have nothing in common. Give the offset as "
                f"`align=(rows, columns)`. Received: {name} that span "
                f"{float(span.first):.3g}..{float(span.end):.3g} of the image"
            )
        farthest = min(max(FARTHEST, abs(expected) + FARTHEST / 2), room)
        steps = int(farthest / STEP + 1e-9)
        self.shifts = np.arange(-steps, steps + 1) * STEP

    def differences(self, maps, others):
        """Difference of maps moved by d and those of mirror images moved by d.

        Args:
            maps: Float64 array `(B, n, m)`, this axis second.
            others: Likewise, of the images mirrored along this axis.

        Returns:
            Float64 array `(B, D)`, one number a shift d of `shifts`: the squared
            difference of the one and the mirror image of the other, over both norms;
            NaN where a map is the same everywhere.
        """
        from scipy import interpolate

        last = self._cells - 1
        found = np.full((len(maps), len(self.shifts)), np.nan)
        told = _varied(maps, others)
        if not told.any():
            return found
        one, other = (
            interpolate.make_interp_spline(
                np.arange(self._cells), each[told], min(3, last), axis=1
            )
            for each in (maps, others[:, ::-1])
        )
        for place, shift in enumerate(self.shifts):
            # Only where both are known, with as many points at every shift.
            back = shift - self._missing
            ends = max(shift, -back), last + min(shift, -back)
            points = np.linspace(*ends, _POINTS * self._cells)
            still, turned = one(points - shift), other(points + back)
            found[told, place] = _unlike(still, turned)
        return found

    def best(self, differences, counts):
        """The shift of least difference, between the steps.

        Args:
            differences: Array `(B, D)` without NaN.
            counts: Array `(R, B)`, how often each image counts in each resample.

        Returns:
            Float64 array `(R,)`, shifts in cells.
        """
        means = counts @ differences / counts.sum(axis=1, keepdims=True)
        least = means.argmin(axis=1).clip(1, means.shape[1] - 2)
        rows = np.arange(len(means))
        before, at, after = (means[rows, least + step] for step in (-1, 0, 1))
        bend = before - 2 * at + after
        # The vertex of a parabola through three points, at most a step away.
        vertex = np.where(
            bend > 0, (before - after) / np.where(bend > 0, 2 * bend, 1), 0
        )
        return self.shifts[least] + vertex.clip(-1, 1) * STEP

    def doubt(self, shift, low, high, gain):
        """Why the best shift is no offset to move maps by.

        Args:
            shift: The best shift, in cells.
            low: Lower end of its interval.
            high: Upper end of it.
            gain: Lower end of the interval of how much nearer the map of a mirror
                image is to the mirror image of the map than to the map itself.

        Returns:
            A sentence, or `None`: the best shift is none of the ends of those that were
            tried, its interval is no wider than a cell, and maps follow their images
            (our choices).
        """
        if not gain > 0:
            return (
                f"The heatmaps' {self.name} do not follow the images: turned about, "
                "an image has much the same map as before."
            )
        farthest = self.shifts[-1]
        if max(abs(end) for end in (shift, low, high)) > farthest - 2 * STEP:
            return (
                f"The heatmaps' {self.name} fit best at the end of what is tried, "
                f"{farthest:.2f} cells."
            )
        if high - low > 1.0:
            return (
                f"The interval of the heatmaps' {self.name} is {high - low:.1f} cells "
                "wide."
            )
        return None


def unturned(maps, others):
    """Difference of maps and those of mirror images, neither mirrored.

    Maps that follow their images are further apart like this than once the one is
    mirrored; those of a network that looks at one place whatever it sees are not.

    Args:
        maps: Float64 array `(B, h, w)`.
        others: Likewise, of the mirror images.

    Returns:
        Float64 array `(B,)`, on the scale of `Axis.differences`; NaN where a map is the
        same everywhere.
    """
    told = _varied(maps, others)
    found = np.full(len(maps), np.nan)
    found[told] = _unlike(maps[told], others[told])
    return found


def _varied(maps, others):
    return (np.ptp(maps, axis=(1, 2)) > 0) & (np.ptp(others, axis=(1, 2)) > 0)


def _unlike(one, other):
    """Squared difference over both norms, of each pair of maps."""
    norm = (one**2).sum((1, 2)) + (other**2).sum((1, 2))
    return ((one - other) ** 2).sum((1, 2)) / np.where(norm > 0, norm, 1.0)
