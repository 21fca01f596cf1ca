"""Resamples of images, and the BCa interval of a figure that is no mean."""

import numpy as np

from keras_xcons.evaluation.proportions import TAIL

# Resamples of the bootstrap.
RESAMPLES = 2000
# Counts of images in resamples that are held in memory at a time.
_HELD = 2_000_000
# Groups of images that a jackknife leaves out in turn, where there are more images
# (our choice): enough for a skewness, and its cost grows with n, not with n squared.
_GROUPS = 500


def resamples(count, seed):
    """Yields how often each image is in each resample, some resamples at a time.

    Args:
        count: Number of images N.
        seed: Seed of the draws.

    Yields:
        Float64 array `(R, N)`; of all of them R adds up to `RESAMPLES`.

    Example:

    >>> sum(len(counts) for counts in resamples(10, seed=0))
    2000
    """
    random = np.random.default_rng(seed)
    batch = max(1, _HELD // count)
    for start in range(0, RESAMPLES, batch):
        rows = min(batch, RESAMPLES - start)
        places = random.integers(count, size=(rows, count))
        places += count * np.arange(rows)[:, None]
        counts = np.bincount(places.ravel(), minlength=rows * count)
        yield counts.reshape(rows, count).astype("float64")


def jackknife(figure, count, seed):
    """A figure without each image in turn, or without each of 500 groups of them.

    Args:
        figure: Function of counts `(R, N)`, how often each of N images counts, that
            returns `(R,)`.
        count: Number of images N, 2 or more.
        seed: Seed of the groups, which are drawn.

    Returns:
        Float64 array `(G,)` of the figures, G the smaller of N and 500.

    Example:

    >>> jackknife(lambda counts: counts.sum(axis=1), 3, seed=0)
    array([2., 2., 2.])
    """
    groups = min(count, _GROUPS)
    group = np.random.default_rng(seed).permutation(count) % groups
    batch = max(1, _HELD // count)
    return np.concatenate(
        [
            figure((group != np.arange(groups)[start : start + batch, None]) * 1.0)
            for start in range(0, groups, batch)
        ]
    )


def bias_corrected(figure, count, value, seed):
    """The BCa interval of a figure: bias-corrected and accelerated.

    Its z is Student's t times `sqrt(n / (n - 1))`, which widens it for few images
    ("expanded percentiles").

    Args:
        figure: As in `jackknife`. A resample with a NaN has no say.
        count: Number of images N, 2 or more.
        value: The figure of the images themselves.
        seed: Seed of the resampling.

    Returns:
        Tuple `(low, high)`, or `None` where all resamples have the same figure.

    Example:

    >>> values = np.random.default_rng(0).random(50)
    >>> low, high = bias_corrected(lambda c: c @ values / 50, 50, values.mean(), 0)

    Reference:
        Efron 1987, Better bootstrap confidence intervals, JASA 82;
        [Hesterberg, 2014](https://arxiv.org/abs/1411.5279), of the expansion
    """
    from scipy.special import ndtr, ndtri, stdtrit

    found = np.concatenate([figure(counts) for counts in resamples(count, seed)])
    found = found[~np.isnan(found)]
    # Roundings of one figure are no spread.
    rounding = 1e-9 * max(1.0, abs(value))
    if len(found) == 0 or np.ptp(found) <= rounding:
        return None
    below = np.mean(found < value - rounding)
    equal = np.mean(np.abs(found - value) <= rounding)
    edge = 0.5 / len(found)
    bias = ndtri(np.clip(below + equal / 2.0, edge, 1.0 - edge))

    left = jackknife(figure, count, seed)
    left = left[~np.isnan(left)]
    pulls = left.mean() - left if len(left) else np.zeros(1)
    squares = np.sum(pulls**2)
    skewed = squares > rounding**2
    acceleration = np.sum(pulls**3) / (6.0 * squares**1.5) if skewed else 0.0

    z = -stdtrit(count - 1, TAIL) * np.sqrt(count / (count - 1))
    moved = bias + np.array([-z, z])
    # Beyond the pole of the formula lies the end of the distribution.
    pole = np.maximum(1.0 - acceleration * moved, 1e-9)
    levels = ndtr(bias + moved / pole)
    low, high = np.quantile(found, levels)
    return float(low), float(high)
