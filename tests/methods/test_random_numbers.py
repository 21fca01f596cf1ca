import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_xcons.methods.random_numbers import fold, seed_of

PURPOSES = ("start", "shuffle", "sweep")


def counted(optimizer, steps):
    variable = keras.Variable(np.zeros(2, "float32"))
    optimizer.build([variable])
    for _ in range(steps):
        optimizer.apply([tf.ones(2)], [variable])
    return optimizer


@pytest.mark.parametrize("kind", ["plain", "accumulating", "scaled", "graph"])
def test_every_step_and_purpose_has_a_seed_of_its_own(kind):
    def seeds():
        for steps, purpose, seed in itertools.product((0, 1, 2), PURPOSES, (0, 7)):
            optimizer = keras.optimizers.SGD(
                gradient_accumulation_steps=3 if kind == "accumulating" else None
            )
            if kind == "scaled":
                optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
            optimizer = counted(optimizer, steps)
            ask = tf.function(seed_of) if kind == "graph" else seed_of
            yield tuple(np.array(ask(seed, optimizer, purpose)).tolist())

    found = list(seeds())
    assert len(set(found)) == len(found) == 18
    assert found == list(seeds())


def test_replicas_have_seeds_of_their_own():
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        optimizer = counted(keras.optimizers.SGD(), 0)
    inside = strategy.run(seed_of, (3, optimizer, "start"))
    np.testing.assert_array_equal(inside, seed_of(3, optimizer, "start"))
    other = fold(fold(tf.constant([3, 0]), 0), 1)
    assert np.any(np.array(other) != np.array(inside))
