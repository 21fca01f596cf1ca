"""What every training method takes: labels and classifiers, over the registry."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_xcons as kx
from keras_xcons.methods import method_of
from tests.methods.contract import (
    EVERY,
    assert_learned,
    compiled,
    fit,
    logits_loss,
)
from tests.protopnet.protopnets import classifier as protopnet


def one_output():
    keras.utils.set_random_seed(3)
    images = keras.Input((16, 16, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(images)
    x = layers.Conv2D(8, 3, 2, activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, layers.Dense(1, activation="sigmoid")(x))


LABELS = {
    "column": lambda labels: (labels[:, None], {}, "SparseCategorical"),
    "one-hot": lambda labels: (np.eye(5)[labels], {}, "Categorical"),
    "multi-hot": lambda labels: (
        np.maximum(np.eye(5)[labels], np.eye(5)[(labels * 2) % 5]),
        {"multi_label": True},
        "Binary",
    ),
}


@pytest.mark.parametrize("kind", LABELS)
@EVERY
def test_labels(name, kind, build, dataset, arrays):
    labels, options, loss = LABELS[kind](arrays[1])
    trainer = compiled(kx.trainer(name, build(), **options), logits_loss(loss))
    before = trainer.classifier.get_weights()
    labels = labels.astype("int32" if kind == "column" else "float32")
    assert_learned(trainer, before, fit(trainer, dataset(ids=False, labels=labels)))


@EVERY
def test_one_sigmoid_output(name, dataset, arrays):
    trainer = compiled(kx.trainer(name, one_output()), "binary_crossentropy")
    before = trainer.classifier.get_weights()
    data = dataset(ids=False, labels=(arrays[1] % 2).astype("float32"))
    assert_learned(trainer, before, fit(trainer, data))


def two_dense(build):
    keras.utils.set_random_seed(4)
    images = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, 2, activation="relu")(layers.Rescaling(1 / 255)(images))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, layers.Dense(5)(layers.Dense(7, activation="relu")(x)))


CLASSIFIERS = {
    "flatten": lambda build: build(head="tape"),
    "two dense": two_dense,
    "nested": lambda build: build(nested=True, live=True),
}


@pytest.mark.parametrize("kind", CLASSIFIERS)
@EVERY
def test_classifiers(name, kind, build, dataset):
    trainer = compiled(kx.trainer(name, CLASSIFIERS[kind](build)))
    before = trainer.classifier.get_weights()
    assert_learned(trainer, before, fit(trainer, dataset(ids=False)))


@EVERY
def test_a_classifier_with_an_objective(name):
    """A ProtoPNet has losses, groups of variables and stages of its own."""
    model = protopnet()
    if not method_of(name).trainer.takes_objectives:
        with pytest.raises(ValueError, match="a classifier with an objective"):
            kx.trainer(name, model)
        return
    trainer = kx.trainer(name, model, objective={"cluster": 0.5})
    compiled(trainer, optimizer=keras.optimizers.Adam(3e-3))
    random = np.random.default_rng(0)
    labels = np.arange(18, dtype="int32") % 3
    images = random.uniform(0, 255, (18, 32, 32, 3)).astype("float32")
    before = model.get_weights()
    history = fit(trainer, {"x": images, "y": labels, "batch_size": 6})
    assert_learned(trainer, before, history)
    assert {"cluster", "separation"} <= set(history)
    assert trainer.get_config()["objective"]["cluster"] == 0.5


@EVERY
def test_a_classifier_without_a_feature_map(name, dataset):
    model = keras.Sequential(
        [keras.Input((16, 16, 3)), layers.Flatten(), layers.Dense(5)]
    )
    kind = method_of(name).trainer
    if kind.needs_maps or kind.networks:
        with pytest.raises(ValueError, match="no 4-D activation"):
            kx.trainer(name, model)
    else:
        trainer = compiled(kx.trainer(name, model))
        fit(trainer, dataset(ids=False), epochs=1)
