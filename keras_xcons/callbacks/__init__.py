"""Keras callbacks: what hooks into `fit`."""

from keras_xcons.callbacks.csv_log import FigureLogger
from keras_xcons.callbacks.monitor import ExplanationMonitor
from keras_xcons.methods import EpochReweighting

__all__ = ["EpochReweighting", "ExplanationMonitor", "FigureLogger"]
