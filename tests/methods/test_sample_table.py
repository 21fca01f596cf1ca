import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_xcons.methods.sample_table import (
    UNSEEN,
    SampleTable,
    mean_over_replicas,
    sum_over_replicas,
)


def test_nothing_is_seen_at_first():
    values, seen = SampleTable(4).lookup([0, 3])
    np.testing.assert_array_equal(values, [0.0, 0.0])
    np.testing.assert_array_equal(seen, [0.0, 0.0])


def test_stores_and_looks_up():
    table = SampleTable(5)
    table.store([3, 1], [0.25, 0.0])
    values, seen = table.lookup([0, 1, 3, 3])
    np.testing.assert_array_equal(values, [0.0, 0.0, 0.25, 0.25])
    np.testing.assert_array_equal(seen, [0.0, 1.0, 1.0, 1.0])
    table.store([3], [0.5])
    expected = [UNSEEN, 0.0, UNSEEN, 0.5, UNSEEN]
    np.testing.assert_array_equal(table.values, expected)


def test_duplicates_leave_their_mean():
    table = SampleTable(3)
    table.store([1, 1, 0, 1], [0.0, 0.3, 0.5, 0.6])
    np.testing.assert_allclose(table.values, [0.5, 0.3, UNSEEN])


@pytest.mark.parametrize("jit", [False, True])
def test_works_in_a_graph_and_in_half_precision(jit):
    table = SampleTable(3)

    @tf.function(jit_compile=jit)
    def step(ids, values):
        before = table.lookup(ids)
        table.store(ids, values)
        return before

    step(tf.constant([2, 0]), tf.constant([0.5, 0.25], "float16"))
    values, seen = step(tf.constant([2, 1]), tf.constant([0.75, 1.0], "float16"))
    np.testing.assert_array_equal(values, [0.5, 0.0])
    np.testing.assert_array_equal(seen, [1.0, 0.0])
    np.testing.assert_array_equal(table.values, [0.25, 1.0, 0.75])


def test_is_a_float32_weight_that_is_not_trained():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        table = SampleTable(7)
    finally:
        keras.config.set_dtype_policy(before)
    assert table.values.dtype == "float32"
    assert table.values.shape == (7,)
    assert not table.trainable_variables
    assert len(table.weights) == 1


def test_config_round_trip():
    table = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(SampleTable(7, name="memory"))
    )
    assert isinstance(table, SampleTable)
    assert (table.num_samples, table.name) == (7, "memory")


def test_means_and_sums_without_replicas():
    values = tf.constant([1.0, 2.0, 6.0])
    assert sum_over_replicas(values) is values
    assert float(mean_over_replicas(values)) == 3.0
    assert float(mean_over_replicas(values, tf.constant([1.0, 0.0, 1.0]))) == 3.5
    assert float(mean_over_replicas(values, tf.zeros(3))) == 0.0


def test_what_was_not_measured_stays_as_it_was():
    table = SampleTable(3)
    table.store(np.array([0, 1]), np.array([0.5, 0.25], "float32"))
    new = np.array([np.nan, 0.75, np.inf], "float32")
    table.store(np.array([0, 2, 1]), new)
    np.testing.assert_allclose(np.asarray(table.values.numpy()), [0.5, 0.25, 0.75])
