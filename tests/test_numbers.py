"""No number that is not finite, or that nobody means, passes anywhere."""

import dataclasses
import typing

import keras
import numpy as np
import pytest

import keras_xcons as kx
from keras_xcons import data, metrics, models
from keras_xcons.callbacks import EpochReweighting
from keras_xcons.evaluation import EvaluationOptions
from keras_xcons.explainers import vis
from keras_xcons.methods.xcons.options import XConsOptions
from keras_xcons.protopnet import StageSchedule
from keras_xcons.protopnet.objective import ProtoPNetOptions
from keras_xcons.recipes import TrainOptions
from keras_xcons.recipes.pretrain_options import PretrainOptions

BAD = [float("inf"), float("-inf"), float("nan"), 10**23, -(10**23), 10**5000]
TABLES = {
    TrainOptions: {},
    PretrainOptions: {"dataset": "shapes", "model": "small_cnn"},
    EvaluationOptions: {},
    XConsOptions: {"schedule": "memory", "num_samples": 3},
    ProtoPNetOptions: {},
    StageSchedule: {},
}


def numbers(table):
    kinds = typing.get_type_hints(table)
    for field in dataclasses.fields(table):
        kind = kinds[field.name]
        if {int, float} & {kind, *typing.get_args(kind)}:
            yield field.name


OPTIONS = [(table, name) for table in TABLES for name in numbers(table)]


def test_the_tables_are_read():
    names = [name for _, name in OPTIONS]
    assert len(names) > 40
    assert {"epochs", "tolerance", "consistency_loss", "seed", "decay"} <= set(names)


@pytest.mark.parametrize(
    "table, name", OPTIONS, ids=[f"{t.__name__}.{name}" for t, name in OPTIONS]
)
def test_every_option_refuses_them_in_one_line(table, name):
    for value in BAD:
        with pytest.raises((ValueError, TypeError)) as caught:
            table(**{**TABLES[table], name: value})
        line = str(caught.value)
        assert line.startswith(f"`{name}` must be") and "\n" not in line
        assert f"Received: {name}=" in line and len(line) < 400


IMAGES = np.zeros((1, 16, 16, 3), "float32")
MAPS = np.ones((1, 16, 16), "float32")
BOXES = np.array([[[0.0, 0.0, 1.0, 1.0]]])


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return models.create("small_cnn", 2, 16, width=2)


CALLS = {
    "pointing_game tolerance": lambda value, model: metrics.pointing_game(
        MAPS, BOXES, tolerance=value
    ),
    "insertion_and_deletion steps": lambda value, model: metrics.insertion_and_deletion(
        None, IMAGES, MAPS, [0], steps=value
    ),
    "blurred_images blur": lambda value, model: metrics.blurred_images(IMAGES, value),
    "max_sensitivity radius": lambda value, model: metrics.max_sensitivity(
        None, IMAGES, MAPS, [0], value
    ),
    "max_sensitivity samples": lambda value, model: metrics.max_sensitivity(
        None, IMAGES, MAPS, [0], 5.0, value
    ),
    "top_k k": lambda value, model: metrics.top_k([[0.0, 1.0]], [0], value),
    "create num_classes": lambda value, model: models.create("small_cnn", value, 16),
    "create input_size": lambda value, model: models.create("small_cnn", 2, value),
    "create width": lambda value, model: models.create("small_cnn", 2, 16, width=value),
    "create dropout": lambda value, model: models.create(
        "small_cnn", 2, 16, dropout=value
    ),
    "create alpha": lambda value, model: models.create(
        "mobilenet_v2", 2, 32, alpha=value
    ),
    "create channels": lambda value, model: models.create(
        "protopnet", 2, 16, backbone="small_cnn", channels=value
    ),
    "create prototypes": lambda value, model: models.create(
        "protopnet", 2, 16, backbone="small_cnn", prototypes=value
    ),
    "load image_size": lambda value, model: data.load("shapes", image_size=value),
    "load batch_size": lambda value, model: data.load("shapes", batch_size=value),
    "load seed": lambda value, model: data.load("shapes", seed=value),
    "load num_samples": lambda value, model: data.load("shapes", num_samples=value),
    "load data_seed": lambda value, model: data.load("shapes", data_seed=value),
    "random_shift fraction": lambda value, model: data.augmentation.random_shift(
        IMAGES[0], (0, 1), value
    ),
    "explain batch_size": lambda value, model: kx.explain(
        model, IMAGES, batch_size=value
    ),
    "SmoothGrad samples": lambda value, model: vis.SmoothGrad(
        models.split(model), samples=value
    ),
    "SmoothGrad noise": lambda value, model: vis.SmoothGrad(
        models.split(model), noise=value
    ),
    "ScoreCAM max_channels": lambda value, model: vis.ScoreCAM(
        models.split(model), max_channels=value
    ),
    "plot columns": lambda value, model: kx.plot(IMAGES, MAPS, columns=value),
    "overlay alpha": lambda value, model: kx.plotting.overlay(
        IMAGES[0], MAPS[0], value
    ),
    "monitor every": lambda value, model: kx.callbacks.ExplanationMonitor(
        (IMAGES, [0]), every=value
    ),
    "monitor pictures": lambda value, model: kx.callbacks.ExplanationMonitor(
        (IMAGES, [0]), pictures=value
    ),
    "EpochReweighting every": lambda value, model: EpochReweighting(None, value),
    "StageSchedule.epochs pushes": lambda value, model: StageSchedule().epochs(value),
}


@pytest.mark.parametrize("call", CALLS)
def test_every_argument_refuses_them_in_one_line(call, model):
    name = call.split()[-1]
    for value in BAD:
        with pytest.raises((ValueError, TypeError)) as caught:
            CALLS[call](value, model)
        line = str(caught.value)
        assert f"`{name}` " in line and "\n" not in line, line
        assert f"Received: {name}=" in line and len(line) < 400
