"""COMET: classifiers that show all that a class is told by, and see nothing else.

Importing this folder registers the architecture and the training method `"comet"` and
the explainer `"selection"`.
"""

from keras_xcons.comet.explainer import SelectedPart
from keras_xcons.comet.layers import ResizeLike, Selection
from keras_xcons.comet.model import COMETModel as COMETModel
from keras_xcons.comet.network import comet_classifier, default_selector
from keras_xcons.comet.optimizers import PartsOptimizer
from keras_xcons.comet.options import COMETOptions
from keras_xcons.comet.preparing import COMETPreparation, TrainingData
from keras_xcons.comet.view import CometView, comet_view, is_comet

__all__ = [
    "COMETModel",
    "COMETOptions",
    "COMETPreparation",
    "CometView",
    "PartsOptimizer",
    "ResizeLike",
    "SelectedPart",
    "Selection",
    "TrainingData",
    "comet_classifier",
    "comet_view",
    "default_selector",
    "is_comet",
]
