"""Figures over several runs (seeds) and the same images, with one interval of both."""

import numpy as np

from keras_xcons.evaluation.cross_fitting import SPLITS, BestThreshold
from keras_xcons.evaluation.means import few_others
from keras_xcons.evaluation.proportions import TAIL, paired_difference, proportion
from keras_xcons.evaluation.resampling import jackknife
from keras_xcons.evaluation.statistics import check_limits, mean

# Roundings of a variance of 0.
_NOTHING = 1e-15
# Variance, in a range of width 1, of values that float32 rounds differently.
_ALIKE = 1e-13


def across_runs(values, others=None, seed=0, statistic=mean, limits=(0.0, 1.0)):
    """A figure over runs and images, or the difference of two methods, with interval.

    What runs with other seeds on other images would give: both are taken for drawn,
    and crossed, as every run sees the same images. The variance of the mean is

        (MS_runs + max(MS_images - MS_rest, 0)) / (R N)

    of the mean squares of a two-way table. Each of the two parts has Student's t of
    its own degrees of freedom, R - 1 and N - 1, and their squares add up. A
    hierarchical bootstrap that resamples three runs covers some 80 % where runs
    differ: it takes their variance for a third smaller than it is, and has no tail
    for not knowing it (`tools/coverage_of_intervals.py`). This interval pays for few
    runs by its width; with two runs Student's t has one degree of freedom.

    The interval is of shares (Wilson's) of as many images as have this variance and, by
    those t over the normal quantile, this uncertainty of it; for a difference it
    is Tango's of them; without limits it is Student's. Figures that are no mean come
    in by their jackknife pseudo-values, MaxBoxAcc by its cross-fitted values.

    Args:
        values: Array `(R, N)`, a number a run and image, or `(R, N, ...)`, what
            `keras_xcons.evaluation.measure` finds of each run on the same images. R is
            2 or more. An image with a NaN in any run is left out.
        others: The same of another method: the same seeds in the same order on the
            same images, which makes the difference a paired one. Defaults to `None`.
        seed: Seed of the halves of a `BestThreshold`. Defaults to 0.
        statistic: As in `keras_xcons.evaluation.summarize`: that of a metric is
            `keras_xcons.evaluation.METRICS[name].statistic`.
        limits: `(low, high)`, the range of the figure of one method, `None` where it
            has no end. Defaults to (0, 1).

    Returns:
        Dict of `value`, `low` and `high` (`None` where no run or image differs and
        there are no limits), `n`, the number of images, `skipped`, that of the images
        left out, and `runs`. `None` where fewer than two images are left.

    Raises:
        ValueError: No table of numbers, fewer than two runs, `others` of another
            shape, several numbers an image without a `statistic`, infinite values, or
            values of a mean outside of `limits`.

    Example:

    >>> measured = [
    ...     keras_xcons.evaluation.measure(model, test, "pointing_game")
    ...     for model in (seed_0, seed_1, seed_2)
    ... ]
    >>> found = across_runs([each["pointing_game"] for each in measured])
    >>> found["runs"], found["n"]
    (3, 1000)

    Reference:
        Dorfman, Berbaum and Metz 1992, Receiver operating characteristic rating
        analysis, Investigative Radiology 27 (pseudo-values and variance; readers there
        are runs here); Howe 1974, Approximate confidence limits on the mean of X + Y,
        JASA 69 (adding squares); Korn and Graubard 1998, Confidence intervals for
        proportions with small expected number of positive counts estimated from survey
        data, Survey Methodology 24 (number of images). Putting these together is our
        choice.
    """
    samples = [_numbers(values, "values")]
    if others is not None:
        samples.append(_numbers(others, "others"))
    _check(samples, statistic, limits)
    kept = np.ones(samples[0].shape[1], bool)
    for sample in samples:
        kept &= ~np.isnan(sample).any(axis=(0, *range(2, sample.ndim)))
    samples = [sample[:, kept] for sample in samples]
    count = int(kept.sum())
    if count < 2:
        return None
    tables = [_table(sample, statistic, seed) for sample in samples]
    table, steadied = tables[0]
    if others is not None:
        table, steadied = table - tables[1][0], steadied + tables[1][1]
    low, high = _interval(table, steadied, limits, others is not None)
    return {
        "value": float(table.mean()),
        "low": low,
        "high": high,
        "n": count,
        "skipped": int(len(kept) - count),
        "runs": len(table),
    }


def crossed_variance(table):
    """The variance of the mean of a table whose rows and columns are both drawn.

    Args:
        table: Float array `(R, N)`, R and N 2 or more.

    Returns:
        Tuple of the variance, and of the factor of its root that gives a half of the
        95 % interval: between Student's t of R - 1 and of N - 1 degrees of freedom.

    Example:

    >>> variance, _ = crossed_variance(np.array([[0.0, 1.0], [1.0, 1.0]]))
    >>> float(variance)
    0.0625
    """
    from scipy.special import stdtrit

    runs, images = table.shape
    mean_of_run = table.mean(axis=1, keepdims=True)
    mean_of_image = table.mean(axis=0, keepdims=True)
    rest = table - mean_of_run - mean_of_image + table.mean()
    of_rest = np.sum(rest**2) / ((runs - 1) * (images - 1))
    parts = np.array(
        [
            images * np.var(mean_of_run, ddof=1),
            max(runs * np.var(mean_of_image, ddof=1) - of_rest, 0.0),
        ]
    )
    factors = stdtrit(np.array([runs - 1, images - 1]), TAIL) ** 2
    total = parts.sum()
    factor = np.sqrt(parts @ factors / total) if total > 0 else np.sqrt(factors[1])
    return total / (runs * images), float(factor)


def _numbers(values, name):
    """The table of a method, as float64."""
    try:
        return np.asarray(values, "float64")
    except (TypeError, ValueError):
        pass
    told = f"{name} of type {type(values).__name__}"
    if isinstance(values, list | tuple) and values:
        shapes = {getattr(run, "shape", type(run).__name__) for run in values}
        told = f"a list of {', '.join(sorted(map(str, shapes)))}"
    raise ValueError(
        f"`{name}` must be numbers of the shape (runs, images, ...): for each run the "
        "array of one metric, `measured[name]`, of the same images. Received: " + told
    )


def _check(samples, statistic, limits):
    for sample in samples:
        if np.isinf(sample).any():
            raise ValueError(
                "Values must be finite, or NaN where an image does not count. "
                f"Received: {np.isinf(sample).sum()} infinite values of {sample.size}"
            )
        check_limits(sample, statistic, limits)
    shapes = [sample.shape for sample in samples]
    if len(shapes[0]) < 2 or shapes[0][0] < 2:
        raise ValueError(
            "`values` must have the shape (runs, images, ...), with 2 or more runs, as "
            "one says nothing of others. Received: values of shape "
            f"{shapes[0]}"
        )
    if statistic is mean and len(shapes[0]) > 2:
        raise ValueError(
            "A mean is of one number a run and image. For a metric that is no mean "
            "pass `statistic=keras_xcons.evaluation.METRICS[name].statistic`. "
            f"Received: values of shape {shapes[0]} and no statistic"
        )
    if len(set(shapes)) > 1:
        raise ValueError(
            "Methods are compared by the same seeds on the same images. Received: "
            f"values of shape {shapes[0]} and others of shape {shapes[1]}"
        )


def _table(sample, statistic, seed):
    """Values `(R, N)` whose mean is the figure, and the variance they leave out."""
    if statistic is mean:
        return sample, 0.0
    if isinstance(statistic, BestThreshold):
        return _cross_fitted(sample, statistic, seed)
    rows = []
    for run in sample:
        whole = float(statistic(run, np.ones((1, len(run))))[0])
        left = jackknife(lambda counts, run=run: statistic(run, counts), len(run), seed)
        rows.append(len(left) * whole - (len(left) - 1) * left)
        # The figure itself is the value, not the jackknife's correction of it.
        rows[-1] += whole - rows[-1].mean()
    return np.stack(rows), 0.0


def _cross_fitted(sample, statistic, seed):
    """Averages over splits, which are steadier than the choice of a threshold is."""
    rows, steadied = [], 0.0
    for run in sample:
        averaged, of_splits = 0.0, 0.0
        for found in statistic.splits(run, seed):
            each = found.mean(axis=1)
            averaged = averaged + each / SPLITS
            of_splits += each.var() / SPLITS
        rows.append(averaged)
        steadied += max(of_splits - averaged.var(), 0.0) / len(averaged) / len(sample)
    return np.stack(rows), steadied


def _interval(table, steadied, limits, paired):
    """The ends: of shares, of signed values, or Student's where there is no range."""
    from scipy.special import ndtri

    runs, images = table.shape
    variance, factor = crossed_variance(table)
    variance += steadied
    if None in limits:
        half, value = factor * np.sqrt(variance), table.mean()
        if np.ptp(table) <= 1e-12 * np.abs(table).max():  # Roundings of one value.
            return None, None
        ends, known = (value - half, value + half), limits
        if paired:  # Differences of figures without an end have none either.
            known = None, None
        return tuple(
            float(end if limit is None else side(end, limit))
            for end, limit, side in zip(ends, known, (max, min), strict=True)
        )
    low, width = limits[0], limits[1] - limits[0]
    signed = paired or low < 0.0
    value, bounds = table.mean(), (-width, width) if paired else limits
    if max(table.var(), variance) <= _ALIKE * width**2:
        # As of one run whose images are all alike.
        alike = np.full((images, 1), value)
        ends = (end[0] for end in few_others(alike, alike[0], bounds))
        return _around(value, ends, bounds)
    # To 0..1, or to -1..1 around 0.
    scale = width if paired or not signed else max(-low, limits[1])
    table = (table - (0.0 if signed else low)) / scale
    # As of the normal quantile, which Wilson's and Tango's score are made with.
    variance *= (factor / (ndtri(1.0 - TAIL) * scale)) ** 2
    if signed:
        ends = (scale * end for end in _signed(table, variance, images))
    else:
        ends = (low + scale * end for end in _share(table, variance, runs, images))
    return _around(value, ends, bounds)


def _around(value, ends, bounds):
    """Ends in the range of the figure, with its value between them."""
    low, high = ends
    return (
        float(min(max(low, bounds[0]), value)),
        float(max(min(high, bounds[1]), value)),
    )


def _share(table, variance, runs, images):
    """Wilson's, of as many images as have this variance."""
    share = min(max(table.mean(), 0.0), 1.0)
    spread = share * (1.0 - share)
    if min(variance, spread) <= _NOTHING:
        return proportion(share, images)
    number = spread / variance
    if np.isin(table, (0.0, 1.0)).all():
        # Runs that agree by chance are no more images than were looked at.
        number = min(number, images * runs)
    return proportion(share, number)


def _signed(table, variance, images):
    """Tango's interval, of as many images as have this variance."""
    gains, losses = (np.maximum(sign * table, 0.0).mean() for sign in (1, -1))
    spread = table.var()
    if min(variance, spread) <= _NOTHING:
        return paired_difference(images * gains, images * losses, images)
    # Differences that are less than whole ones count for more of smaller ones.
    number = spread / variance * np.mean(np.abs(table)) / np.mean(table**2)
    return paired_difference(number * gains, number * losses, number)
