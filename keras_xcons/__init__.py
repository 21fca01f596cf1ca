"""keras-xcons: image classifiers whose explanations can be trusted.

>>> import keras_xcons as kx
>>> model = kx.load("shapes_cnn")
>>> heatmaps = kx.explain(model, images)
>>> report = kx.evaluate(model, dataset)
>>> trainer = kx.XConsModel(classifier)
"""

import os
import sys

from keras_xcons.startup import import_tensorflow_quietly

if os.path.basename(sys.argv[0]) == "keras-xcons":
    import_tensorflow_quietly()

# isort: split
from keras_xcons import (
    attacks,
    callbacks,
    comet,
    consistency,
    data,
    evaluation,
    explainers,
    layers,
    methods,
    metrics,
    models,
    plotting,
    protopnet,
    report,
    xnn,
    zoo,
)
from keras_xcons.evaluation import evaluate
from keras_xcons.explainers import calibrate, explain
from keras_xcons.methods import method_of, trainer
from keras_xcons.models import split
from keras_xcons.plotting import plot
from keras_xcons.report import Report
from keras_xcons.version import __version__
from keras_xcons.xnn import XNN
from keras_xcons.zoo import download, info, list_models, load

__all__ = [
    "XNN",
    "Report",
    "__version__",
    "attacks",
    "calibrate",
    "callbacks",
    "comet",
    "consistency",
    "data",
    "download",
    "evaluate",
    "evaluation",
    "explain",
    "explainers",
    "info",
    "layers",
    "methods",
    "list_models",
    "load",
    "metrics",
    "models",
    "plot",
    "plotting",
    "protopnet",
    "report",
    "split",
    "trainer",
    "xnn",
    "zoo",
]

# Every training method by the name of its class: XConsModel and its siblings.
_trainers = [method_of(name).trainer for name in methods()]
globals().update({cls.__name__: cls for cls in _trainers})
__all__ += [cls.__name__ for cls in _trainers]
