"""Compiles what is asked of a model, once for all sizes of batch."""

import threading

import tensorflow as tf


def compiled(function, signature):
    """Compiles a function of images whose model may be trained on.

    Args:
        function: Function of tensors.
        signature: `tf.TensorSpec` of each argument of the function.

    Returns:
        A concrete function. TensorFlow takes functions that are traced once each, for
        one model after the other, for one that is traced in vain, and warns.
    """
    function = tf.function(function, input_signature=signature, autograph=False)
    return function.get_concrete_function()


class CompiledMaps:
    """A function from images, and labels if there are any, to heatmaps.

    Args:
        function: Function of float32 images and int32 labels, or `None` for those.
        image_shape: `(H, W, channels)` of the images, `None` where any.

    Call arguments:
        images: Float tensor `(B, H, W, channels)`.
        labels: Integer tensor `(B,)`, or `None`.
    """

    def __init__(self, function, image_shape):
        self._function = function
        self._images = tf.TensorSpec((None, *image_shape), tf.float32)
        self._lock = threading.Lock()
        self._ready = {}

    def __call__(self, images, labels=None):
        images = tf.cast(images, tf.float32)
        if labels is None:
            return self._of(lambda x: self._function(x, None))(images)
        labels = tf.cast(labels, tf.int32)
        return self._of(self._function, tf.TensorSpec((None,), tf.int32))(
            images, labels
        )

    def _of(self, function, *labels):
        with self._lock:
            if len(labels) not in self._ready:
                self._ready[len(labels)] = compiled(function, (self._images, *labels))
            return self._ready[len(labels)]
