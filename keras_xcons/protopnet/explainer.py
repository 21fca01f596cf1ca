"""Where the prototypes of a ProtoPNet find evidence for a class."""

import tensorflow as tf
from keras import ops

from keras_xcons.explainers.registry import register
from keras_xcons.layers import class_columns, scale_to_one
from keras_xcons.models.compiling import CompiledMaps
from keras_xcons.protopnet.view import prototype_view


@register("prototypes")
class PrototypeEvidence:
    """Heatmaps of a ProtoPNet from what it decides by, without any gradient.

    A class logit is the sum of the prototypes' largest similarities times their
    weights. The map of a class is the sum of their similarities at each place, times
    the weights that speak for the class; its minimum is subtracted, because no
    similarity is 0, and it is divided by what is then its maximum. The paper draws
    one map a prototype (`prototype_maps`); their sum by class is our choice.

    Args:
        view: `ClassifierView` of a ProtoPNet.

    Call arguments:
        images: Float32 tensor `(B, H, W, channels)` in 0..255.
        labels: Integer tensor `(B,)`, or `None` for the predicted class.

    Returns, when called:
        Float32 tensor `(B, h, w)` in 0..1; a map without any evidence, or with the
        same everywhere, is all zeros.

    Raises:
        ValueError: The classifier is no ProtoPNet.

    Example:

    >>> model = keras_xcons.models.create("protopnet", 5, 64, backbone="small_cnn")
    >>> PrototypeEvidence(keras_xcons.split(model))(images).shape
    TensorShape([16, 8, 8])

    Reference:
        [Chen et al., 2019](https://arxiv.org/abs/1806.10574), sections 2.1 and 2.4
    """

    def __init__(self, view):
        self._view = prototype_view(view)
        self.frame = self._view.frame
        self._maps = CompiledMaps(self._class_maps)

    def __call__(self, images, labels=None):
        return self._maps(images, labels)

    def _class_maps(self, images, labels):
        view = self._view
        distances = view.layer.distances(view.space(images, training=False))
        similarities = view.similarity(distances)
        kernel = class_columns(ops.convert_to_tensor(view.dense.kernel))
        if labels is None:
            # The logits, of the same pass.
            labels = ops.argmax(ops.max(similarities, axis=1) @ kernel, axis=-1)
        weights = ops.relu(ops.take(ops.transpose(kernel), labels, axis=0))
        evidence = ops.einsum("blm,bm->bl", similarities, weights)
        evidence -= ops.min(evidence, axis=-1, keepdims=True)
        return scale_to_one(tf.reshape(evidence, (-1, *view.grid)))
