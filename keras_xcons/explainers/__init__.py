"""Explainers: heatmaps that tell where in an image a classifier looked."""

from keras_xcons.explainers.calibrating import Calibration, calibrate
from keras_xcons.explainers.explaining import (
    explain,
    explainer_of,
    frame_of,
    methods,
    moved_frame_of,
)
from keras_xcons.explainers.flips import FEWEST_CELLS
from keras_xcons.explainers.gradcam import (
    Explained,
    GradCAMPlusPlus,
    class_gradients,
    explained_pass,
)
from keras_xcons.explainers.prototype_evidence import PrototypeEvidence
from keras_xcons.explainers.prototypes import (
    activated_boxes,
    prototype_maps,
    prototype_similarities,
    source_images,
)
from keras_xcons.explainers.targets import Targets, find_targets, shown_maps
from keras_xcons.explainers.vis import (
    GradCAM,
    LayerCAM,
    Saliency,
    ScoreCAM,
    SmoothGrad,
)

__all__ = [
    "FEWEST_CELLS",
    "Calibration",
    "Explained",
    "GradCAM",
    "GradCAMPlusPlus",
    "LayerCAM",
    "PrototypeEvidence",
    "Saliency",
    "ScoreCAM",
    "SmoothGrad",
    "Targets",
    "activated_boxes",
    "calibrate",
    "class_gradients",
    "explain",
    "explained_pass",
    "explainer_of",
    "find_targets",
    "frame_of",
    "methods",
    "moved_frame_of",
    "prototype_maps",
    "prototype_similarities",
    "shown_maps",
    "source_images",
]
