"""Explanation consistency E and the sample weights made of it, as pure functions.

XCons (Wu et al., 2024, https://arxiv.org/abs/2408.04600) weights each training
sample by `v = 1 - E`, where E says how well its explanation and prediction survive
an attack on the background. That much is the paper's. The measure of survival and
the scaling of the weights are our choice in every function here.
"""

import tensorflow as tf
from keras import ops

from keras_xcons import checks

MAP_MEASURES = ("cosine", "ssim", "soft_iou", "l1")
AGREEMENTS = (None, "hard", "soft")
WEIGHT_SCALES = ("mean", "raw", "one_plus")


def map_consistency(maps, others, measure="soft_iou"):
    """How alike two heatmaps of an image are.

    Args:
        maps: Float tensor `(..., h, w)` in 0..1.
        others: Float tensor of the same shape, in 0..1.
        measure: `"cosine"`, the cosine of the angle between the maps as vectors;
            `"ssim"`, structural similarity, negative values cut to 0; `"soft_iou"`,
            `Σ min / Σ max`; or `"l1"`, `1 - mean |difference|`. Defaults to
            `"soft_iou"`, our choice: near 1 the cosine is quadratic in how far a map
            moves, and hardly tells.

    Returns:
        Float32 tensor `(...)` in 0..1: 1 for equal maps, 0 where `others` alone is
        empty (all zeros), and NaN where nothing can be compared: where `maps` is
        empty, or where a map is not finite. Gradients are 0 there, not NaN.

    Raises:
        ValueError: `measure` is unknown.

    Example:

    >>> a = np.array([[[1.0, 0.0], [0.0, 0.0]]], "float32")
    >>> b = np.array([[[1.0, 1.0], [0.0, 0.0]]], "float32")
    >>> map_consistency(a, b, "soft_iou")
    array([0.5], dtype=float32)
    """
    maps, others = ops.cast(maps, "float32"), ops.cast(others, "float32")
    axes = (-2, -1)
    empty, gone = (ops.max(each, axes) <= 0.0 for each in (maps, others))
    if measure == "cosine":
        dot = ops.sum(maps * others, axes)
        norms = ops.sum(maps**2, axes) * ops.sum(others**2, axes)
        # The root of a guarded product: the gradient of sqrt(0) is infinite.
        value = dot / ops.sqrt(ops.where(norms > 0.0, norms, 1.0))
    elif measure == "ssim":
        window = min(11, maps.shape[-2], maps.shape[-1])
        value = tf.image.ssim(maps[..., None], others[..., None], 1.0, window)
    elif measure == "soft_iou":
        union = ops.sum(ops.maximum(maps, others), axes)
        shared = ops.sum(ops.minimum(maps, others), axes)
        value = shared / ops.where(union > 0.0, union, 1.0)
    elif measure == "l1":
        value = 1.0 - ops.mean(ops.abs(maps - others), axes)
    else:
        raise ValueError(checks.unknown("measure", measure, MAP_MEASURES))
    known = ops.logical_and(ops.isfinite(value), ops.logical_not(empty))
    value = ops.where(gone, 0.0, ops.clip(value, 0.0, 1.0))
    return ops.where(known, value, float("nan"))


def prediction_agreement(logits, others, kind, multi_label=False):
    """How well a prediction survives.

    Args:
        logits: Float tensor `(B, C)`.
        others: Float tensor `(B, C)`, the logits of the attacked images.
        kind: `"hard"`, 1 if the predicted class (multi-label: the set of classes
            above 0) is the same and else 0; or `"soft"`, 1 minus the total variation
            distance of the two softmax distributions (multi-label: 1 minus the mean
            absolute difference of the sigmoids).
        multi_label: Whether the classes do not exclude each other.

    Returns:
        Float32 tensor `(B,)` in 0..1.

    Raises:
        ValueError: `kind` is unknown.

    Example:

    >>> prediction_agreement(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]), "hard")
    array([0.], dtype=float32)
    """
    logits, others = ops.cast(logits, "float32"), ops.cast(others, "float32")
    if kind == "hard":
        if multi_label:
            same = ops.all((logits > 0.0) == (others > 0.0), axis=-1)
        else:
            same = ops.argmax(logits, axis=-1) == ops.argmax(others, axis=-1)
        return ops.cast(same, "float32")
    if kind != "soft":
        raise ValueError(checks.unknown("agreement", kind, ("hard", "soft")))
    if multi_label:
        return 1.0 - ops.mean(ops.abs(ops.sigmoid(logits) - ops.sigmoid(others)), -1)
    distance = ops.abs(ops.softmax(logits) - ops.softmax(others))
    return 1.0 - 0.5 * ops.sum(distance, axis=-1)


def explanation_consistency(maps, others, valid=None, measure="soft_iou"):
    """E of images that are explained for one or several classes each.

    Args:
        maps: Float tensor `(B, P, h, w)` in 0..1, one map a class.
        others: Float tensor `(B, P, h, w)`, the maps of the attacked images.
        valid: Float tensor `(B, P)` of ones and zeros, which maps count, or `None`
            for all.
        measure: See `map_consistency`. Defaults to `"soft_iou"`.

    Returns:
        Float32 tensor `(B,)` in 0..1, the mean over the classes that count and whose
        maps can be compared, see `map_consistency`; NaN for an image without any.

    Example:

    >>> explanation_consistency(maps, maps)
    array([1., 1.], dtype=float32)
    """
    values = map_consistency(maps, others, measure)
    counted = ops.isfinite(values)
    if valid is not None:
        counted = ops.logical_and(counted, ops.cast(valid, "bool"))
    total = ops.sum(ops.where(counted, values, 0.0), axis=1)
    count = ops.sum(ops.cast(counted, "float32"), axis=1)
    return ops.where(count > 0.0, total / ops.maximum(count, 1.0), float("nan"))


def sample_weights(values, scale="mean", floor=0.0, mean=None, effective_share=None):
    """Turns values such as `v = 1 - E` into weights of the samples of a batch.

    Args:
        values: Float tensor `(B,)`, non-negative; a larger value is a larger weight.
            What is not finite is missing: such a sample weighs what one of the mean
            value weighs, which is 1 under `"mean"`, and is left out of the mean.
        scale: `"mean"` divides by the mean of the batch, because `v` itself shrinks
            the learning rate as training succeeds; `"raw"` leaves the values as they
            are; `"one_plus"` is the mild `1 + v`. Defaults to `"mean"`, our choice.
        floor: Smallest weight, as a share of the mean weight before it is applied, so
            that no sample vanishes.
        mean: Function of values and of how much each of them counts, two float
            tensors `(B,)`, to their mean; pass one that spans replicas when a batch
            is spread over several. Defaults to the mean of the batch.
        effective_share: Smallest effective number of samples, as a share of the batch,
            in (0, 1]: under `"mean"` the weights are drawn towards 1, to
            `1 + s · (v / mean(v) - 1)`, by the largest s of at most 1 that keeps it,
            see `effective_share`. Our choice. Defaults to `None`, for no bound. A
            floor is applied afterwards, and only raises it.

    Returns:
        Float32 tensor `(B,)`; all ones under `"mean"` where every value is 0, and
        under any scale where every value is missing.

    Raises:
        ValueError: `scale` is unknown.

    Example:

    >>> sample_weights(np.array([0.25, 0.75], "float32"))
    array([0.5, 1.5], dtype=float32)
    """
    values, mean = ops.cast(values, "float32"), mean or _mean
    known = ops.cast(ops.isfinite(values), "float32")
    average = mean(ops.where(known > 0.0, values, 0.0), known)
    values = ops.where(known > 0.0, values, average)
    if scale == "one_plus":
        values = 1.0 + values
    elif scale == "mean":
        safe = ops.where(average > 0.0, average, 1.0)
        values = ops.where(average > 0.0, values / safe, ops.ones_like(values))
        if effective_share is not None:
            spread = mean(ops.square(values - 1.0), ops.ones_like(values))
            # Of the smallest shares the inverse would be infinite.
            bound = min(1.0 / float(effective_share) - 1.0, 1e30)
            shrink = ops.sqrt(bound / ops.maximum(spread, max(bound, 1e-12)))
            values = 1.0 + shrink * (values - 1.0)
    elif scale != "raw":
        raise ValueError(checks.unknown("weight scale", scale, WEIGHT_SCALES))
    # Values of v are far below 1; the mean weight under the other scales is 1 or more.
    lowest = floor * average if scale == "raw" else floor
    anything = mean(known, ops.ones_like(known)) > 0.0
    return ops.where(anything, ops.maximum(values, lowest), ops.ones_like(values))


def effective_share(weights, mean=None):
    """The effective number of samples that weights leave, as a share of the batch.

    Kish's `(Σ w)² / (B Σ w²)`: by how much the variance of a weighted mean grows.

    Args:
        weights: Float tensor `(B,)`, non-negative.
        mean: As for `sample_weights`.

    Returns:
        Float32 scalar in 0..1: 1 where all weights are equal, 0 where all are 0.

    Example:

    >>> float(effective_share(np.array([1.0, 1.0, 0.0, 0.0])))
    0.5

    Reference:
        [Kish, 1965](https://archive.org/details/surveysampling0000kish), section 11.7
    """
    weights, mean = ops.cast(weights, "float32"), mean or _mean
    ones = ops.ones_like(weights)
    square = mean(ops.square(weights), ones)
    return ops.square(mean(weights, ones)) / ops.where(square > 0.0, square, 1.0)


def _mean(values, counts):
    return ops.sum(values * counts) / ops.maximum(ops.sum(counts), 1.0)
