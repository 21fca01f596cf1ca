"""XCons: training that weights each sample by its explanation consistency."""

from keras_xcons.methods.xcons.callbacks import EpochReweighting
from keras_xcons.methods.xcons.model import XConsModel

__all__ = ["EpochReweighting", "XConsModel"]
