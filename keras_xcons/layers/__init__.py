"""Keras layers: Grad-CAM++ heatmaps and the reading of logits."""

from keras_xcons.layers.gradcam import (
    GradCAMPlusPlus,
    grad_cam_plus_plus,
    scale_to_one,
)
from keras_xcons.layers.logits import Logits

__all__ = ["GradCAMPlusPlus", "Logits", "grad_cam_plus_plus", "scale_to_one"]
