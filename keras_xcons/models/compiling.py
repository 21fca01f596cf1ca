"""Compiles what is asked of a model, once for all sizes of batch."""

import threading

import tensorflow as tf

_MOST_SIZES = 16


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
    """A function of images, and of labels if there are any, such as their heatmaps.

    It is compiled for each size of images, as layers that crop or pad may need to know
    it; that of the oldest of too many sizes is forgotten.

    Args:
        function: Function of float32 images and int32 labels, or `None` for those.

    Call arguments:
        images: Float tensor `(B, H, W, channels)`.
        labels: Integer tensor `(B,)`, or `None`.
    """

    def __init__(self, function):
        self._function = function
        self._lock = threading.Lock()
        self._ready = {}

    def __call__(self, images, labels=None):
        images = tf.cast(images, tf.float32)
        shape = tuple(images.shape[1:])
        if labels is None:
            return self._of(shape, lambda x: self._function(x, None))(images)
        labels = tf.cast(labels, tf.int32)
        return self._of(shape, self._function, tf.TensorSpec((None,), tf.int32))(
            images, labels
        )

    def _of(self, shape, function, *labels):
        with self._lock:
            key = shape, len(labels)
            if key not in self._ready:
                specs = tf.TensorSpec((None, *shape), tf.float32), *labels
                self._ready[key] = compiled(function, specs)
                if len(self._ready) > _MOST_SIZES:
                    del self._ready[next(iter(self._ready))]
            return self._ready[key]
