"""Recipes: whole training runs, from data to figures and models on disk."""

from keras_xcons.recipes.calibrate import calibrate_model
from keras_xcons.recipes.compare import table, train
from keras_xcons.recipes.evaluate import evaluate_models
from keras_xcons.recipes.experiment import Experiment
from keras_xcons.recipes.explain import explain_files
from keras_xcons.recipes.following import FollowOptions, follow
from keras_xcons.recipes.opening import open_model
from keras_xcons.recipes.options import BAD_RECORD_HELP, DATASET_HELP, TrainOptions
from keras_xcons.recipes.recipe import Recipe, read_recipe
from keras_xcons.recipes.run_files import writable_folder
from keras_xcons.recipes.zoo_training import (
    calibrate_by,
    find_dataset,
    measure_by,
    publish_by,
    train_by,
)

__all__ = [
    "BAD_RECORD_HELP",
    "DATASET_HELP",
    "Experiment",
    "FollowOptions",
    "Recipe",
    "TrainOptions",
    "calibrate_by",
    "calibrate_model",
    "evaluate_models",
    "explain_files",
    "find_dataset",
    "follow",
    "measure_by",
    "open_model",
    "publish_by",
    "read_recipe",
    "table",
    "train",
    "train_by",
    "writable_folder",
]
