"""The metrics of a batch, group by group: rows of one number an image.

A row is a float32 array `(B,)` or `(B, K)`; NaN leaves an image out of a figure.
"""

import numpy as np
import tensorflow as tf

from keras_xcons import attacks, metrics
from keras_xcons.evaluation.batch import only_where
from keras_xcons.evaluation.metric_table import REMOVED, TABLE
from keras_xcons.explainers import shown_maps
from keras_xcons.metrics.noise import uniform_noise

# Rows that the gradient of the loss is taken for.
_ATTACKED = {metric.rows for metric in TABLE if metric.attacked}


def classification(batch, wanted):
    """Whether the classifier is right.

    Args:
        batch: `Batch`.
        wanted: Set of the names of rows that are asked for.

    Returns:
        Dict of rows.
    """
    rows = {}
    logits, labels = batch.logits.numpy(), batch.labels.numpy()
    if wanted & {"accuracy", "binary_accuracy"}:
        # One of the two is not wanted, by the kind of the labels.
        rows["accuracy"] = rows["binary_accuracy"] = batch.right(logits)
    if "top_5_accuracy" in wanted:
        rows["top_5_accuracy"] = metrics.top_k(logits, labels, 5)
    if "scores_and_labels" in wanted:
        rows["scores_and_labels"] = np.stack([logits, labels], axis=1)
    return rows


def localisation(batch, wanted):
    """Whether heatmaps lie on the object; arguments as of `classification`."""
    where, heatmaps = batch.where, batch.heatmaps.numpy()
    counts = batch.has_object & batch.explainable
    rows = {}
    if "pointing_game" in wanted:
        rows["pointing_game"] = metrics.pointing_game(
            heatmaps,
            tolerance=batch.options.tolerance_for(batch.size),
            protocol=batch.options.pointing_protocol,
            **where,
        )
    if "energy_pointing_game" in wanted:
        rows["energy_pointing_game"] = metrics.energy_pointing_game(heatmaps, **where)
    if "content_heatmap" in wanted:
        rows["content_heatmap"] = metrics.content_heatmap(heatmaps, **where)
    for name, components in (("box_hits", "largest"), ("component_hits", "all")):
        if name in wanted:
            rows[name] = _box_hits(batch, heatmaps, components)
    if "pixel_histograms" in wanted:
        rows["pixel_histograms"] = metrics.pixel_histograms(heatmaps, **where)
    if "iou_auc" in wanted:
        rows["iou_auc"] = metrics.iou_auc(heatmaps, **where)
    rows = {name: only_where(counts, row) for name, row in rows.items()}
    if "centre_hits" in wanted:
        # No model has a say in what the centre scores.
        centre = metrics.centre_gaussian(*batch.size)[None]
        hits = _box_hits(batch, centre, "largest")
        rows["centre_hits"] = only_where(batch.has_object, hits)
    return rows


def _box_hits(batch, heatmaps, components):
    """Hits of the boxes of heatmaps, or of one for all images, by the protocol."""
    where, count = batch.where, batch.options.box_thresholds
    thresholds = np.arange(count) / count
    if batch.options.box_protocol == "wsolevaluation":
        if len(heatmaps) < len(batch.ids):
            heatmaps = np.repeat(heatmaps, len(batch.ids), axis=0)
        how = {"components": components, "thresholds": thresholds}
        return metrics.wsol_hits(heatmaps.clip(0, 1), **where, **how)
    if components == "all":
        overlaps = metrics.component_overlaps(heatmaps, **where, thresholds=thresholds)
        return metrics.box_hits(overlaps)
    found = metrics.largest_boxes(heatmaps, thresholds)
    return metrics.box_hits(metrics.box_overlaps(found, **where))


def faithfulness(batch, wanted):
    """Whether the model uses what the map shows; arguments as of `classification`."""
    probe, options = batch.probe, batch.options
    rows = {}
    if wanted & {"insertion_curve", "deletion_curve"}:
        insertion, deletion = metrics.insertion_and_deletion(
            probe.score, batch.images, batch.heatmaps, batch.targets, options.steps
        )
        rows["insertion_curve"] = insertion
        rows["deletion_curve"] = deletion
        rows["insertion"] = metrics.area_under_curve(insertion)
        rows["deletion"] = metrics.area_under_curve(deletion)
    if wanted & {"average_drop", "average_increase"}:
        before = probe.score(batch.images, batch.targets)
        masked = metrics.masked_images(batch.images, batch.heatmaps)
        after = probe.score(masked, batch.targets)
        rows["average_drop"] = metrics.average_drop(before, after)
        rows["average_increase"] = metrics.average_increase(before, after)
    shares = [share for share in REMOVED if f"fidelity_{share}" in wanted]
    if shares:
        given = batch.images, batch.heatmaps, batch.targets
        gone = metrics.removal(probe.score, *given, [share / 100 for share in shares])
        rows |= zip([f"fidelity_{share}" for share in shares], gone.T, strict=True)
    return {name: only_where(batch.explainable, row) for name, row in rows.items()}


def robustness(batch, wanted):
    """What attacks and noise do; arguments as of `classification`."""
    options, rows = batch.options, {}
    if wanted & _ATTACKED:
        rows["without_gradient"] = batch.without_gradient
    if "explanation_consistency" in wanted:
        rows["explanation_consistency"] = only_where(
            batch.explainable, batch.attacked.consistency
        )
    if "fgsm_accuracy" in wanted:
        whole = attacks.fgsm(batch.images, batch.loss_gradient, options.epsilon)
        rows["fgsm_accuracy"] = batch.right(batch.probe.logits(whole))
    if "fgsm_background_accuracy" in wanted:
        right = batch.right(batch.attacked.logits)
        # Without a heatmap there is no background, and all of it would be attacked.
        rows["fgsm_background_accuracy"] = only_where(batch.explainable, right)
    for name, mask in (
        ("pgd_accuracy", None),
        ("pgd_background_accuracy", "background"),
    ):
        if name in wanted:
            on_background = batch.background if mask else None
            right = batch.right(batch.probe.logits(_pgd(batch, on_background)))
            rows[name] = only_where(batch.explainable, right) if mask else right
    if "max_sensitivity" in wanted:
        change = metrics.max_sensitivity(
            lambda images: _maps(batch, images),
            batch.images,
            batch.maps,
            batch.ids,
            radius=options.noise_radius,
            samples=options.noise_samples,
            seed=options.seed,
        )
        rows["max_sensitivity"] = only_where(batch.explainable, change)
    return rows


def complexity(batch, wanted):
    """How sparse heatmaps are; arguments as of `classification`."""
    rows = {}
    if "gini" in wanted:
        sparsity = metrics.gini(batch.heatmaps.numpy())
        rows["gini"] = only_where(batch.explainable, sparsity)
    if "entropy" in wanted:
        rows["entropy"] = batch.spread(metrics.entropy)
    return rows


def _pgd(batch, mask):
    options = batch.options
    # Draw -1: none of those of max-sensitivity.
    noise = uniform_noise(
        batch.images,
        tf.constant(batch.ids),
        tf.constant(options.epsilon, tf.float32),
        tf.constant(options.seed, tf.int32),
        tf.constant(-1, tf.int32),
    )
    return attacks.pgd(
        batch.images,
        lambda images: batch.probe.loss_gradient(images, batch.labels),
        options.epsilon,
        options.pgd_step_size,
        options.pgd_steps,
        mask,
        noise=noise,
    )


def _maps(batch, images):
    return shown_maps(batch.probe.explain(images, batch.targets).maps, batch.targets)
