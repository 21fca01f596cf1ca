"""Metrics: arrays in, one number an image out. Each says which direction is better."""

from keras_xcons.metrics.boxes import (
    THRESHOLDS,
    box_overlaps,
    component_overlaps,
    largest_boxes,
)
from keras_xcons.metrics.classification import (
    binary_accuracy,
    mean_average_precision,
    top_k,
)
from keras_xcons.metrics.drop import average_drop, average_increase, masked_images
from keras_xcons.metrics.faithfulness import (
    area_under_curve,
    blurred_images,
    insertion_and_deletion,
    removal,
)
from keras_xcons.metrics.localisation import (
    POINTING_PROTOCOLS,
    content_heatmap,
    energy_pointing_game,
    pointing_game,
)
from keras_xcons.metrics.masks import iou_auc, pixel_histograms, pxap
from keras_xcons.metrics.max_box_acc import (
    LEVELS,
    box_hits,
    centre_gaussian,
    max_box_acc,
    max_box_acc_v2,
)
from keras_xcons.metrics.sensitivity import max_sensitivity
from keras_xcons.metrics.sparsity import gini
from keras_xcons.metrics.spread import entropy, flat
from keras_xcons.metrics.truth import has_object, tight_boxes
from keras_xcons.metrics.wsol import BOX_PROTOCOLS, check_opencv, wsol_hits

__all__ = [
    "BOX_PROTOCOLS",
    "LEVELS",
    "POINTING_PROTOCOLS",
    "THRESHOLDS",
    "area_under_curve",
    "average_drop",
    "average_increase",
    "binary_accuracy",
    "blurred_images",
    "box_hits",
    "box_overlaps",
    "centre_gaussian",
    "check_opencv",
    "component_overlaps",
    "content_heatmap",
    "energy_pointing_game",
    "entropy",
    "flat",
    "gini",
    "has_object",
    "insertion_and_deletion",
    "iou_auc",
    "largest_boxes",
    "masked_images",
    "max_box_acc",
    "max_box_acc_v2",
    "max_sensitivity",
    "mean_average_precision",
    "pixel_histograms",
    "pointing_game",
    "pxap",
    "removal",
    "tight_boxes",
    "top_k",
    "wsol_hits",
]
