"""Intervals of means over images, of bounded and skewed values."""

import numpy as np

from keras_xcons.evaluation.proportions import TAIL, proportion
from keras_xcons.evaluation.resampling import resamples

# Where fewer images than these differ from all others, resamples without any of them
# are common, and a bootstrap has nothing to say (our choice: one resample in e^10).
_FEW = 10


def mean_interval(values, limits=(None, None), seed=0):
    """The interval of a mean: a studentised bootstrap (bootstrap-t).

    Of percentile, BCa, Student's t and this one, it alone keeps near 95 % for skewed
    values such as an E near 1 (`tools/coverage_of_intervals.py`). What a sample does
    not hold no bootstrap can know: of values of which one in ten is far off, 20 images
    give some 80 %.

    Where most images have the very same value and fewer than ten another, the
    interval is that of the share of others, see `few_others`.

    Args:
        values: Float array `(N,)`, or `(N, T)` for T means, without NaN.
        limits: `(low, high)`, the range of the values, `None` where it has no end.
            Defaults to no limits.
        seed: Seed of the resampling. Defaults to 0.

    Returns:
        Tuple of the ends, float64 numbers or arrays `(T,)`; infinite where the values
        are all alike and have no limit, or one of them is infinite.

    Example:

    >>> low, high = mean_interval(np.array([0.2, 0.4, 0.9]), limits=(0.0, 1.0))

    Reference:
        Efron 1981, Nonparametric standard errors and confidence intervals, Canadian
        Journal of Statistics 9; Hall 1988, Theoretical comparison of bootstrap
        confidence intervals, Annals of Statistics 16
    """
    values = np.asarray(values, "float64")
    columns = values.reshape(len(values), -1)
    count = len(columns)
    if not np.isfinite(columns).all():
        nowhere = np.full(values.shape[1:], np.inf)[()]
        return -nowhere, nowhere
    common = np.sort(columns, axis=0)[count // 2]
    others = (columns != common).sum(axis=0)
    few = (others < _FEW) & (others < count - others)
    low, high = np.empty((2, columns.shape[1]))
    if few.any():
        low[few], high[few] = few_others(columns[:, few], common[few], limits)
    if not few.all():
        low[~few], high[~few] = _studentised(columns[:, ~few], seed)
    low, high = _within(low, high, columns, limits)
    shape = values.shape[1:]
    return low.reshape(shape)[()], high.reshape(shape)[()]


def few_others(columns, common, limits):
    """The interval where all images, or all but a few, have the same value (ours).

    The mean is `common + u p - d q`, where p and q are the shares of images above and
    below the common value, and u and d how far off those are. The shares get Wilson's
    intervals; how far off an image may be is the furthest seen, or where none is seen
    the range's end: of n images that are all alike it is (low, high) + n / (n + z²)
    (value - (low, high)), z = 1.96, and of zeros and ones the interval of a proportion.

    Args:
        columns: Float array `(N, T)`.
        common: Float array `(T,)`, the common values.
        limits: As in `mean_interval`.

    Returns:
        Tuple of two float64 arrays `(T,)`.

    Example:

    >>> few_others(np.ones((10, 1)), np.ones(1), (0.0, 1.0))[0].round(3)
    array([0.722])
    """
    count = len(columns)
    off = columns - common
    sides = []
    for sign, limit in zip((1.0, -1.0), limits[::-1], strict=True):
        parts = np.maximum(sign * off, 0.0)
        number = (parts > 0).sum(axis=0)
        room = np.inf if limit is None else np.maximum(sign * (limit - common), 0.0)
        least, most = proportion(number / count, count)
        usual = parts.sum(axis=0) / np.maximum(number, 1)
        sides.append((least * usual, most, parts.max(axis=0), number, room))
    (
        (up, more, furthest_up, above, room_up),
        (down, less, furthest_down, below, room_down),
    ) = sides
    reach_up = np.where(
        above > 0, furthest_up, np.where(below > 0, furthest_down, np.inf)
    )
    reach_down = np.where(
        below > 0, furthest_down, np.where(above > 0, furthest_up, np.inf)
    )
    low = common - less * np.minimum(reach_down, room_down) + up
    high = common + more * np.minimum(reach_up, room_up) - down
    return low, high


def _studentised(columns, seed):
    count = len(columns)
    mean = columns.mean(axis=0)
    centred = columns - mean
    squares = centred**2
    variance = squares.mean(axis=0)
    found = []
    for counts in resamples(count, seed):
        moved = counts @ centred / count
        spread = counts @ squares / count - moved**2
        # Resamples of one image alone: their mean is off by any number of errors.
        alone = spread <= 1e-12 * variance
        spread[alone] = 1.0
        ratio = moved / np.sqrt(spread)
        ratio[alone] = np.copysign(np.inf, moved[alone])
        ratio[alone & (moved == 0.0)] = 0.0
        found.append(ratio)
    found = np.concatenate(found)
    # Without interpolation, which would make NaN of the infinite.
    least = np.quantile(found, TAIL, axis=0, method="lower")
    most = np.quantile(found, 1.0 - TAIL, axis=0, method="higher")
    deviation = np.sqrt(variance)
    low, high = mean - most * deviation, mean - least * deviation
    return low, high


def _within(low, high, columns, limits):
    """Ends inside the range; Student's t for those that no limit holds."""
    from scipy.special import stdtrit

    count, mean = len(columns), columns.mean(axis=0)
    if count > 1:
        error = columns.std(axis=0, ddof=1) / np.sqrt(count)
        # Values that are all alike may differ from their mean, by its rounding.
        differ = np.ptp(columns, axis=0) > 0
        reach = -stdtrit(count - 1, TAIL) * np.where(differ, error, np.inf)
        if limits[0] is None:
            low = np.where(np.isinf(low), mean - reach, low)
        if limits[1] is None:
            high = np.where(np.isinf(high), mean + reach, high)
    # A rounding outside of the range is no reason for an interval without its value.
    if limits[0] is not None:
        low = np.minimum(np.maximum(low, limits[0]), mean)
    if limits[1] is not None:
        high = np.maximum(np.minimum(high, limits[1]), mean)
    return low, high
