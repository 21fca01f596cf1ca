"""ProtoPNets: classifiers that compare parts of an image with learned prototypes.

Importing this folder registers the architecture `"protopnet"`, the explainer
`"prototypes"` and the objective that every training method asks for.
"""

from keras_xcons.methods import register_objective

# Imported for what it registers.
from keras_xcons.protopnet import network  # noqa: F401
from keras_xcons.protopnet.explainer import PrototypeEvidence
from keras_xcons.protopnet.layers import Prototypes, PrototypeSimilarity
from keras_xcons.protopnet.objective import ProtoPNetObjective, ProtoPNetOptions
from keras_xcons.protopnet.patches import (
    activated_boxes,
    prototype_maps,
    prototype_similarities,
    source_images,
)
from keras_xcons.protopnet.pictures import this_looks_like_that
from keras_xcons.protopnet.pruning import prune_prototypes
from keras_xcons.protopnet.push import draw_prototypes, push_prototypes
from keras_xcons.protopnet.stages import PrototypeStages, StageSchedule
from keras_xcons.protopnet.view import (
    PrototypeView,
    is_protopnet,
    prototype_view,
)

register_objective(is_protopnet, ProtoPNetObjective, ["protopnet"])

__all__ = [
    "ProtoPNetObjective",
    "ProtoPNetOptions",
    "PrototypeEvidence",
    "PrototypeSimilarity",
    "PrototypeStages",
    "PrototypeView",
    "Prototypes",
    "StageSchedule",
    "activated_boxes",
    "draw_prototypes",
    "is_protopnet",
    "prototype_maps",
    "prototype_similarities",
    "prototype_view",
    "prune_prototypes",
    "push_prototypes",
    "source_images",
    "this_looks_like_that",
]
