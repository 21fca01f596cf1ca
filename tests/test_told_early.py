import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_xcons
from keras_xcons.recipes.explain import open_model


def classifier():
    pool = layers.GlobalAveragePooling2D()
    parts = [keras.Input((8, 8, 3)), layers.Conv2D(2, 3), pool, layers.Dense(2)]
    return keras.Sequential(parts)


def test_a_dataset_is_no_batch_of_images():
    dataset = tf.data.Dataset.from_tensors((np.zeros((1, 8, 8, 3)), [0]))
    with pytest.raises(TypeError, match=r"pass `next\(iter\(dataset\)\)\[0\]`"):
        keras_xcons.explain(classifier(), dataset)


def test_metrics_are_checked_before_the_data_set_is_looked_for():
    with pytest.raises(ValueError, match="acuracy"):
        keras_xcons.evaluate(classifier(), "/no/such/folder", ["acuracy"])


def test_a_file_that_is_no_model_is_told_what_a_model_is(tmp_path):
    path = tmp_path / "picture.bmp"
    path.write_bytes(b"BM")
    with pytest.raises(ValueError, match="or a `.keras` file"):
        open_model(str(path))
