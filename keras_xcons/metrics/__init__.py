"""Metrics: arrays in, one number an image out. Each says which direction is better."""

from keras_xcons.metrics.localisation import energy_pointing_game, pointing_game

__all__ = ["energy_pointing_game", "pointing_game"]
