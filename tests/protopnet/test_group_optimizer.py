import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_xcons.protopnet.group_optimizer import GroupOptimizer

OPTIMIZERS = {
    "adam": lambda: keras.optimizers.Adam(0.1),
    "adamw": lambda: keras.optimizers.AdamW(0.1, weight_decay=0.3),
    "sgd": lambda: keras.optimizers.SGD(0.1, momentum=0.9, clipnorm=0.5),
    "averaged": lambda: keras.optimizers.Adam(0.1, use_ema=True, ema_momentum=0.5),
    "accumulated": lambda: keras.optimizers.Adam(0.1, gradient_accumulation_steps=2),
}


def variables():
    return keras.Variable([1.0, -2.0]), keras.Variable([0.5])


def grouped(optimizer, one, two):
    made = GroupOptimizer(optimizer)
    made.set_parts({"one": [one], "two": [two]})
    made.build([one, two])
    return made


def gradients(step):
    random = np.random.default_rng(step)
    return tf.constant(random.normal(size=2), "float32"), tf.constant([0.3 + step])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_group_has_the_steps_of_an_optimizer_of_its_own(name):
    one, two = variables()
    both = grouped(OPTIMIZERS[name](), one, two)
    both.factors["two"].assign(0.25)
    alone = variables()
    separate = [OPTIMIZERS[name](), OPTIMIZERS[name]()]
    separate[1].learning_rate = 0.1 * 0.25
    for optimizer, variable in zip(separate, alone, strict=True):
        optimizer.build([variable])
    for step in range(6):
        first, second = gradients(step)
        # The second group comes late.
        pairs = [(first, one), (second, two)][: 1 + (step >= 3)]
        both.apply(*zip(*pairs, strict=True))
        separate[0].apply([first], [alone[0]])
        if step >= 3:
            separate[1].apply([second], [alone[1]])
    both.finalize_variable_values([one, two])
    for optimizer, variable in zip(separate, alone, strict=True):
        optimizer.finalize_variable_values([variable])
    np.testing.assert_allclose(one, alone[0], rtol=1e-6)
    np.testing.assert_allclose(two, alone[1], rtol=1e-6)
    assert int(both.iterations) == 6


def test_a_new_learning_rate_and_new_factors_act_at_once():
    one, two = variables()
    both = grouped(keras.optimizers.SGD(0.1), one, two)
    both.learning_rate = 1.0
    both.factors["one"].assign(0.5)
    both.apply([tf.ones(2), tf.ones(1)], [one, two])
    np.testing.assert_allclose(one, [0.5, -2.5])
    np.testing.assert_allclose(two, [-0.5])


def test_it_is_made_again_from_its_config():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.5, 10, 0.9)
    for rate in (0.02, schedule):
        made = GroupOptimizer(keras.optimizers.AdamW(rate, weight_decay=0.7))
        again = keras.optimizers.deserialize(keras.optimizers.serialize(made))
        assert isinstance(again, GroupOptimizer)
        assert again.optimizer.weight_decay == 0.7
        np.testing.assert_allclose(again.learning_rate, made.learning_rate)


def test_variables_excluded_from_weight_decay_stay_excluded():
    one, two = variables()
    optimizer = keras.optimizers.AdamW(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay([one])
    both = grouped(optimizer, one, two)
    both.apply([tf.zeros(2), tf.zeros(1)], [one, two])
    np.testing.assert_allclose(one, [1.0, -2.0])
    np.testing.assert_allclose(two, [0.5 * 0.95], rtol=1e-6)


def test_a_group_may_be_empty():
    one, two = variables()
    made = GroupOptimizer(keras.optimizers.Adam(0.1))
    made.set_parts({"none": [], "all": [one, two]})
    made.apply([tf.ones(2), tf.ones(1)], [one, two])
    np.testing.assert_allclose(one, [0.9, -2.1], atol=1e-5)
