import keras
import numpy as np
from keras import layers

from keras_xcons.explainers import explain


def test_a_crop_larger_than_the_image_is_explained_where_the_model_looks():
    inputs = keras.Input((None, None, 3))
    x = layers.Rescaling(1 / 255)(layers.CenterCrop(64, 64)(inputs))
    ones = {"kernel_initializer": "ones"}
    x = layers.Conv2D(2, 3, padding="same", activation="relu", **ones)(x)
    x = layers.Dense(2, **ones)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, x)
    for size in (32, 40):
        image = np.zeros((1, size, size, 3), "float32")
        image[0, 9:12, 9:12] = 255.0
        heatmap = explain(model, image, [0])[0]
        assert heatmap.shape == (size, size)
        peak = np.unravel_index(heatmap.argmax(), heatmap.shape)
        np.testing.assert_allclose(peak, (10, 10), atol=1)
