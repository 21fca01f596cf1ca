"""Figures at the best threshold, chosen on other images than they are measured on."""

import dataclasses

import numpy as np

from keras_xcons import metrics
from keras_xcons.evaluation.proportions import paired_difference, proportion

# Ways to halve the images over which a figure is averaged (our choice): one way alone
# moves MaxBoxAcc of 100 images by some 3 points from seed to seed, fifty by 0.4.
SPLITS = 50


@dataclasses.dataclass(frozen=True)
class BestThreshold:
    """A share of images hit, at the threshold that is best for the data set.

    Called as a statistic it is the in-sample figure, that of papers: the best threshold
    on the very images that it is measured on, which is too high
    (`tools/coverage_of_intervals.py` prints by how much). Cross-fitted, the threshold
    is chosen on one half of the images and measured on the other, both ways, averaged
    over 50 ways to halve them.

    Attributes:
        levels: Tuple of the places in `keras_xcons.metrics.LEVELS` that are averaged,
            each at its own threshold.
    """

    levels: tuple[int, ...]

    def __call__(self, hits, counts):
        """The in-sample figure.

        Args:
            hits: Array `(N, L, T)` of 0 and 1, of each image at each level of overlap
                and threshold.
            counts: Float array `(R, N)`, how often each of R resamples holds an image.

        Returns:
            Float array `(R,)`.
        """
        hits = np.asarray(hits)[:, self.levels]
        flat = counts @ hits.reshape(len(hits), -1) / counts.sum(axis=-1)[:, None]
        return metrics.max_box_acc_v2(flat.reshape(-1, *hits.shape[1:]))

    def splits(self, hits, seed):
        """Cross-fits, one way to halve the images after the other.

        Of thresholds that are equally good on the one half, the other half has the
        mean. Of a single image there is no half to choose on: all are equally good.

        Args:
            hits: As in the call.
            seed: Seed of the halves; for the same seed they are the same.

        Yields:
            Float64 array `(N, len(levels))` of `SPLITS` in all: how much of a hit
            each image is.
        """
        hits = np.ascontiguousarray(np.asarray(hits, "float32")[:, self.levels])
        flat = hits.reshape(len(hits), -1)
        random = np.random.default_rng(seed)
        for _ in range(SPLITS):
            first = random.permutation(len(hits)) < len(hits) // 2
            found = np.empty(hits.shape[:2])
            for side in (first, ~first):
                on_others = (~side).astype("float32") @ flat
                on_others = on_others.reshape(hits.shape[1:])
                best = on_others == on_others.max(axis=-1, keepdims=True)
                weights = best / best.sum(axis=-1, keepdims=True)
                found[side] = np.einsum("nlt,lt->nl", hits[side], weights)
            yield found


def cross_fitted(statistic, hits, seed):
    """A cross-fitted figure and its interval, which covers the choice of threshold.

    The interval is that of a proportion (Wilson's), of as many images as have the
    variance of one split: averaging over splits makes the figure steadier, but not
    as much as to count on it where thresholds are close.

    Args:
        statistic: `BestThreshold`.
        hits: Array `(N, L, T)` of 0 and 1, without NaN, N above 0.
        seed: Seed of the halves.

    Returns:
        Tuple `(value, low, high)`.

    Example:

    >>> hits = np.ones((10, 3, 50))
    >>> value, low, high = cross_fitted(BestThreshold((1,)), hits, seed=0)
    """
    count, levels = len(hits), len(statistic.levels)
    value = second = 0.0
    for found in statistic.splits(hits, seed):
        each = found.mean(axis=1)
        # As if one of the thresholds that are equally good were drawn.
        drawn = (found * (1.0 - found)).sum(axis=1) / levels**2
        value += each.mean() / SPLITS
        second += np.mean(each**2 + drawn) / SPLITS
    value = min(value, 1.0)
    variance = second - value**2
    effective = count
    if variance > 1e-12:
        effective = max(count * value * (1.0 - value) / variance, count)
    low, high = proportion(value, effective)
    return value, float(low), float(high)


def cross_fitted_difference(statistic, hits, others, seed):
    """The paired difference of two cross-fitted figures, in the same halves.

    Its interval is Tango's, of the mean numbers of images that only one model hits in
    a split; where an image may be hit in part (several levels) they are of as many
    images as have the variance of one split.

    Args:
        statistic: As in `cross_fitted`.
        hits: As in `cross_fitted`, of the one model.
        others: Of the other, the same images in the same order.
        seed: As in `cross_fitted`.

    Returns:
        Tuple `(value, low, high)`, of the first figure minus the second.

    Example:

    >>> hits = np.ones((10, 3, 50))
    >>> cross_fitted_difference(BestThreshold((1,)), hits, hits, seed=0)[0]
    0.0
    """
    count = len(hits)
    gained = lost = second = 0.0
    pairs = zip(
        statistic.splits(hits, seed), statistic.splits(others, seed), strict=True
    )
    for found, other in pairs:
        each = found.mean(axis=1) - other.mean(axis=1)
        gained += np.maximum(each, 0.0).sum() / SPLITS
        lost += np.maximum(-each, 0.0).sum() / SPLITS
        second += np.sum(each**2) / SPLITS
    scale = (gained + lost) / second if second > 0 else 1.0
    low, high = paired_difference(scale * gained, scale * lost, scale * count)
    value = min(max((gained - lost) / count, -1.0), 1.0)
    return value, float(low), float(high)
