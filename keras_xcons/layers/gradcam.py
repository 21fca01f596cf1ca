"""Grad-CAM++ as a pure function and as a Keras layer."""

import keras
from keras import ops

from keras_xcons import checks

# How a heatmap is scaled to a maximum of 1, see `scale_to_one`.
NORMALIZATIONS = ("max", "minmax")

# Share of a map's maximum by which sums of float32 differ that should be the same.
_ROUNDING = 1e-6


def check_normalize(normalize):
    """Refuses what is none of `NORMALIZATIONS`.

    Args:
        normalize: What a caller gave.

    Raises:
        ValueError: It is unknown.

    Example:

    >>> check_normalize("minmax")
    """
    if normalize not in NORMALIZATIONS:
        raise ValueError(checks.unknown("normalize", normalize, NORMALIZATIONS))


def grad_cam_plus_plus(activations, gradients, normalize=True):
    """Grad-CAM++ heatmaps of feature activations and class gradients.

    With `A` the activations and `G` the gradient of a class logit with respect
    to them:

        alpha = G² / (2 G² + (Σ_ab A_ab) · G³)      0 where the denominator is 0
        w_k   = Σ_ij alpha_ij · relu(G_ij)
        map   = relu(Σ_k w_k A_k), divided by its own maximum

    The factor `exp(score)` of the paper cancels in the last division and is left
    out, because it overflows. Everything is computed in float32, whatever the
    dtype of the inputs, and is differentiable to first and second order.

    Where the gradient is the same at every location (a head of global average
    pooling and one `Dense` layer), pass it with height and width 1: this is the
    closed form, and it costs one small matrix product.

    Args:
        activations: Float tensor `(B, h, w, K)`.
        gradients: Float tensor `(B, h, w, K)` or `(B, 1, 1, K)` for one class an
            image, or `(B, P, h, w, K)` or `(B, P, 1, 1, K)` for `P` classes an
            image.
        normalize: Whether to divide each map by its own maximum. Defaults to
            `True`.

    Returns:
        Float32 heatmaps `(B, h, w)`, or `(B, P, h, w)` for `P` classes an image, in
        0..1 if `normalize`, else non-negative. A map without any positive
        evidence is all zeros, never NaN.

    Example:

    >>> activations = np.random.rand(2, 7, 7, 16).astype("float32")
    >>> gradients = np.random.randn(2, 7, 7, 16).astype("float32")
    >>> grad_cam_plus_plus(activations, gradients).shape
    TensorShape([2, 7, 7])

    Reference:
        [Chattopadhay et al., 2018](https://arxiv.org/abs/1710.11063)
    """
    activations = ops.cast(activations, "float32")
    gradients = ops.cast(gradients, "float32")
    one_class = len(gradients.shape) == 4
    if one_class:
        gradients = ops.expand_dims(gradients, axis=1)

    total = ops.sum(activations, axis=(1, 2))[:, None, None, None, :]
    # G² stands in numerator and denominator. Divided out, G³ of a float32 cannot
    # underflow to a denominator of 0 that the formula does not have; where G is
    # 0, relu(G) is 0 as well, which is the formula's "0 where it is 0".
    denominator = 2.0 + total * gradients
    safe = ops.where(denominator == 0.0, 1.0, denominator)
    alpha = ops.where(denominator == 0.0, 0.0, 1.0 / safe)
    weights = ops.sum(alpha * ops.relu(gradients), axis=(2, 3))
    if gradients.shape[2] == 1 and gradients.shape[3] == 1:
        # One value stands for all h·w equal ones of the sum.
        size = ops.shape(activations)[1] * ops.shape(activations)[2]
        weights = weights * ops.cast(size, "float32")

    maps = ops.relu(ops.einsum("bhwk,bpk->bphw", activations, weights))
    if normalize:
        maps = scale_to_one(maps)
    return maps[:, 0] if one_class else maps


def scale_to_one(maps, normalize="max"):
    """Scales each heatmap to a maximum of 1; an all-zero map stays zero.

    Works in the graph, in the dtype of the maps, and is differentiable.

    Args:
        maps: Non-negative float tensor `(..., h, w)`.
        normalize: `"max"` divides by the map's maximum, so that a map tells how much
            weaker than its strongest place every place is. `"minmax"` subtracts the
            map's minimum first, as wsolevaluation and pytorch-grad-cam do, so that
            the weakest place is always 0. Defaults to `"max"`.

    Returns:
        A tensor of the same shape and dtype, in 0..1. With `"minmax"` a map that is
        the same everywhere, to a rounding (1e-6 of its maximum, our choice: else
        roundings would be stretched to a map), is all zeros.

    Raises:
        ValueError: `normalize` is unknown.

    Example:

    >>> scale_to_one(np.array([[[2.0, 4.0]]]), "minmax").numpy()
    array([[[0., 1.]]])
    """
    check_normalize(normalize)
    if normalize == "minmax":
        low = ops.min(maps, axis=(-2, -1), keepdims=True)
        peak = ops.max(maps, axis=(-2, -1), keepdims=True)
        maps = ops.where(peak - low > _ROUNDING * peak, maps - low, 0.0)
    peak = ops.max(maps, axis=(-2, -1), keepdims=True)
    return ops.where(peak > 0.0, maps / ops.where(peak > 0.0, peak, 1.0), 0.0)


@keras.saving.register_keras_serializable("keras_xcons")
class GradCAMPlusPlus(keras.layers.Layer):
    """Grad-CAM++ heatmaps as a layer, float32 inside under every dtype policy.

    Args:
        normalize: Whether to divide each map by its own maximum. Defaults to
            `True`.
        **kwargs: `keras.layers.Layer` arguments; `dtype` is float32 and cannot be
            lowered.

    Call arguments:
        activations: Float tensor `(B, h, w, K)`.
        gradients: Float tensor as in `grad_cam_plus_plus`.

    Example:

    >>> layer = GradCAMPlusPlus()
    >>> layer(np.ones((1, 4, 4, 8)), np.ones((1, 1, 1, 8))).shape
    TensorShape([1, 4, 4])
    """

    def __init__(self, normalize=True, **kwargs):
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        self.normalize = normalize

    def call(self, activations, gradients):
        return grad_cam_plus_plus(activations, gradients, self.normalize)

    def compute_output_shape(self, activations_shape, gradients_shape):
        batch, height, width, _ = activations_shape
        if len(gradients_shape) == 5:
            return (batch, gradients_shape[1], height, width)
        return (batch, height, width)

    def get_config(self):
        return {**super().get_config(), "normalize": self.normalize}
