"""Keras layers: Grad-CAM++ heatmaps, the reading of logits, and prototypes."""

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
from keras_xcons.layers.prototypes import Prototypes, PrototypeSimilarity

__all__ = [
    "NORMALIZATIONS",
    "BinaryLogits",
    "GradCAMPlusPlus",
    "Logits",
    "PrototypeSimilarity",
    "Prototypes",
    "check_normalize",
    "class_columns",
    "class_scores",
    "grad_cam_plus_plus",
    "scale_to_one",
]
