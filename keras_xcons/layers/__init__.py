"""Keras layers: Grad-CAM++ heatmaps and the reading of logits."""

from keras_xcons.layers.gradcam import (
    NORMALIZATIONS,
    GradCAMPlusPlus,
    check_normalize,
    grad_cam_plus_plus,
    scale_to_one,
)
from keras_xcons.layers.logits import (
    BinaryLogits,
    Logits,
    class_columns,
    class_scores,
)

__all__ = [
    "NORMALIZATIONS",
    "BinaryLogits",
    "GradCAMPlusPlus",
    "Logits",
    "check_normalize",
    "class_columns",
    "class_scores",
    "grad_cam_plus_plus",
    "scale_to_one",
]
