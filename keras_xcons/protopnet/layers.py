"""The layers that compare features with prototypes, as in a ProtoPNet."""

import keras
import numpy as np
from keras import ops

from keras_xcons import checks
from keras_xcons.data import arguments

_UNKNOWN = -1


@keras.saving.register_keras_serializable("keras_xcons")
class Prototypes(keras.layers.Layer):
    """Distance of each prototype to the location of an image that is nearest to it.

    A prototype is a vector of the feature space and belongs to one class; those of
    class 0 come first. Distances are squared L2 distances, in float32 under every
    dtype policy: small ones would not survive fewer digits. Where a GPU multiplies
    float32 matrices in TensorFloat-32, TensorFlow's default, they have its 10 bits:
    a distance of 0 may come out as 1e-3. For exact ones on such a GPU call
    `tf.config.experimental.enable_tensor_float_32_execution(False)` first.

    Beside the prototypes the layer holds, as weights that are not trained, what a
    push has found: of each prototype the image and the place that it was taken from.
    They are saved and loaded with the model, and cleared where training moves the
    prototypes on.

    Args:
        prototypes_per_class: List of one int a class, each at least 1: the number of
            the class's prototypes.
        **kwargs: `keras.layers.Layer` arguments; `dtype` is float32 and cannot be
            lowered.

    Attributes:
        prototypes: Float32 weight `(m, D)`, trained.
        classes: Int32 weight `(m,)`, the class of each prototype.
        source_image: Int32 weight `(m,)`, the place in the data of the image that a
            prototype was taken from; -1 before a push.
        source_cell: Int32 weight `(m, 2)`, row and column in the feature map; -1
            before a push.
        source_box: Float32 weight `(m, 4)`, `ymin, xmin, ymax, xmax` in 0..1 of what
            the prototype looked at there before the push moved it, as maps were
            aligned then; zeros before a push.

    Call arguments:
        features: Float tensor `(B, h, w, D)` or `(B, locations, D)`.

    Returns, when called:
        Float32 tensor `(B, m)`, at least 0.

    Raises:
        TypeError: A number is no int.
        ValueError: A number is out of range, or the features are not of that shape.

    Example:

    >>> layer = Prototypes([2, 3])
    >>> layer(np.random.rand(4, 7, 7, 128)).shape
    TensorShape([4, 5])

    Reference:
        [Chen et al., 2019](https://arxiv.org/abs/1806.10574), section 2.1
    """

    def __init__(self, prototypes_per_class, **kwargs):
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        self.prototypes_per_class = _checked_counts(prototypes_per_class)
        self.count = sum(self.prototypes_per_class)

    def build(self, input_shape):
        if len(input_shape) not in (3, 4) or input_shape[-1] is None:
            raise ValueError(
                "Prototypes take features (batch, height, width, channels) or (batch, "
                f"locations, channels). Received: features of shape {input_shape}"
            )
        self.prototypes = self.add_weight(
            # The features are sigmoids, within 0..1.
            shape=(self.count, input_shape[-1]),
            initializer=keras.initializers.RandomUniform(0.0, 1.0),
            name="prototypes",
        )
        self.classes = self._record((), "classes", _UNKNOWN)
        counts = self.prototypes_per_class
        self.classes.assign(np.repeat(np.arange(len(counts)), counts).astype("int32"))
        self.source_image = self._record((), "source_image", _UNKNOWN)
        self.source_cell = self._record((2,), "source_cell", _UNKNOWN)
        self.source_box = self._record((4,), "source_box", 0.0, "float32")

    def _record(self, shape, name, value, dtype="int32"):
        return self.add_weight(
            shape=(self.count, *shape),
            dtype=dtype,
            initializer=keras.initializers.Constant(value),
            trainable=False,
            autocast=False,
            name=name,
        )

    def call(self, features):
        places = tuple(range(1, len(features.shape) - 1))
        return ops.min(self.distances(features), axis=places)

    def distances(self, features):
        """Squared L2 distances of every location to every prototype.

        Args:
            features: Float tensor `(..., D)`.

        Returns:
            Float32 tensor `(..., m)`, at least 0.
        """
        features = ops.cast(features, "float32")
        prototypes = ops.convert_to_tensor(self.prototypes)
        # One matrix product, where the differences would take D times the memory.
        # The middle of the sigmoid's range as the origin costs fewer digits.
        features, prototypes = features - 0.5, prototypes - 0.5
        products = ops.matmul(features, ops.transpose(prototypes))
        lengths = ops.sum(ops.square(features), axis=-1, keepdims=True)
        squared = lengths - 2.0 * products + ops.sum(ops.square(prototypes), axis=-1)
        return ops.maximum(squared, 0.0)

    def forget_sources(self):
        """Clears what a push has found, as prototypes that move are no patches."""
        self.source_image.assign(ops.full_like(self.source_image, _UNKNOWN))
        self.source_cell.assign(ops.full_like(self.source_cell, _UNKNOWN))
        self.source_box.assign(ops.zeros_like(self.source_box))

    @property
    def pushed(self):
        """Whether the prototypes are patches of images, from a push."""
        return bool(np.min(ops.convert_to_numpy(self.source_image)) >= 0)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.count)

    def get_config(self):
        return {
            **super().get_config(),
            "prototypes_per_class": list(self.prototypes_per_class),
        }


@keras.saving.register_keras_serializable("keras_xcons")
class PrototypeSimilarity(keras.layers.Layer):
    """Turns a squared distance d into the similarity `log((d + 1) / (d + epsilon))`.

    Args:
        epsilon: Keeps the similarity finite; its maximum, at distance 0, is
            `log(1 / epsilon)`. Defaults to 1e-4.
        **kwargs: `keras.layers.Layer` arguments; `dtype` is float32 and cannot be
            lowered.

    Call arguments:
        distances: Float tensor of any shape, at least 0.

    Returns, when called:
        Float32 tensor of the same shape, in 0..`log(1 / epsilon)`.

    Raises:
        TypeError: `epsilon` is not a number.
        ValueError: `epsilon` is not above 0 and at most 1.

    Example:

    >>> PrototypeSimilarity()(np.array([0.0, 1.0]))
    <tf.Tensor: shape=(2,), dtype=float32, numpy=array([9.2103405 , 0.69304717], ...>

    Reference:
        [Chen et al., 2019](https://arxiv.org/abs/1806.10574), section 2.1
    """

    def __init__(self, epsilon=1e-4, **kwargs):
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        self.epsilon = checks.within("epsilon", epsilon, 0.0, 1.0, inclusive=False)

    def call(self, distances):
        return ops.log((distances + 1.0) / (distances + self.epsilon))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}


def _checked_counts(counts):
    listed = list(counts) if isinstance(counts, list | tuple) else []
    if not listed or any(
        isinstance(count, bool) or not isinstance(count, int) for count in listed
    ):
        raise TypeError(
            "`prototypes_per_class` must be a list of one int a class. Received: "
            f"prototypes_per_class={counts!r}"
        )
    if min(listed) < 1:
        raise ValueError(
            "Every class must have at least one prototype. Received: "
            f"prototypes_per_class={checks.shown(counts)}"
        )
    if max(listed) > arguments.MOST_CHANNELS:
        raise ValueError(
            f"A class can have at most {arguments.MOST_CHANNELS} prototypes. Received: "
            f"prototypes_per_class={checks.shown(counts)}"
        )
    return tuple(listed)
