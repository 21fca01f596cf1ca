"""Training methods: models whose train_step is the method."""

from keras_xcons.training.protopnet import ProtoPNetModel, XConsProtoPNetModel
from keras_xcons.training.prototype_pruning import prune_prototypes
from keras_xcons.training.prototype_push import draw_prototypes, push_prototypes
from keras_xcons.training.prototype_stages import StageSchedule
from keras_xcons.training.xcons import XConsModel

__all__ = [
    "ProtoPNetModel",
    "StageSchedule",
    "XConsModel",
    "XConsProtoPNetModel",
    "draw_prototypes",
    "prune_prototypes",
    "push_prototypes",
]
