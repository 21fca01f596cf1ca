"""Figures with their intervals, and paired differences of two models."""

import numpy as np

from keras_xcons.evaluation.cross_fitting import (
    BestThreshold,
    cross_fitted,
    cross_fitted_difference,
)
from keras_xcons.evaluation.means import mean_interval
from keras_xcons.evaluation.proportions import (
    CONFIDENCE,
    paired_difference,
    proportion,
)
from keras_xcons.evaluation.resampling import RESAMPLES, bias_corrected

INTERVAL = (
    f"{CONFIDENCE:.0%} over images: Wilson for proportions, Tango's score for their "
    f"paired differences, bootstrap-t for other means, BCa for PxAP and mAP "
    f"({RESAMPLES:,} resamples), MaxBoxAcc cross-fitted"
).replace("%", " %")

# Of fewer images the range that a sample spans covers not even its median at 95 %, so
# that no resample of it can.
_FEWEST = 6
# How far float32 sums over an image may round a value out of its range.
_ROUNDING = 1e-4


def mean(values, counts):
    """The mean of one number an image.

    Args:
        values: Float array `(N,)`, or `(N, ...)` for several numbers an image.
        counts: Float array `(R, N)`, how often each of R resamples holds an image.

    Returns:
        Float array `(R,)`, or `(R, ...)`.
    """
    totals = counts.sum(axis=-1)
    flat = counts @ values.reshape(len(values), -1)
    shares = flat / totals[:, None]
    return shares.reshape(len(counts), *values.shape[1:])


def value_of(values, seed=0, statistic=mean):
    """A figure of a data set alone, as `summarize` has it.

    Args:
        values: As in `summarize`.
        seed: As in `summarize`.
        statistic: As in `summarize`.

    Returns:
        Float, or `None` where no image is left.

    Example:

    >>> value_of(np.array([0.0, 1.0, np.nan]))
    0.5
    """
    (values,), _ = _kept([values], statistic)
    if len(values) == 0:
        return None
    if isinstance(statistic, BestThreshold):
        halves = statistic.splits(values, seed)
        return float(np.mean([found.mean() for found in halves]))
    return float(statistic(values, np.ones((1, len(values))))[0])


def summarize(values, seed=0, statistic=mean, limits=None):
    """A figure of a data set, with its 95 % interval over images.

    The interval is made for what the figure is; how often each covers the truth is
    what `tools/coverage_of_intervals.py` prints:

    - a mean of zeros and ones: Wilson's, `proportions.proportion`;
    - a mean of -1, 0 and 1, a difference of two shares: Tango's score interval,
      `proportions.paired_difference`;
    - another mean: a studentised bootstrap, `means.mean_interval`;
    - a share at the best threshold (MaxBoxAcc): cross-fitted,
      `cross_fitting.cross_fitted`;
    - what is no mean (PxAP, mean average precision): BCa,
      `resampling.bias_corrected`.

    Images that are all alike give an interval with a width, as others need not be.

    Args:
        values: Float array `(N,)`, one number an image, or `(N, ...)` where the
            figure is made of several. An image with a NaN is left out.
        seed: Seed of the resampling and of the halves. Defaults to 0.
        statistic: Function that makes the figure: takes `values` and counts
            `(R, N)`, see `mean`, and returns `(R,)`; or a `BestThreshold`. Defaults
            to `mean`.
        limits: `(low, high)`, the range of the figure and of the values of a mean,
            `None` where it has no end; the interval stays inside. Defaults to `None`,
            (0, 1) if there are only zeros and ones, else no limits.

    Returns:
        Dict of `value`, `low` and `high` (`None` where there is no interval: the
        values are all alike and have no limits, or one is infinite), `n`, the number
        of images, and `skipped`, that of the images left out. With a `BestThreshold`
        also `in_sample`, the figure of papers. `None` where no image is left.

    Raises:
        ValueError: More than one number an image for a mean, or values of a mean
            outside of `limits`.

    Example:

    >>> found = summarize(np.array([1.0, 1.0, np.nan]))
    >>> found["value"], round(found["low"], 3), found["high"], found["n"]
    (1.0, 0.342, 1.0, 2)
    """
    (values,), skipped = _kept([values], statistic, limits)
    count = len(values)
    if count == 0:
        return None
    limits = _limits(values, limits)
    extra = {}
    if isinstance(statistic, BestThreshold):
        found = cross_fitted(statistic, values, seed)
        extra["in_sample"] = float(statistic(values, np.ones((1, count)))[0])
    elif statistic is not mean:
        found = _no_mean(lambda counts: statistic(values, counts), count, limits, seed)
    elif limits == (0.0, 1.0) and _are(values, (0.0, 1.0)):
        found = (values.mean(), *proportion(values.mean(), count))
    elif limits == (-1.0, 1.0) and _are(values, (-1.0, 0.0, 1.0)):
        found = _of_signs(values)
    else:
        found = (values.mean(), *mean_interval(values, limits, seed))
    return _told(found, count, skipped, extra)


def compare(values, others, seed=0, statistic=mean, limits=None):
    """The difference of a figure between two models, with its paired interval.

    Both figures are of the same images, which takes out what the images have in
    common. Models that answer alike have a difference of 0 and an interval that is
    as wide as the number of images leaves it.

    Args:
        values: As in `summarize`, of the one model.
        others: Of the other model, the same images in the same order. An image that
            either leaves out is left out.
        seed: As in `summarize`.
        statistic: As in `summarize`.
        limits: As in `summarize`, of the figure of one model.

    Returns:
        As `summarize`, of the first figure minus the second: for shares Tango's score
        interval, else as for the differences of the images.

    Raises:
        ValueError: The arrays are not of the same shape.

    Example:

    >>> compare(np.array([0.5, 1.0]), np.array([0.25, 0.75]))["value"]
    0.25
    """
    if np.shape(values) != np.shape(others):
        raise ValueError(
            "Models are compared on the same images. Received: values of shape "
            f"{np.shape(values)} and {np.shape(others)}"
        )
    (values, others), skipped = _kept([values, others], statistic, limits)
    count = len(values)
    if count == 0:
        return None
    low, high = _limits(np.concatenate([values, others]), limits)
    width = None if None in (low, high) else high - low
    limits = (None, None) if width is None else (-width, width)
    extra = {}
    if isinstance(statistic, BestThreshold):
        found = cross_fitted_difference(statistic, values, others, seed)
        ones = np.ones((1, count))
        in_sample = statistic(values, ones) - statistic(others, ones)
        extra["in_sample"] = float(in_sample[0])
    elif statistic is not mean:

        def difference(counts):
            return statistic(values, counts) - statistic(others, counts)

        found = _no_mean(difference, count, limits, seed)
    elif limits == (-1.0, 1.0) and _are(values, (0, 1)) and _are(others, (0, 1)):
        found = _of_signs(values - others)
    else:
        each = values - others
        found = (each.mean(), *mean_interval(each, limits, seed))
    return _told(found, count, skipped, extra)


def _kept(samples, statistic, limits=None):
    """The images that all samples have a value for, and how many are left out."""
    samples = [np.asarray(values, "float64") for values in samples]
    for values in samples:
        _check_shape(values, statistic)
        check_limits(values, statistic, limits)
    kept = np.ones(len(samples[0]), bool)
    for values in samples:
        kept &= ~np.isnan(values).any(axis=tuple(range(1, values.ndim)))
    return [values[kept] for values in samples], int(len(kept) - kept.sum())


def check_limits(values, statistic, limits):
    """Refuses values of a mean that lie outside of its range, by more than roundings.

    Args:
        values: Float array, NaN where an image does not count.
        statistic: As in `summarize`.
        limits: As in `summarize`.

    Raises:
        ValueError: A value lies outside of `limits`.
    """
    known = values[~np.isnan(values)]
    if statistic is not mean or limits is None or not known.size:
        return
    low, high = limits
    below, above = known.min(), known.max()
    if (low is not None and below < low - _ROUNDING) or (
        high is not None and above > high + _ROUNDING
    ):
        raise ValueError(
            "Values must lie within the range of the figure, `limits`. Received: "
            f"values from {below:.4g} to {above:.4g} with limits={limits}"
        )


def _check_shape(values, statistic):
    if values.ndim == 0 or (statistic is mean and values.ndim > 1):
        raise ValueError(
            "Values must have the shape (images,), one number an image; several where "
            "`statistic=keras_xcons.evaluation.METRICS[name].statistic` makes the "
            f"figure of them. Received: values of shape {values.shape}"
        )


def _limits(values, limits):
    if limits is not None:
        return tuple(limits)
    return (0.0, 1.0) if _are(values, (0.0, 1.0)) else (None, None)


def _are(values, allowed):
    return bool(np.isin(values, allowed).all())


def _of_signs(values):
    gains, losses = np.sum(values > 0), np.sum(values < 0)
    return values.mean(), *paired_difference(gains, losses, len(values))


def _no_mean(figure, count, limits, seed):
    """BCa; of few images, or of those that are all alike, at least what n allows."""
    value = float(figure(np.ones((1, count)))[0])
    ends = bias_corrected(figure, count, value, seed) if count > 1 else None
    low, high = (value, value) if ends is None else ends
    if ends is None or count < _FEWEST:
        # As of a mean of images that are all alike, see `means.few_others`.
        _, share = proportion(0.0, count)
        room = [np.inf if limit is None else abs(limit - value) for limit in limits]
        low = min(low, value - share * room[0])
        high = max(high, value + share * room[1])
    for_low, for_high = limits
    low = low if for_low is None else max(low, for_low)
    high = high if for_high is None else min(high, for_high)
    return value, low, high


def _told(found, count, skipped, extra):
    value, low, high = (float(part) for part in found)
    # As of mAP with fewer images than classes, of which any resample lacks some.
    low, high = min(low, value), max(high, value)
    if not np.isfinite([low, high]).all():
        low = high = None
    ends = {"value": value, "low": low, "high": high}
    return {**ends, **extra, "n": count, "skipped": skipped}
