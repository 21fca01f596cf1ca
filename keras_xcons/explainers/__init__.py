"""Explainers: heatmaps that tell where in an image a classifier looked."""

from keras_xcons.explainers.calibrating import Calibration, calibrate
from keras_xcons.explainers.explaining import (
    classes_of,
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
from keras_xcons.explainers.panels import Panel, as_pictures, panels
from keras_xcons.explainers.registry import check_name, names, own_or_usual, register
from keras_xcons.explainers.targets import (
    Targets,
    find_targets,
    most_likely,
    shown_maps,
)
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
    "Panel",
    "Saliency",
    "ScoreCAM",
    "SmoothGrad",
    "Targets",
    "as_pictures",
    "calibrate",
    "check_name",
    "class_gradients",
    "classes_of",
    "explain",
    "explained_pass",
    "explainer_of",
    "find_targets",
    "frame_of",
    "most_likely",
    "moved_frame_of",
    "names",
    "own_or_usual",
    "panels",
    "no_method",
    "refuses_method",
    "register",
    "shown_maps",
]
