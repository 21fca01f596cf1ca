"""Recipes: whole training runs, from data to figures and models on disk."""

from keras_xcons.recipes.arms import Experiment
from keras_xcons.recipes.compare import table, train
from keras_xcons.recipes.evaluate import evaluate_models
from keras_xcons.recipes.explain import explain_files, open_model
from keras_xcons.recipes.files import writable_folder
from keras_xcons.recipes.options import DATASET_HELP, TrainOptions

__all__ = [
    "DATASET_HELP",
    "Experiment",
    "TrainOptions",
    "evaluate_models",
    "explain_files",
    "open_model",
    "table",
    "train",
    "writable_folder",
]
