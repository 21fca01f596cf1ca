"""Explainers: heatmaps that tell where in an image a classifier looked."""

from keras_xcons.explainers.calibrating import Calibration, calibrate
from keras_xcons.explainers.explaining import (
    explain,
    explainer_of,
    frame_of,
    moved_frame_of,
)
from keras_xcons.explainers.flips import FEWEST_CELLS
from keras_xcons.explainers.gradcam import (
    Explained,
    GradCAMPlusPlus,
    class_gradients,
    explained_pass,
)
from keras_xcons.explainers.old_keyword import no_method, refuses_method
from keras_xcons.explainers.prototype_evidence import PrototypeEvidence
from keras_xcons.explainers.prototypes import (
    activated_boxes,
    prototype_maps,
    prototype_similarities,
    source_images,
)
from keras_xcons.explainers.registry import check_name, names, register
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
    "activated_boxes",
    "calibrate",
    "check_name",
    "class_gradients",
    "explain",
    "explained_pass",
    "explainer_of",
    "frame_of",
    "moved_frame_of",
    "names",
    "no_method",
    "prototype_maps",
    "prototype_similarities",
    "refuses_method",
    "register",
    "source_images",
]
