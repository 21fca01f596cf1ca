"""ProtoPNet."""

from keras_xcons.methods import register_objective
from keras_xcons.models.prototypes import prototype_view
from keras_xcons.protopnet.objective import ProtoPNetObjective


def _matches(model):
    try:
        prototype_view(model)
    except (TypeError, ValueError):
        return False
    return True


register_objective(_matches, ProtoPNetObjective)
