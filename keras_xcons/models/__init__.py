"""The view of a classifier that all share, and the published architectures."""

from keras_xcons.models.architectures import (
    architectures,
    arguments_of,
    create,
    create_backbone,
    register_architecture,
)
from keras_xcons.models.architectures.torchvision import load_torchvision_weights
from keras_xcons.models.batch_norm import freeze_batch_norm, zero_residual
from keras_xcons.models.copying import copy_model, copy_part
from keras_xcons.models.flatten import flatten
from keras_xcons.models.frame import Frame
from keras_xcons.models.view import ClassifierView, TrainsClassifier, split

__all__ = [
    "ClassifierView",
    "Frame",
    "TrainsClassifier",
    "architectures",
    "arguments_of",
    "copy_model",
    "copy_part",
    "create",
    "create_backbone",
    "flatten",
    "freeze_batch_norm",
    "load_torchvision_weights",
    "register_architecture",
    "split",
    "zero_residual",
]
