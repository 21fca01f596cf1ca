"""A small model as it is published in these tests."""

import json

import keras
import numpy as np

from keras_xcons import zoo
from keras_xcons.models.architectures import create

NAME = "small_cnn_shapes"
CLASSES = ["circle", "square", "star"]
ABOUT = {
    "architecture": "small_cnn",
    "arguments": {"width": 4},
    "class_names": CLASSES,
    "method": "xcons",
    "recipe": {"epochs": 2, "optimizer": "adamw"},
    "metrics": {"accuracy": 0.5, "localization": {"pointing_game": 0.75}},
    "data_license": "CC0-1.0",
    "weights_license": "Apache-2.0",
    "dataset": "shapes",
    "data": "the generated shapes set, 400 training images",
    "pretraining": "none, random weights",
}
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3)).astype("uint8")


def trained():
    keras.utils.set_random_seed(0)
    model = create("small_cnn", 3, 16, width=4)
    # Moves the statistics of batch normalisation away from their start.
    model(IMAGES, training=True)
    return model


def publish(folder, name=NAME, **changes):
    return zoo.publish(trained(), name, folder, **{**ABOUT, **changes})


def card_of(folder):
    return json.loads((folder / "card.json").read_text("utf-8"))


def write_card(folder, card):
    (folder / "card.json").write_text(json.dumps(card), "utf-8")


def change_card(folder, **changes):
    write_card(folder, {**card_of(folder), **changes})


def contents(folder):
    """Everything below a folder, by its relative path."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
