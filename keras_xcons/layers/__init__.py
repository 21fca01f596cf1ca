"""Keras layers: Grad-CAM++ heatmaps, the reading of logits, and prototypes."""

from keras_xcons.layers.gradcam import (
    GradCAMPlusPlus,
    grad_cam_plus_plus,
    scale_to_one,
)
from keras_xcons.layers.logits import Logits
from keras_xcons.layers.prototypes import Prototypes, PrototypeSimilarity

__all__ = [
    "GradCAMPlusPlus",
    "Logits",
    "PrototypeSimilarity",
    "Prototypes",
    "grad_cam_plus_plus",
    "scale_to_one",
]
