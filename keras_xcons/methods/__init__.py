"""Training methods: models whose train_step is the method, one file each.

A method is one file and one import here, from where all else follows. The room itself
can be called: `keras_xcons.methods()` gives the names of the methods.
"""

import sys
import types

from keras_xcons.methods.base import TrainingMethod
from keras_xcons.methods.batch import Batch
from keras_xcons.methods.cgc import CGCModel as CGCModel
from keras_xcons.methods.common_options import MethodOptions
from keras_xcons.methods.objective import Objective, objective_class, register_objective
from keras_xcons.methods.plain import PlainModel as PlainModel
from keras_xcons.methods.registry import (
    Method,
    following_method,
    method_of,
    methods,
    trainer,
    training_method,
)
from keras_xcons.methods.scaat import SCAATModel as SCAATModel
from keras_xcons.methods.xcons import EpochReweighting
from keras_xcons.methods.xcons import XConsModel as XConsModel

__all__ = [
    "Batch",
    "EpochReweighting",
    "Method",
    "MethodOptions",
    "Objective",
    "TrainingMethod",
    "following_method",
    "method_of",
    "methods",
    "objective_class",
    "register_objective",
    "trainer",
    "training_method",
]

# Every method by the name of its class, without a second mention here.
__all__ += [method_of(name).trainer.__name__ for name in methods()]


class _Room(types.ModuleType):
    """A module that can be called for what lies in it."""

    def __call__(self):
        return methods()


sys.modules[__name__].__class__ = _Room
