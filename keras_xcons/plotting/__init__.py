"""Pictures: heatmaps on their images, and prototypes beside where they are found."""

from keras_xcons.plotting.heatmaps import comparison, is_saved, overlay, plot, save
from keras_xcons.plotting.prototypes import this_looks_like_that

__all__ = [
    "comparison",
    "is_saved",
    "overlay",
    "plot",
    "save",
    "this_looks_like_that",
]
