"""The layers of COMET: a selector and what it leaves of an image."""

import keras
import tensorflow as tf
from keras import ops

# Until the mean colour of the data is known.
_GREY = 127.5
# So many images tell it; each later one counts as if it were the last of these.
_ENOUGH = 10_000.0


@keras.saving.register_keras_serializable("keras_xcons")
class Selection(keras.layers.Layer):
    """Leaves of images what a selector selects; the rest is filled with one colour.

    `x_s = S ⊙ x + (1 - S) ⊙ q`, where S is the selector's mask, laid over the image,
    and q the fill, the mean colour of the data set.

    Args:
        selector: Built `keras.Model`, images `(B, H, W, channels)` in 0..255 to masks
            `(B, h, w, 1)` in 0..1, of any resolution.
        **kwargs: `keras.layers.Layer` arguments.

    Attributes:
        selector: The selector.
        fill: Float32 variable `(channels,)`, q in 0..255: the mean of the images that
            a training has noticed, grey before.
        noticed: Float32 variable, the number of those images, at most 10,000.

    Call arguments:
        images: Float tensor `(B, H, W, channels)` in 0..255.
        training: Whether the selector runs in training mode. Defaults to `False`.

    Returns, when called:
        Float32 tensor of the images' shape, in 0..255.

    Example:

    >>> layer = Selection(selector)
    >>> layer(images).shape
    TensorShape([16, 64, 64, 3])

    Reference:
        [Zhang et al., 2024](https://arxiv.org/abs/2407.19308)
    """

    def __init__(self, selector, **kwargs):
        # Colours are not rounded to a half type.
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        self.selector = selector

    def build(self, input_shape):
        self.fill = self.add_weight(
            shape=(input_shape[-1],),
            initializer=keras.initializers.Constant(_GREY),
            trainable=False,
            aggregation="mean",
            name="fill",
        )
        self.noticed = self.add_weight(
            shape=(),
            initializer="zeros",
            trainable=False,
            aggregation="mean",
            name="noticed",
        )
        self.built = True

    def masks(self, images, training=False):
        """What is selected of images.

        Args:
            images: Float tensor `(B, H, W, channels)` in 0..255.
            training: Whether the selector runs in training mode. Defaults to `False`.

        Returns:
            Float32 tensor `(B, h, w, 1)` in 0..1, in the selector's resolution.
        """
        images = ops.cast(images, "float32")
        return ops.cast(self.selector(images, training=training), "float32")

    def laid_over(self, masks, images):
        """Masks in the resolution of images, bilinearly.

        Args:
            masks: Float tensor `(B, h, w, 1)`.
            images: Tensor `(B, H, W, channels)`.

        Returns:
            Float32 tensor `(B, H, W, 1)`.
        """
        return resized(masks, images)

    def selected_and_rest(self, images, masks):
        """The two parts of images, each with the fill in the place of the other.

        Args:
            images: Tensor `(B, H, W, channels)` in 0..255.
            masks: Float32 tensor `(B, H, W, 1)` in 0..1.

        Returns:
            `(selected, rest)`, float32 tensors of the images' shape: `S ⊙ x + (1 - S)
            ⊙ q`, and `(1 - S) ⊙ x + S ⊙ q`.
        """
        images = ops.cast(images, "float32")
        fill = ops.convert_to_tensor(self.fill)
        change = masks * (images - fill)
        return fill + change, images - change

    def notice(self, images):
        """Counts images in for the mean colour.

        Args:
            images: Float tensor `(B, H, W, channels)` in 0..255.
        """
        count = ops.cast(ops.shape(images)[0], "float32")
        total = self.noticed + count
        change = ops.mean(images, axis=(0, 1, 2)) - self.fill
        self.fill.assign(self.fill + change * count / ops.maximum(total, 1.0))
        self.noticed.assign(ops.minimum(total, _ENOUGH))

    def call(self, images, training=None):
        masks = self.laid_over(self.masks(images, training), images)
        return self.selected_and_rest(images, masks)[0]

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        selector = keras.saving.serialize_keras_object(self.selector)
        return {**super().get_config(), "selector": selector}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        selector = keras.saving.deserialize_keras_object(
            config["selector"], custom_objects
        )
        return cls(**{**config, "selector": selector})


def resized(maps, like):
    """Maps in the resolution of others, bilinearly, also where that is not known yet.

    Args:
        maps: Tensor `(B, h, w, K)`.
        like: Tensor `(B, H, W, M)`.

    Returns:
        Float32 tensor `(B, H, W, K)`.
    """
    height, width = like.shape[1:3]
    size = tf.shape(like)[1:3] if None in (height, width) else (height, width)
    return tf.image.resize(maps, size)


@keras.saving.register_keras_serializable("keras_xcons")
class ResizeLike(keras.layers.Layer):
    """Resizes a map bilinearly to the resolution of another.

    Args:
        **kwargs: `keras.layers.Layer` arguments.

    Call arguments:
        inputs: `[maps, like]`, tensors `(B, h, w, K)` and `(B, H, W, M)`.

    Returns, when called:
        Tensor `(B, H, W, K)`.

    Example:

    >>> ResizeLike()([np.ones((1, 4, 4, 8)), np.ones((1, 8, 8, 3))]).shape
    TensorShape([1, 8, 8, 8])
    """

    def call(self, inputs):
        maps, like = inputs
        return ops.cast(resized(maps, like), maps.dtype)

    def compute_output_shape(self, input_shape):
        maps, like = input_shape
        return (*like[:3], maps[-1])

    def get_config(self):
        # Keras' own refuses a layer whose policy is an object.
        return super().get_config()
