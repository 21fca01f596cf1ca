"""Only rows, columns and channels make a map, in whatever order a layer has them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from keras_xcons.explainers import explain
from keras_xcons.models import split
from keras_xcons.models.flatten import flatten
from keras_xcons.models.layouts import layouts

IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 16, 12, 3)).astype("float32")
LABELS = [0, 1, 2]


def classifier(*head, images=(16, 12, 3)):
    keras.utils.set_random_seed(0)
    inputs = keras.Input(images)
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="conv")(x)
    for layer in head:
        x = layer(x)
    return keras.Model(inputs, layers.Dense(3, name="scores")(layers.Flatten()(x)))


MOVED = {
    "permute": layers.Permute((3, 1, 2), name="moved"),
    "turned": layers.Permute((2, 1, 3), name="moved"),
    "transpose": lambda x: ops.transpose(x, (0, 3, 1, 2)),
    "backwards": lambda x: ops.transpose(x, (0, -1, -2, 1)),
    "swapaxes": lambda x: ops.swapaxes(x, 1, -1),
    "moveaxis": lambda x: ops.moveaxis(x, -1, 1),
    "reshape": layers.Reshape((8, 16, 12)),
    "tokens": lambda x: ops.transpose(ops.reshape(x, (-1, 192, 8)), (0, 2, 1)),
}


@pytest.mark.parametrize("kind", MOVED)
def test_axes_may_be_moved_between_the_map_and_the_head(kind):
    """The same numbers reach the head, in another order; so the weights are moved."""
    model, plain = classifier(MOVED[kind]), classifier()
    place = keras.Model(plain.input, plain.get_layer("conv").output)
    count = np.arange(16 * 12 * 8, dtype="float32").reshape(1, 16, 12, 8)
    moved = np.asarray(MOVED[kind](count)).reshape(-1).astype(int)
    kernel = np.asarray(plain.get_layer("scores").kernel)
    model.set_weights([*place.get_weights(), kernel[moved], np.zeros(3)])
    assert split(model).feature_layer == "conv"
    maps = explain(model, IMAGES, LABELS, resize=False)
    assert maps.shape == (3, 16, 12)
    expected = explain(plain, IMAGES, LABELS, resize=False)
    np.testing.assert_allclose(maps, expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["permute", "turned"])
def test_a_named_layer_of_other_axes_is_turned_to_a_map(kind):
    model = classifier(MOVED[kind])
    view = split(model, "moved")
    activations, _, outputs = view(IMAGES)
    np.testing.assert_array_equal(outputs, model(IMAGES))
    conv = split(model, "conv")
    np.testing.assert_array_equal(activations, conv(IMAGES)[0])
    for explainer in ("gradcam++", "gradcam"):
        maps = explain(view, IMAGES, LABELS, explainer=explainer)
        expected = explain(conv, IMAGES, LABELS, explainer=explainer)
        np.testing.assert_allclose(maps, expected, atol=1e-5)


def channels_first(data_format, pooling=layers.GlobalAveragePooling2D):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 12, 3))
    x = layers.Rescaling(1 / 255)(inputs)
    axis = -1
    if data_format == "channels_first":
        x, axis = layers.Permute((3, 1, 2))(x), 1
    form = {"data_format": data_format}
    x = layers.Conv2D(6, 3, activation="relu", **form)(x)
    x = layers.BatchNormalization(axis=axis)(x)
    x = layers.Conv2D(8, 3, activation="relu", name="conv", **form)(x)
    x = pooling(**form)(layers.ReLU(name="last")(x))
    return keras.Model(inputs, layers.Dense(3)(x))


@pytest.mark.parametrize(
    "pooling", [layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D]
)
def test_features_with_channels_first_are_turned(pooling):
    first = channels_first("channels_first", pooling)
    last = channels_first("channels_last", pooling)
    view = split(first)
    assert view.feature_layer == "last"
    assert not view.closed_form
    assert view(IMAGES)[0].shape == (3, 12, 8, 8)
    for explainer in ("gradcam++", "layercam"):
        maps = explain(first, IMAGES, LABELS, explainer=explainer)
        expected = explain(last, IMAGES, LABELS, explainer=explainer)
        np.testing.assert_allclose(maps, expected, atol=1e-5)


def test_images_with_channels_first_are_refused_by_name():
    inputs = keras.Input((3, 16, 12))
    x = layers.Conv2D(4, 3, data_format="channels_first", name="stem")(inputs)
    x = layers.ReLU(name="relu")(x)
    x = layers.GlobalAveragePooling2D(data_format="channels_first")(x)
    model = keras.Model(inputs, layers.Dense(3)(x))
    for layer in (None, "relu"):
        with pytest.raises(ValueError, match="after 'stem' .*rows, columns.*'relu'"):
            split(model, layer)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("mixed", layers.Reshape((8, 16, 12), name="mixed")),
        ("mixed", layers.Reshape((12, 16, 8), name="mixed")),
        ("turned", layers.Permute((3, 1, 2), name="turned")),
    ],
)
def test_a_map_behind_mixed_axes_is_refused_by_name(name, layer):
    """A convolution over channels as if they were rows, or over rows out of place."""
    model = classifier(layer, layers.Conv2D(4, 3, name="behind"))
    culprit = "behind" if name == "turned" else name
    for asked in (None, "behind"):
        with pytest.raises(ValueError, match=f"after '{culprit}' .* none tells"):
            split(model, asked)
    assert split(model, "conv").feature_layer == "conv"


def shuffled(x):
    """The channel shuffle of a ShuffleNet."""
    x = tf.reshape(x, (-1, 16, 12, 2, 4))
    return tf.reshape(tf.transpose(x, (0, 1, 2, 4, 3)), (-1, 16, 12, 8))


def test_what_a_lambda_does_is_tried_out():
    for function in (
        lambda x: tf.transpose(x, (0, 3, 1, 2)),
        lambda x: tf.transpose(x, (0, 1, 3, 2)),
        lambda x: tf.transpose(x, (0, 2, 1, 3)),
        lambda x: tf.transpose(x[..., :3], (0, 3, 1, 2)),
        lambda x: tf.math.cumsum(x[:, ::-1] * 9.0, axis=1),
    ):
        model = classifier(layers.Lambda(function, name="moved"))
        with pytest.raises(ValueError, match="after 'moved' .Lambda.* none tells"):
            split(model)
        assert split(model, "conv")
    for function in (shuffled, tf.nn.relu, lambda x: x[:, 4:12, 11:0:-2, :1] / 9.0):
        model = classifier(layers.Lambda(function, name="kept"))
        assert split(model).feature_layer == "kept"


def test_a_grid_made_up_of_a_vector_is_no_map():
    head = [layers.Flatten(), layers.Dense(96), layers.Reshape((4, 3, 8), name="up")]
    model = classifier(*head, layers.Conv2D(4, 2, name="behind"))
    with pytest.raises(ValueError, match="after 'up' .* none tells"):
        split(model)


def test_attention_scores_are_no_map():
    def attend(x):
        x = ops.reshape(x, (-1, 16 * 12, 2, 4))
        x = ops.transpose(x, (0, 2, 1, 3))
        scores = ops.softmax(ops.matmul(x, ops.transpose(x, (0, 1, 3, 2))))
        return ops.reshape(ops.transpose(ops.matmul(scores, x), (0, 2, 1, 3)), (-1, 8))

    inputs = keras.Input((16, 12, 3))
    x = attend(layers.Conv2D(8, 3, padding="same", name="conv")(inputs))
    x = ops.mean(ops.reshape(x, (-1, 192, 8)), axis=1)
    with pytest.raises(ValueError, match=r"\(Matmul\).* mix the locations.*'conv'"):
        split(keras.Model(inputs, layers.Dense(3)(x)))


def test_knows_the_axes_of_every_tensor_of_known_networks():
    """Rows, columns and channels; channels last, as they are all built."""
    for name in ("MobileNetV3Small", "NASNetMobile", "DenseNet121"):
        network = getattr(keras.applications, name)
        flat = flatten(network(weights=None, input_shape=(96, 96, 3), classes=3))
        found = {layout.axes for layout in layouts(flat).values()}
        assert found <= {"bhwc", "bc"}
