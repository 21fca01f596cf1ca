"""Where a map lies: behind crops, padding, slices and turns, of any size."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import keras_xcons as kx
from keras_xcons.models import Frame, split
from keras_xcons.models.frame import WHOLE, Window
from tests import families


class Third(layers.Layer):
    """Crops a border, as a user's own layer might."""

    def call(self, inputs):
        return inputs[:, 4:-3, 5:]


class Halves(layers.Layer):
    """Returns two parts of what it is given."""

    def call(self, inputs):
        return inputs[:, :5], inputs[:, 5:, 3:]


def slide(images):
    return ops.image.affine_transform(images, np.float32([[1, 0, -3, 0, 1, 2, 0, 0]]))


PLACED = {
    "center_crop": layers.CenterCrop(16, 17),
    "center_crop_that_resizes": layers.CenterCrop(48, 30),
    "cropping": layers.Cropping2D(((7, 2), (0, 9))),
    "resizing": layers.Resizing(24, 24),
    "resizing_that_crops": layers.Resizing(24, 20, crop_to_aspect_ratio=True),
    "resizing_that_pads": layers.Resizing(40, 40, pad_to_aspect_ratio=True),
    "letterbox": layers.ZeroPadding2D(((9, 2), (3, 8))),
    "pad": lambda x: ops.pad(x, ((0, 0), (5, 0), (0, 7), (0, 0))),
    "pad_images": lambda x: ops.image.pad_images(
        x, top_padding=6, left_padding=2, target_height=52, target_width=60
    ),
    "crop_images": lambda x: ops.image.crop_images(
        x, bottom_cropping=5, left_cropping=6, target_height=24, target_width=24
    ),
    "resize": lambda x: ops.image.resize(x, (30, 20), crop_to_aspect_ratio=True),
    "slice": lambda x: x[:, 3:-6, 8:],
    "mirror": lambda x: ops.flip(x, 2),
    "slice_backwards": lambda x: x[:, ::-1, 2:-7],
    "affine": slide,
    "lambda": layers.Lambda(lambda x: x[:, 5:, 2:-7] / 255.0),
    "own_layer": Third(),
    "own_layer_of_two": lambda x: Halves()(x)[1],
    "split": lambda x: ops.split(x, [8, 25], axis=1)[1],
    "split_channels": lambda x: ops.split(x, 3, axis=3)[1],
    "pipeline": layers.Pipeline([layers.CenterCrop(25, 22), layers.RandomFlip()]),
    "random_in_inference": layers.RandomCrop(20, 20),
    "two": lambda x: layers.CenterCrop(15, 14)(layers.ZeroPadding2D((0, 6))(x)),
    "behind_pooling": lambda x: layers.Cropping2D((3, 2))(
        layers.AveragePooling2D(2)(x)
    ),
}
SIZES = ((32, 32), (33, 40), (45, 31))


def classifier(size, layer, nested=False):
    """Evidence is brightness, at the resolution of what the layer returns."""
    inputs = keras.Input((*size, 3))
    x = layer(inputs)
    if nested:
        x = keras.Model(inputs, x)(inputs)
    x = layers.Conv2D(1, 1, kernel_initializer="ones", activation="relu")(x)
    head = layers.Dense(2, kernel_initializer="ones")
    return keras.Model(inputs, head(layers.GlobalAveragePooling2D()(x)))


def spot(size, row, column):
    images = np.zeros((1, *size, 3), "float32")
    images[0, row - 2 : row + 3, column - 2 : column + 3] = 255.0
    return images


def middle(heatmap):
    """The centre of mass of a map."""
    grid = np.mgrid[tuple(slice(0, side) for side in heatmap.shape)]
    return (grid * heatmap).sum(axis=(1, 2)) / heatmap.sum()


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", PLACED)
def test_a_spot_is_shown_where_it_is(name, size):
    view = split(classifier(size, PLACED[name]))
    row, column = 18, 17
    found = kx.explain(view, spot(size, row, column), [0])[0]
    assert found.shape == size
    assert found.max() > 0.5
    np.testing.assert_allclose(middle(found), (row, column), atol=0.8)


def test_what_the_model_does_not_see_is_no_evidence_and_background():
    view = split(classifier((32, 32), layers.CenterCrop(16, 16)))
    images = np.full((1, 32, 32, 3), 255.0, "float32")
    heatmap = kx.explain(view, images, [0])[0]
    expected = np.zeros((32, 32), "float32")
    expected[8:24, 8:24] = 1.0
    np.testing.assert_array_equal(heatmap, expected)
    maps = kx.explain(view, images, [0], resize=False)
    mask = kx.attacks.region_mask(maps, "background", 0.5, (32, 32), view.frame)
    np.testing.assert_array_equal(mask[0, ..., 0], 1.0 - expected)


@pytest.mark.parametrize(
    "explainer", sorted(set(kx.explainers.names()) - families.EXPLAINERS)
)
def test_every_explainer_shows_it_where_it_is(explainer):
    model = classifier((33, 40), layers.CenterCrop(16, 20), nested=True)
    found = kx.explain(model, spot((33, 40), 12, 15), [0], explainer)[0]
    inside = found[9:16, 12:19]
    assert inside.max() == found.max() > 0.0
    assert inside.mean() > 5.0 * found.mean()


@pytest.mark.parametrize(
    "layer",
    [
        lambda x: ops.roll(x, 5, 2),
        lambda x: ops.rot90(x, axes=(1, 2)),
        layers.Lambda(lambda x: tf.roll(x, 7, 1), name="own"),
    ],
    ids=["roll", "rot90", "lambda"],
)
def test_what_is_no_crop_is_refused_by_name(layer):
    view = split(classifier((32, 32), layer))
    with pytest.raises(ValueError, match="in a way that is no crop.*Received: a model"):
        kx.explain(view, spot((32, 32), 9, 9), [0])


@pytest.mark.parametrize("last", [True, False], ids=["features", "inside"])
@pytest.mark.parametrize("name", ["sort", "cumsum"])
def test_what_brings_places_together_is_refused_by_name(name, last):
    def layer(images):
        if last:
            images = layers.Conv2D(3, 1)(images)
        return getattr(ops, name)(images, axis=1)

    view = split(classifier((32, 32), layer))
    with pytest.raises(ValueError, match=f"'{name}.*brings places together"):
        kx.explain(view, spot((32, 32), 9, 9), [0])


def test_channels_may_be_sorted():
    view = split(classifier((32, 32), lambda x: ops.sort(x, axis=-1)))
    assert not view.frame.moves


def test_branches_of_different_parts_are_refused():
    def crops(images):
        parts = [layers.CenterCrop(16, 16)(images), layers.Resizing(16, 16)(images)]
        return layers.Add(name="both")(parts)

    view = split(classifier((32, 32), crops))
    with pytest.raises(ValueError, match="'both' brings together.*rows 0.25..0.75"):
        kx.explain(view, spot((32, 32), 9, 9), [0])


def test_the_padding_of_a_stem_is_its_own():
    inputs = keras.Input((64, 64, 3))
    x = layers.Conv2D(4, 7, strides=2)(layers.ZeroPadding2D(3)(inputs))
    x = layers.MaxPooling2D(3, strides=2)(layers.ZeroPadding2D(((0, 1), (0, 1)))(x))
    assert not Frame(inputs, x).moves


def test_a_pixel_between_branches_is_no_other_part():
    """NASNet shifts one branch by a pixel before both are pooled."""
    inputs = keras.Input((64, 64, 3))
    shifted = layers.ZeroPadding2D(((0, 1), (0, 1)))(inputs)
    shifted = layers.Cropping2D(((1, 0), (1, 0)))(shifted)
    branches = [layers.AveragePooling2D(1, 2)(each) for each in (inputs, shifted)]
    frame = Frame(inputs, layers.Concatenate()(branches))
    assert frame.moves
    assert frame.window((64, 64)) == Window()


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_images_of_any_size(size):
    view = split(classifier((None, None), layers.Cropping2D(((7, 2), (4, 9)))))
    found = kx.explain(view, spot(size, 14, 17), [0])[0]
    np.testing.assert_allclose(middle(found), (14, 17), atol=0.1)
    maps = tf.constant(np.random.default_rng(0).random((2, 6, 5)), "float32")
    place = tf.function(view.frame.place)
    unknown = place.get_concrete_function(
        tf.TensorSpec((None, 6, 5)), tf.TensorSpec((2,), tf.int32)
    )
    expected = view.frame.place(maps, size)
    np.testing.assert_allclose(unknown(maps, tf.constant(size)), expected, atol=1e-6)


def test_a_whole_frame_resizes_to_the_bit():
    maps = tf.constant(np.random.default_rng(0).random((2, 7, 5)), "float32")
    expected = tf.image.resize(maps[..., None], (33, 40))[..., 0]
    for frame in (WHOLE, split(classifier((33, 40), layers.Resizing(8, 8))).frame):
        np.testing.assert_array_equal(frame.place(maps, (33, 40)), expected)


@pytest.mark.parametrize("size", [(32, 32), (33, 40)], ids=str)
def test_a_window_is_filled_as_an_image_is_resized(size):
    """Under XLA, too, and with gradients."""
    frame = split(classifier(size, layers.CenterCrop(16, 20))).frame
    maps = tf.constant(np.random.default_rng(0).random((2, 7, 5)), "float32")
    top, left = (size[0] - 16) // 2, (size[1] - 20) // 2
    inner = tf.image.resize(maps[..., None], (16, 20))[..., 0]
    expected = np.zeros((2, *size), "float32")
    expected[:, top : top + 16, left : left + 20] = inner
    compiled = tf.function(lambda each: frame.place(each, size), jit_compile=True)
    np.testing.assert_allclose(compiled(maps), expected, atol=1e-6)
    with tf.GradientTape() as tape:
        tape.watch(maps)
        total = tf.reduce_sum(frame.place(maps, size))
    np.testing.assert_allclose(
        np.sum(tape.gradient(total, maps)), 2 * 16 * 20, rtol=1e-5
    )
