"""What the tests over all training methods share."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_xcons as kx
from keras_xcons.methods import method_of

METHODS = [name for name in kx.methods() if method_of(name).follows is None]
# XCons that weighs samples, without what it learns from attacked images.
WEIGHTS_ALONE = {
    "sample_weights": "consistency",
    "attacked_loss": 0.0,
    "consistency_loss": 0.0,
}
EVERY = pytest.mark.parametrize("name", METHODS)
PLAIN_WITH = [name for name in METHODS if method_of(name).never_plain is None]
NEUTRAL = pytest.mark.parametrize("name", PLAIN_WITH)
TAKERS = [name for name in METHODS if method_of(name).trainer.takes_unlabelled]
LEARNERS = [name for name in METHODS if method_of(name).trainer is not kx.PlainModel]


def made(name, classifier, **options):
    """A trainer that trains nothing else before its own first step."""
    started = method_of(name).trainer.started
    return kx.trainer(name, classifier, **{**started, **options})


def logits_loss(kind="SparseCategorical"):
    return getattr(keras.losses, f"{kind}Crossentropy")(from_logits=True)


def entropies(labels, scores):
    labels = ops.reshape(ops.cast(labels, "int32"), (-1,))
    return keras.losses.sparse_categorical_crossentropy(
        labels, scores, from_logits=True
    )


def compiled(model, loss=None, eager=False, jit=False, optimizer=None, **arguments):
    model.compile(
        optimizer or keras.optimizers.SGD(0.05, momentum=0.9),
        loss or logits_loss(),
        run_eagerly=eager,
        jit_compile=jit,
        **{"metrics": ["accuracy"], **arguments},
    )
    return model


def fit(model, data, **arguments):
    feed = {"x": data} if isinstance(data, tf.data.Dataset) else data
    arguments = {"epochs": 2, "verbose": 0, "shuffle": False, **arguments}
    return model.fit(**feed, **arguments).history


def assert_learned(trainer, before, history):
    for name, values in history.items():
        assert np.all(np.isfinite(values)), name
    moved = [
        np.abs(old - new).max()
        for old, new in zip(before, trainer.classifier.get_weights(), strict=True)
    ]
    assert all(np.isfinite(moved)) and max(moved) > 0.0
