import numpy as np
import pytest
import tensorflow as tf

from keras_xcons.explainers import Targets, find_targets, shown_maps


@pytest.mark.parametrize(
    "labels",
    [
        np.array([2, 0, 1], "int64"),
        np.array([[2], [0], [1]], "uint8"),
        np.array([2.0, 0.0, 1.0], "float32"),
        np.eye(3, dtype="float32")[[2, 0, 1]],
    ],
    ids=["indices", "column", "floats", "one-hot"],
)
def test_one_class_an_image(labels):
    targets = find_targets(tf.constant(labels), num_classes=3)
    np.testing.assert_array_equal(targets.classes, [[2], [0], [1]])
    assert targets.classes.dtype == "int32"
    np.testing.assert_array_equal(targets.valid, np.ones((3, 1)))
    assert targets.valid.dtype == "float32"


def test_every_positive_class_of_multi_hot_labels():
    labels = tf.constant([[1, 0, 1], [0, 0, 0]])
    targets = find_targets(labels, num_classes=3, multi_label=True)
    np.testing.assert_array_equal(targets.classes, [[0, 1, 2]] * 2)
    np.testing.assert_array_equal(targets.valid, labels)
    assert targets.valid.dtype == "float32"


def test_the_largest_value_of_the_classes_that_count():
    maps = tf.constant([[[[0.2, 0.5]], [[0.3, 0.1]], [[0.9, 0.9]]]])
    targets = Targets(None, tf.constant([[1.0, 1.0, 0.0]]))
    np.testing.assert_allclose(shown_maps(maps, targets), [[[0.3, 0.5]]])
