"""Training methods: models whose train_step is the method."""

from keras_xcons.training.protopnet import ProtoPNetModel, XConsProtoPNetModel
from keras_xcons.training.xcons import XConsModel

__all__ = ["ProtoPNetModel", "XConsModel", "XConsProtoPNetModel"]
