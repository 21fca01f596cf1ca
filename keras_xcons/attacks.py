"""Adversarial perturbations of an image or a part of it, as pure functions.

Images are float tensors in 0..255, and so are `epsilon` and `step_size`: a strength
that papers write as 4/255 is 4 here. Every result stays in 0..255 and within
`epsilon` of the image, and pixels outside `mask` are untouched to the bit. A value of
an image beyond 0..255 may stay, but goes no further.
"""

import tensorflow as tf
from keras import ops

from keras_xcons import checks
from keras_xcons.models.frame import WHOLE

REGIONS = ("background", "foreground", "whole_image")


def region_mask(heatmaps, region, threshold, image_size, frame=WHOLE):
    """The pixels of a region, told from heatmaps.

    The background are the pixels at which the heatmap, resized bilinearly to the
    image, is below `threshold`: our choice, as the paper's definition is not known
    here. The foreground are the others.

    Args:
        heatmaps: Float tensor `(B, h, w)` in 0..1.
        region: `"background"`, `"foreground"` or `"whole_image"`.
        threshold: Float in 0..1, a share of the map's maximum.
        image_size: `(H, W)` in pixels.
        frame: The `keras_xcons.models.Frame` of the maps, where they show a part of
            the image: what a model does not see is background. Defaults to the
            whole image.

    Returns:
        Float32 mask `(B, H, W, 1)`, 1 inside the region and 0 outside.

    Raises:
        ValueError: `region` is unknown.

    Example:

    >>> maps = np.array([[[0.0, 1.0], [0.0, 0.2]]], "float32")
    >>> region_mask(maps, "background", 0.5, (2, 2))[0, ..., 0]
    array([[1., 0.],
           [1., 1.]], dtype=float32)
    """
    if region not in REGIONS:
        raise ValueError(checks.unknown("region", region, REGIONS))
    resized = frame.place(heatmaps, image_size)[..., None]
    if region == "whole_image":
        return tf.ones_like(resized)
    background = ops.cast(resized < threshold, "float32")
    return background if region == "background" else 1.0 - background


def margin_loss(logits, labels, multi_label=False):
    """The loss that images are attacked by: how far a wrong decision is ahead.

    For one label an image, the largest logit of another class minus that of the label
    (the margin loss of Carlini & Wagner). For multi-hot labels, the sum over classes of
    the logits that should be negative minus those that should be positive, our choice.

    A positive factor on the logits scales the gradient and leaves its sign, by which
    images are attacked. Cross-entropy does not: in float32 its gradient fades out once
    the label is some 16 ahead, so that a model seems the more robust the larger its
    logits are, with the same decisions.

    Args:
        logits: Float tensor `(B, C)`, C at least 2.
        labels: Integer tensor `(B,)`, or multi-hot `(B, C)` if `multi_label`.
        multi_label: Whether labels are multi-hot. Defaults to `False`.

    Returns:
        Float32 tensor `(B,)`; positive where another class is ahead.

    Example:

    >>> margin_loss(np.array([[3.0, 1.0, 0.5]], "float32"), np.array([0]))
    array([-2.], dtype=float32)

    Reference:
        [Carlini & Wagner, 2017](https://arxiv.org/abs/1608.04644), section V
    """
    logits = ops.cast(logits, "float32")
    if multi_label:
        return ops.sum(logits * (1.0 - 2.0 * ops.cast(labels, "float32")), axis=-1)
    own = ops.one_hot(labels, logits.shape[-1], dtype="bool")
    label = ops.sum(ops.where(own, logits, 0.0), axis=-1)
    return ops.max(ops.where(own, float("-inf"), logits), axis=-1) - label


def moves(gradients):
    """Whether there is an attack along gradients.

    Args:
        gradients: Float tensor `(B, H, W, channels)`.

    Returns:
        Tuple of two boolean tensors `(B,)`: whether all of an image's gradients are
        numbers, and whether any of them is not 0.

    Example:

    >>> finite, moving = moves(tf.zeros((1, 2, 2, 3)))
    >>> bool(finite[0]), bool(moving[0])
    (True, False)
    """
    finite = ops.all(ops.isfinite(gradients), axis=(1, 2, 3))
    return finite, ops.any(gradients != 0.0, axis=(1, 2, 3))


def fgsm(images, gradients, epsilon, mask=None):
    """One step of the fast gradient sign method.

    `x̂ = clip(x + mask · epsilon · sign(gradient), 0, 255)`. Only the sign of the
    gradient matters, so the gradient of a loss with positive sample weights will do.

    Args:
        images: Float tensor `(B, H, W, channels)` in 0..255.
        gradients: Gradient of the loss with respect to `images`, the same shape.
        epsilon: Largest change of a value, in 0..255.
        mask: Float tensor `(B, H, W, 1)` of zeros and ones, or `None` for the
            whole image.

    Returns:
        Attacked images, the shape and dtype of `images`.

    Example:

    >>> fgsm(images, gradients, epsilon=4.0).shape == images.shape
    True

    Reference:
        [Goodfellow et al., 2014](https://arxiv.org/abs/1412.6572)
    """
    step = epsilon * ops.sign(gradients)
    if mask is not None:
        step = step * mask
    return _in_range(images + ops.cast(step, images.dtype), images)


def pgd(
    images, gradient_fn, epsilon, step_size, steps, mask=None, seed=None, noise=None
):
    """Projected gradient descent in the maximum norm.

    `steps` steps of `step_size` along the sign of the gradient, each projected back
    to within `epsilon` of the image and into 0..255.

    Args:
        images: Float tensor `(B, H, W, channels)` in 0..255.
        gradient_fn: Function from attacked images to the gradient of the loss with
            respect to them.
        epsilon: Largest change of a value, in 0..255.
        step_size: Change of a value in one step, in 0..255.
        steps: Number of steps, at least 1.
        mask: Float tensor `(B, H, W, 1)` of zeros and ones, or `None` for the
            whole image.
        seed: Integer tensor `(2,)` for a uniform random start within `epsilon`, or
            `None` to start at the image.
        noise: Float tensor, the shape of `images`, in `-epsilon..epsilon`: a random
            start of the caller's, in the place of `seed`.

    Returns:
        Attacked images, the shape and dtype of `images`.

    Example:

    >>> attacked = pgd(images, gradient_fn, 4.0, 1.0, steps=5, seed=(0, 1))

    Reference:
        [Madry et al., 2017](https://arxiv.org/abs/1706.06083)
    """
    mask = 1.0 if mask is None else ops.cast(mask, images.dtype)
    attacked = images
    if seed is not None and noise is None:
        noise = tf.random.stateless_uniform(
            tf.shape(images), seed, -epsilon, epsilon, images.dtype
        )
    if noise is not None:
        attacked = _in_range(images + mask * noise, images)
    for _ in range(steps):
        step = step_size * ops.sign(ops.cast(gradient_fn(attacked), images.dtype))
        change = ops.clip(attacked + step - images, -epsilon, epsilon)
        attacked = _in_range(images + mask * change, images)
    return attacked


def _in_range(attacked, images):
    """Attacked images in 0..255, and no further outside it than the images are.

    Bicubic resizing inside a model leaves its images a little beyond 0..255.
    """
    low, high = ops.minimum(images, 0.0), ops.maximum(images, 255.0)
    return ops.minimum(ops.maximum(attacked, low), high)
