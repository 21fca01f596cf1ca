"""Intervals of shares of images, and of the paired difference of two shares."""

from statistics import NormalDist

import numpy as np

CONFIDENCE = 0.95
TAIL = (1.0 - CONFIDENCE) / 2.0
_NORMAL = NormalDist().inv_cdf(1.0 - TAIL)
_SQUARE = _NORMAL**2
# Halvings of a bracket of width 1 or 2: down to the rounding of float64.
_HALVINGS = 60


def proportion(share, count):
    """Wilson's score interval of a share: of images that are right, say.

    No interval that is made of the number of hits alone covers 95 % at every share, as
    there are only n + 1 of them: at n = 50 and a share of 0.98 either 92.2 % (this
    one) or 98.2 % (Clopper and Pearson's), and nothing between. This one stays nearest
    to 95 %; `tools/coverage_of_intervals.py` prints both.

    Args:
        share: Array of shares in 0..1. Any number is taken, not only k / n.
        count: Array of numbers of images above 0, of a shape that fits; an effective
            number, not a whole one, is taken too.

    Returns:
        Tuple of two float64 arrays in 0..1, the lower and the upper ends. All images
        right gives `(n / (n + z²), 1)`, z = 1.96.

    Example:

    >>> low, high = proportion(19 / 20, 20)
    >>> round(float(low), 4), round(float(high), 4)
    (0.7639, 0.9911)

    Reference:
        Wilson 1927, Probable inference, the law of succession, and statistical
        inference, JASA 22; recommended by Brown, Cai and DasGupta 2001, Interval
        estimation for a binomial proportion, Statistical Science 16
    """
    share, count = np.broadcast_arrays(
        np.asarray(share, "float64"), np.asarray(count, "float64")
    )

    def lower(share):
        hits = share * count
        # Without the difference of two nearly equal numbers near a share of 0.
        root = np.sqrt(_SQUARE * (_SQUARE + 4.0 * hits * (1.0 - share)))
        return 2.0 * hits * share / (2.0 * hits + _SQUARE + root)

    return lower(share), 1.0 - lower(1.0 - share)


def paired_difference(gains, losses, count):
    """Tango's score interval of the difference of two shares on the same images.

    It is not [0, 0] for two models that answer alike: what no image of a sample tells
    apart, another image may. Of n images it is then `±z² / (n + z²)`, z = 1.96.

    Args:
        gains: Array, the number of images that only the first has right. Any number
            of 0 or more is taken.
        losses: Array, the number of images that only the second has right.
        count: Array of numbers of images above 0.

    Returns:
        Tuple of two float64 arrays in -1..1.

    Example:

    >>> low, high = paired_difference(9, 1, 50)
    >>> round(float(low), 4), round(float(high), 4)
    (0.0445, 0.2929)

    Reference:
        Tango 1998, Equivalence test and confidence interval for the difference in
        proportions for the paired-sample design, Statistics in Medicine 17
    """
    gains, losses, count = np.broadcast_arrays(
        *(np.asarray(part, "float64") for part in (gains, losses, count))
    )
    return -_tango(losses, gains, count), _tango(gains, losses, count)


def _tango(gains, losses, count):
    """The upper end: where the score test stops to reject."""
    found = (gains - losses) / count

    def score(difference):
        # The most likely share of losses under this difference, eq. 4 there.
        a = 2.0 * count
        b = -gains - losses + (2.0 * count - gains + losses) * difference
        c = -losses * difference * (1.0 - difference)
        share = (np.sqrt(np.maximum(b * b - 4.0 * a * c, 0.0)) - b) / (2.0 * a)
        spread = count * (2.0 * share + difference * (1.0 - difference))
        return count * difference - (gains - losses) - _NORMAL * np.sqrt(_above(spread))

    return _root(score, found, 1.0)


def _root(function, low, high):
    """Where a function that rises from below 0 crosses it, element by element."""
    low = np.array(low, "float64")
    high = np.full_like(low, high)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        above = function(middle) > 0
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return (low + high) / 2.0


def _above(values):
    """Values that are above 0, for functions that are not defined there."""
    return np.maximum(values, 1e-300)
