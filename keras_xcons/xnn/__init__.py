"""XNN: explanation networks, a few x-features that a class's score is the sum of.

Importing this folder registers the architecture and the explainer `"xnn"`.
"""

from keras_xcons.xnn.evidence import Explanation, XFeatureEvidence, significant
from keras_xcons.xnn.fitting import losses, pull_away
from keras_xcons.xnn.layers import ClassDense, ExplanationNetworks
from keras_xcons.xnn.model import XNN
from keras_xcons.xnn.network import XNNView, is_xnn, xnn_classifier, xnn_view
from keras_xcons.xnn.options import XNNOptions
from keras_xcons.xnn.pictures import strongest_images, what_adds_up

__all__ = [
    "XNN",
    "ClassDense",
    "Explanation",
    "ExplanationNetworks",
    "XFeatureEvidence",
    "XNNOptions",
    "XNNView",
    "is_xnn",
    "losses",
    "pull_away",
    "significant",
    "strongest_images",
    "what_adds_up",
    "xnn_classifier",
    "xnn_view",
]
