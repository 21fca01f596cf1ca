"""Figures with their intervals: a bootstrap over images, paired for two models."""

import warnings

import numpy as np

# Resamples of the bootstrap, and the coverage of the intervals.
RESAMPLES = 2000
CONFIDENCE = 0.95
INTERVAL = (
    f"{CONFIDENCE:.0%} percentile bootstrap over images, {RESAMPLES:,} resamples"
).replace("%", " %")

# Counts of images in resamples that are held in memory at a time.
_HELD = 2_000_000


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


def summarize(values, seed=0, statistic=mean):
    """A figure of a data set, with its bootstrap interval.

    Args:
        values: Float array `(N,)`, one number an image, or `(N, ...)` where the
            figure is made of several. An image with a NaN is left out.
        seed: Seed of the resampling. Defaults to 0.
        statistic: Function that makes the figure: takes `values` and counts
            `(R, N)`, see `mean`, and returns `(R,)`. Defaults to `mean`.

    Returns:
        Dict of `value`, `low` and `high` (the 95 % percentile interval over 2,000
        resamples of the images), `n`, the number of images, and `skipped`, that of
        the images left out. `None` where no image is left.

    Example:

    >>> summarize(np.array([1.0, 1.0, np.nan]))
    {'value': 1.0, 'low': 1.0, 'high': 1.0, 'n': 2, 'skipped': 1}
    """
    return _bootstrap([values], statistic, seed)


def compare(values, others, seed=0, statistic=mean):
    """The difference of a figure between two models, with its paired interval.

    Both figures are resampled with the same images, which takes out what the images
    have in common.

    Args:
        values: As in `summarize`, of the one model.
        others: Of the other model, the same images in the same order. An image that
            either leaves out is left out.
        seed: As in `summarize`.
        statistic: As in `summarize`.

    Returns:
        As `summarize`, of the first figure minus the second.

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
    return _bootstrap([values, others], statistic, seed)


def _bootstrap(samples, statistic, seed):
    """The figure of one sample of images, or the difference of two."""
    samples = [np.asarray(values, "float64") for values in samples]
    kept = np.ones(len(samples[0]), bool)
    for values in samples:
        kept &= ~np.isnan(values).any(axis=tuple(range(1, values.ndim)))
    samples = [values[kept] for values in samples]
    count = len(samples[0])
    if count == 0:
        return None

    def figure(counts):
        found = [statistic(values, counts) for values in samples]
        return found[0] - found[1] if len(found) == 2 else found[0]

    value = low = high = float(figure(np.ones((1, count)))[0])
    if any(np.ptp(values, axis=0).any() for values in samples):
        low, high = _interval(figure, count, seed)
    return {
        "value": value,
        "low": low,
        "high": high,
        "n": count,
        "skipped": int(len(kept) - count),
    }


def _interval(figure, count, seed):
    from scipy import stats

    def of_resamples(index, axis):
        """The figure of every row of image numbers."""
        del axis  # the last one: `vectorized`
        rows = index.reshape(-1, count)
        places = rows + count * np.arange(len(rows))[:, None]
        counts = np.bincount(places.ravel(), minlength=rows.size).reshape(rows.shape)
        return figure(counts.astype("float64")).reshape(index.shape[:-1])

    with warnings.catch_warnings():
        # Of resamples without a figure, see below.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found = stats.bootstrap(
            (np.arange(count),),
            of_resamples,
            n_resamples=RESAMPLES,
            batch=max(1, _HELD // count),
            vectorized=True,
            method="percentile",
            rng=np.random.default_rng(seed),
        ).bootstrap_distribution
    # A resample may hold no image that the figure can be made of: it has no say.
    tail = (1.0 - CONFIDENCE) / 2.0
    low, high = np.nanquantile(found, [tail, 1.0 - tail])
    return float(low), float(high)
