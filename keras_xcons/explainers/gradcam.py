"""Grad-CAM++ of any split classifier: closed form or gradient tape, in the graph."""

import typing

import tensorflow as tf
from keras import ops

from keras_xcons.explainers.registry import register
from keras_xcons.layers import class_columns, class_scores, grad_cam_plus_plus
from keras_xcons.models.compiling import CompiledMaps


class Explained(typing.NamedTuple):
    """What one forward pass tells: heatmaps, logits and the classifier's outputs."""

    maps: tf.Tensor
    logits: tf.Tensor
    outputs: tf.Tensor


def class_gradients(view, logits, activations, classes, tape=None):
    """Gradients of class logits with respect to the feature activations.

    Of a model with one output z the score of class 1 is z, that of class 0 is -z.
    Scores are in units of the image's largest absolute logit, taken for a constant
    (our choice): Grad-CAM++ is no linear function of the gradient, and its maps would
    depend on a factor of the logits, that is on label smoothing or weight decay,
    where no decision does.

    For a head of global average pooling and one `Dense` layer with kernel `W` the
    gradient is `W[:, c] / (h·w)` at every location. It is read off the kernel, as
    the head computes it in inference: a dropout between pooling and `Dense` is left
    out. Any other head is differentiated by the tape, once for each column of
    `classes`.

    Args:
        view: `ClassifierView`.
        logits: Tensor `(B, C)`.
        activations: Tensor `(B, h, w, K)`.
        classes: Integer tensor `(B, P)`, the classes to explain in each image.
        tape: The persistent `tf.GradientTape` that recorded the pass. Not needed
            if `view.closed_form`.

    Returns:
        Float32 tensor `(B, P, 1, 1, K)` if `view.closed_form`, else
        `(B, P, h, w, K)`.
    """
    if view.closed_form:
        kernel = class_columns(ops.cast(view.dense.kernel, "float32"))
        size = ops.shape(activations)[1] * ops.shape(activations)[2]
        columns = ops.take(ops.transpose(kernel), classes, axis=0)
        columns = columns[:, :, None, None, :] / ops.cast(size, "float32")
        return columns / _unit(_still_logits(view.dense, activations))
    scores = []
    with tape:
        for column in range(classes.shape[1]):
            index = classes[:, column : column + 1]
            scores.append(class_scores(logits, index, view.binary))
    # Sums over the batch: each image's logit depends on its own activations only.
    gradients = [tape.gradient(score, activations) for score in scores]
    gradients = ops.cast(ops.stack(gradients, axis=1), "float32")
    return gradients / _unit(logits)


def _still_logits(dense, activations):
    """What a head of pooling and one `Dense` computes in inference, without dropout."""
    pooled = ops.mean(ops.cast(activations, "float32"), axis=(1, 2))
    logits = pooled @ ops.cast(dense.kernel, "float32")
    return logits if dense.bias is None else logits + ops.cast(dense.bias, "float32")


def _unit(logits):
    """The largest absolute logit of each image, `(B, 1, 1, 1, 1)`; 1 where it is 0."""
    largest = ops.max(ops.abs(ops.cast(logits, "float32")), axis=-1)
    largest = ops.where(largest > 0.0, largest, 1.0)
    return ops.stop_gradient(largest)[:, None, None, None, None]


def explained_pass(
    view, images, classes=None, training=False, make_maps=grad_cam_plus_plus
):
    """One forward pass of a classifier with the Grad-CAM++ maps of given classes.

    Works inside a `tf.function`, under XLA, and inside another gradient tape, which
    then differentiates the maps as well: to first order in the closed form, to
    second order otherwise.

    Args:
        view: `ClassifierView`.
        images: Float tensor `(B, H, W, channels)` in 0..255.
        classes: Integer tensor `(B, P)`, or `None` for the predicted class, `P` 1.
        training: Whether the classifier runs in training mode.
        make_maps: Function from activations `(B, h, w, K)` and class gradients, see
            `class_gradients`, to maps `(B, P, h, w)`. Defaults to
            `keras_xcons.layers.grad_cam_plus_plus`.

    Returns:
        `Explained(maps, logits, outputs)`: float32 maps `(B, P, h, w)` in 0..1 at
        the resolution of the features, logits `(B, C)`, and the classifier's own
        outputs.

    Example:

    >>> maps, logits, outputs = explained_pass(view, images)
    """
    tape = None
    if view.closed_form:
        activations, logits, outputs = view(images, training=training)
    else:
        with tf.GradientTape(persistent=True) as tape:
            # Frozen layers are not watched of themselves.
            tape.watch(images)
            activations, logits, outputs = view(images, training=training)
    if classes is None:
        classes = tf.argmax(logits, axis=-1)[:, None]
    gradients = class_gradients(view, logits, activations, classes, tape)
    return Explained(make_maps(activations, gradients), logits, outputs)


@register("gradcam++")
class GradCAMPlusPlus:
    """Grad-CAM++ heatmaps of batches of images.

    Args:
        view: `ClassifierView`.

    Call arguments:
        images: Float tensor `(B, H, W, channels)` in 0..255.
        labels: Integer tensor `(B,)`, or `None` for the predicted class.

    Returns, when called:
        Float32 tensor `(B, h, w)` in 0..1 at the resolution of the features.

    Reference:
        [Chattopadhay et al., 2018](https://arxiv.org/abs/1710.11063)
    """

    def __init__(self, view):
        self._view = view
        self.frame = view.frame.aligned(None)
        self._compute = CompiledMaps(self._maps)

    def __call__(self, images, labels=None):
        return self._compute(images, labels)

    def _maps(self, images, labels):
        classes = None if labels is None else labels[:, None]
        return explained_pass(self._view, images, classes).maps[:, 0]
