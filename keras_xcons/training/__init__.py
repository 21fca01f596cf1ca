"""Training methods: models whose train_step is the method."""

from keras_xcons.training.xcons import XConsModel

__all__ = ["XConsModel"]
