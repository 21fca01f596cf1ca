"""Features at the size of the images."""

import keras
import tensorflow as tf


class Placed(keras.Layer):
    """Lays features on the images, where they come from in them.

    Args:
        frame: The `keras_xcons.models.Frame` of the features.

    Call arguments:
        inputs: `(images, features)`, tensors `(B, H, W, channels)` and
            `(B, h, w, K)`.

    Returns, when called:
        Float32 tensor `(B, H, W, K)`.
    """

    def __init__(self, frame):
        super().__init__(dtype="float32")
        self._frame = frame

    def call(self, inputs):
        images, features = inputs
        return self._frame.place(features, tf.shape(images)[1:3])

    def compute_output_shape(self, input_shape):
        images, features = input_shape
        return (*images[:3], features[3])
