"""The view of a classifier that all methods share, and the published architectures."""

from keras_xcons.models.flatten import flatten
from keras_xcons.models.view import ClassifierView, TrainsClassifier, split

__all__ = ["ClassifierView", "TrainsClassifier", "flatten", "split"]
