"""CGC: the heatmap of a crop must be the crop of the heatmap."""

import math

import tensorflow as tf
from keras import ops

from keras_xcons.explainers import explained_pass
from keras_xcons.methods.base import TrainingMethod
from keras_xcons.methods.common_options import MethodOptions
from keras_xcons.methods.passes import MeanOfKnown
from keras_xcons.methods.registry import training_method
from keras_xcons.options import option, table

VARIANTS = ("contrastive", "mse")
LEARNED_VIEWS = ("all", "image")
# As torchvision's RandomResizedCrop draws them, which the authors' code uses.
_RATIO = 4 / 3


@table
class CGCOptions(MethodOptions):
    """The options of CGC.

    Raises:
        TypeError, ValueError: An option is not accepted.
    """

    weight: float = option(0.5, "Factor λ of the consistency term.", low=0.0)
    temperature: float = option(
        0.5, "Temperature τ of the contrastive variant.", low=1e-3
    )
    variant: str = option(
        "contrastive",
        "contrastive: the maps of other images of the batch are the negatives. mse: "
        "the mean squared difference of the two maps, each of mean 1; no negatives.",
        choices=VARIANTS,
    )
    learned_views: str = option(
        "all",
        "Views whose loss is learned: all three, as in the authors' code, or the image "
        "as it is alone.",
        choices=LEARNED_VIEWS,
    )
    min_scale: float = option(
        0.08, "Smallest area of a crop, as a share of the image.", above=0.0, high=1.0
    )


@training_method(
    "cgc",
    title="CGC",
    purpose="The heatmap of a crop must be the crop of the heatmap.",
    paper="Pillai et al. 2022, arXiv 2110.00527",
    neutral={"weight": 0.0, "learned_views": "image"},
)
class CGCModel(TrainingMethod):
    """Trains a classifier so that its heatmaps follow a crop of their image.

    Contrastive Grad-CAM consistency, after the authors' code. An image x is seen three
    times: as a random resized crop with a flip, as it is, and as `T(x)`, another such
    crop whose box is remembered. With `g(x) = relu(Σ_k ∂z_c/∂A_k ⊙ A_k)`, c the class
    predicted for x, resized to the image and divided by its sum, the map `g(T(x_i))`
    must be nearer to `T(g(x_i))` than to `g(T(x_j))`, the maps of the other images of
    the batch:

        L = loss(view 1) + loss(x) + loss(T(x)) + λ · CE([positive, negatives] / τ, 0)

    where both sides are flattened and of length 1, and gradients flow through both
    maps. The defaults 0.5 are the paper's for ImageNet and ResNet-50. Our choice: crops
    that would not fit are cut to the image instead of drawn anew, pixels are sampled at
    their centres, maps lie on the image as the classifier's other heatmaps do
    (`align`), images with an empty map are left out of the term, and the maps of the
    `"mse"` variant have the mean 1.

    Under `tf.distribute` the negatives are those of the replica, and so are the images
    with a label that its loss is the mean of. Images without a
    label, -1, or those that come under `"unlabelled"` beside a batch
    (`keras_xcons.data.with_unlabelled`), take part in the consistency term alone.

    Logs of `fit`, beside the caller's: `contrast`, the mean of the consistency term
    before λ, and `map_similarity`, the mean cosine of `g(T(x))` and `T(g(x))`; NaN
    where no image of the epoch has a map.

    Raises:
        TypeError, ValueError: The classifier cannot be split, or an option is not
            accepted; from `fit`, if images or labels are not as the classifier takes
            them, batches hold a single image, or images are too small to be cropped.

    Example:

    >>> trainer = keras_xcons.CGCModel(classifier)
    >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> trainer.compile(optimizer="adamw", loss=loss, metrics=["accuracy"])
    >>> trainer.fit(train_ds, epochs=10)

    Reference:
        [Pillai et al., 2022](https://arxiv.org/abs/2110.00527)
    """

    Options = CGCOptions
    needs_maps = True
    takes_unlabelled = True
    fewest_images = 2
    keys = ("sample_id", "unlabelled")

    def setup(self):
        self._contrast = MeanOfKnown(name="contrast")
        self._similarity = MeanOfKnown(name="map_similarity")
        self.trackers += [self._contrast, self._similarity]

    def check_image_size(self, size):
        if None in size:
            return
        smallest = min(size) * math.sqrt(self.options.min_scale / _RATIO)
        if smallest < 2.0:
            raise ValueError(
                "CGC crops images to a side of 2 pixels or more. Pass larger images or "
                f"a larger `min_scale`. Received: images of {size} with min_scale="
                f"{self.options.min_scale}, whose smallest crops have {smallest:.1f}"
            )

    def prepare(self, batch):
        crops = self._crops(batch, "consistency")
        made = {"crops": crops, "moved": cropped(batch.images, crops)}
        if self.options.learned_views == "all":
            made["first"] = cropped(batch.images, self._crops(batch, "first view"))
        return batch.having(**made)

    def _crops(self, batch, purpose):
        options, images = self.options, batch.images
        return draw_crops(self.seed(purpose), ops.shape(images), options.min_scale)

    def batch_loss(self, batch):
        options, weight = self.options, batch.sample_weight
        run = {"run": explained_pass, "make_maps": class_maps}
        clean = self.learning_pass(batch.images, **run)
        run["classes"] = ops.stop_gradient(ops.argmax(clean.logits, axis=-1)[:, None])
        loss = self.weighted_loss(batch.labels, clean.outputs, weight)
        if options.learned_views == "all":
            moved = self.learning_pass(batch.extra["moved"], **run)
            first = self.learning_pass(batch.extra["first"])
            for result in (moved, first):
                loss += self.further_loss(batch.labels, result.outputs, weight)
        else:
            moved = self.still_pass(batch, batch.extra["moved"], **run)
        size = tuple(batch.images.shape[1:3])
        size = ops.shape(batch.images)[1:3] if None in size else size
        shown = [
            shares(self.training_view.frame.place(result.maps[:, 0], size))
            for result in (moved, clean)
        ]
        there, expected = shown[0], cropped(shown[1][..., None], batch.extra["crops"])
        if options.variant == "mse":
            values, similarity = squared_difference(there, expected[..., 0])
        else:
            values, similarity = contrast(there, expected[..., 0], options.temperature)
        weight = batch.given_weight
        self._contrast.update_state(values, sample_weight=weight)
        self._similarity.update_state(similarity, sample_weight=weight)
        return loss + options.weight * self.mean_term(values, weight), clean.outputs


def class_maps(activations, gradients):
    """`relu(Σ_k G_k ⊙ A_k)`, float32 `(B, P, h, w)`; gradients are not pooled."""
    activations = ops.cast(activations, "float32")[:, None]
    return ops.relu(ops.sum(activations * ops.cast(gradients, "float32"), axis=-1))


def shares(maps):
    """Maps `(B, H, W)` divided by their sum."""
    return maps / (ops.sum(maps, axis=(1, 2), keepdims=True) + 1e-8)


def draw_crops(seed, shape, min_scale):
    """Random boxes and flips, one an image.

    Args:
        seed: Int32 tensor `(2,)`.
        shape: Shape of the images, `(B, H, W, channels)`.
        min_scale: Smallest area of a crop, as a share of the image.

    Returns:
        Float32 tensor `(B, 5)`: top, left, height and width as shares of the image,
        and 1 for an image that is flipped, else 0.
    """
    drawn = tf.random.stateless_uniform((5, shape[0]), seed)
    area, ratio, top, left, flip = ops.unstack(drawn, 5)
    area = min_scale + (1.0 - min_scale) * area
    # Width over height in pixels, as often wide as high.
    ratio = ops.exp((2.0 * ratio - 1.0) * math.log(_RATIO))
    sides = ops.cast(shape[1], "float32") / ops.cast(shape[2], "float32")
    height = ops.minimum(ops.sqrt(area / ratio / sides), 1.0)
    width = ops.minimum(ops.sqrt(area * ratio * sides), 1.0)
    top, left = top * (1.0 - height), left * (1.0 - width)
    flip = ops.cast(flip < 0.5, "float32")
    return ops.stack([top, left, height, width, flip], axis=-1)


def cropped(images, crops):
    """Crops, resized bilinearly to the size of the images, and flipped.

    Two products with matrices that sample rows and columns, for all images at once:
    differentiable to any order, and the same under XLA.

    Args:
        images: Float tensor `(B, H, W, channels)`.
        crops: What `draw_crops` returned.

    Returns:
        Float32 tensor of the shape of `images`.
    """
    top, left, height, width, flip = ops.unstack(ops.cast(crops, "float32"), 5, axis=-1)
    # A flipped crop is read from its right end.
    left, width = left + flip * width, width * (1.0 - 2.0 * flip)
    images = ops.cast(images, "float32")
    rows = _sampling(top, height, ops.shape(images)[1])
    columns = _sampling(left, width, ops.shape(images)[2])
    return ops.einsum("bih,bhwc,bjw->bijc", rows, images, columns)


def _sampling(first, length, side):
    """Weights `(B, side, side)` that sample a part of a side at pixel centres."""
    place = (ops.cast(ops.arange(side), "float32") + 0.5) / ops.cast(side, "float32")
    last = ops.cast(side, "float32") - 1.0
    found = (first[:, None] + length[:, None] * place) * (last + 1.0) - 0.5
    found = ops.clip(found, 0.0, last)[:, :, None]
    return ops.relu(1.0 - ops.abs(found - ops.cast(ops.arange(side), "float32")))


def contrast(there, expected, temperature):
    """The contrastive term of each image.

    Args:
        there: Maps `g(T(x))`, float tensor `(B, H, W)`.
        expected: Maps `T(g(x))`, the same shape.
        temperature: τ.

    Returns:
        `(values, similarity)`, float tensors `(B,)`: the cross-entropy of the positive
        among the negatives, and the positive; NaN where a map is empty.
    """
    there, expected = _unit(there), _unit(expected)
    positive = ops.sum(there * expected, axis=-1)
    own = ops.eye(ops.shape(there)[0], dtype="bool")
    logits = ops.where(own, positive[:, None], there @ ops.transpose(there))
    # An empty map is no negative either.
    counted = ops.logical_or(own, ops.any(there > 0.0, axis=-1)[None, :])
    logits = ops.where(counted, logits, float("-inf"))
    values = ops.logsumexp(logits / temperature, axis=-1) - positive / temperature
    return _of_shown(values, positive, there, expected)


def squared_difference(there, expected):
    """The term without negatives, arguments and results as for `contrast`."""
    # Of mean 1 and not of sum 1, or it would vanish beside the caller's loss.
    size = ops.cast(ops.shape(there)[1] * ops.shape(there)[2], "float32")
    values = ops.mean(ops.square(size * (there - expected)), axis=(1, 2))
    there, expected = _unit(there), _unit(expected)
    return _of_shown(values, ops.sum(there * expected, axis=-1), there, expected)


def _of_shown(values, similarity, *maps):
    shown = ops.all(ops.stack([ops.any(m > 0.0, axis=-1) for m in maps]), axis=0)
    return (ops.where(shown, each, float("nan")) for each in (values, similarity))


def _unit(maps):
    """Maps as vectors of length 1 `(B, H · W)`; an empty one stays 0."""
    flat = ops.reshape(maps, (ops.shape(maps)[0], -1))
    square = ops.sum(ops.square(flat), axis=-1, keepdims=True)
    # The gradient of sqrt(0) is infinite.
    return flat / ops.sqrt(ops.where(square > 0.0, square, 1.0))
