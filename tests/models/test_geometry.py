"""Where the cells of a map lie, by strides and paddings alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import keras_xcons as kx
from keras_xcons.models import Frame
from keras_xcons.models.frame import WHOLE
from keras_xcons.models.offset import Offset
from keras_xcons.models.windows import Window


def conv(side=3, stride=2, padding="same", **more):
    return layers.Conv2D(
        1, side, stride, padding, kernel_initializer="ones", use_bias=False, **more
    )


def strided(count, **more):
    def apply(x):
        for _ in range(count):
            x = conv(**more)(x)
        return x

    return apply


def explicit(*pads, side=3):
    pads = pads if len(pads) == 2 else pads * 2

    def apply(x):
        return conv(side, padding="valid")(layers.ZeroPadding2D((pads, pads))(x))

    return apply


def kernel_of(x, side=3):
    return ops.ones((side, side, x.shape[-1], 1))


class Ones(layers.Conv2D):
    """A layer of the user's that computes what its parent does."""

    def __init__(self, **more):
        super().__init__(1, 3, 2, "same", kernel_initializer="ones", **more)


@keras.saving.register_keras_serializable()
class Scaled(layers.Conv2D):
    """A layer of the user's that makes something of its kernel first."""

    def call(self, x):
        kernel = self.kernel / ops.sum(self.kernel)
        return ops.conv(x, kernel, self.strides, self.padding)


class Block(layers.Layer):
    """A strided layer within one of the user's."""

    def __init__(self, stride=8, tokens=False):
        super().__init__()
        self.inner, self.tokens = conv(stride=stride), tokens

    def call(self, x):
        x = self.inner(x)
        return ops.reshape(x, (-1, 64, 1)) if self.tokens else x


class Wrapped(layers.Wrapper):
    """A wrapper of the user's."""

    def call(self, x):
        return self.layer(x)

    def compute_output_shape(self, shape):
        return self.layer.compute_output_shape(shape)


def scaled():
    return Scaled(1, 3, 2, "same", kernel_initializer="ones", use_bias=False)


NETWORKS = {
    "spectral": lambda x: layers.SpectralNormalization(conv())(conv()(x)),
    "wrapped_twice": lambda x: Wrapped(layers.SpectralNormalization(scaled()))(x),
    "spectral_alone": lambda x: layers.SpectralNormalization(conv(stride=8))(x),
    "subclass_with_a_call": lambda x: scaled()(scaled()(x)),
    "subclass": lambda x: Ones(use_bias=False)(Ones(use_bias=False)(x)),
    "same_2": strided(1),
    "same_8": strided(3),
    "same_of_5": strided(2, side=5),
    "even_kernel": strided(2, side=4),
    "stride_3": strided(1, stride=3),
    "stride_larger_than_the_kernel": strided(1, side=2, stride=4),
    "valid": strided(2, padding="valid"),
    "pointwise": strided(2, side=1),
    "dilated": lambda x: conv(stride=1, dilation_rate=2)(conv()(x)),
    "dilated_valid": lambda x: conv(stride=1, padding="valid", dilation_rate=3)(x),
    "padded_on_both_sides": explicit(1),
    "padded_behind": explicit(0, 1),
    "padded_more_than_it_needs": explicit(4, 7),
    "padded_by_an_operation": lambda x: conv(padding="valid")(
        ops.pad(x, ((0, 0), (2, 0), (2, 0), (0, 0)))
    ),
    "pooling": lambda x: layers.AveragePooling2D(3, 2, padding="same")(x),
    "pooling_valid": lambda x: layers.AveragePooling2D(2)(x),
    "pooling_of_larger_stride": lambda x: layers.AveragePooling2D(2, 3)(x),
    "depthwise": lambda x: layers.DepthwiseConv2D(
        3, 2, "same", depthwise_initializer="ones"
    )(x),
    "separable": lambda x: layers.SeparableConv2D(
        1, 3, 2, "same", depthwise_initializer="ones", pointwise_initializer="ones"
    )(x),
    "transposed": lambda x: layers.Conv2DTranspose(
        1, 3, 2, "same", kernel_initializer="ones"
    )(conv()(x)),
    "transposed_valid": lambda x: layers.Conv2DTranspose(
        1, 4, 2, "valid", kernel_initializer="ones"
    )(conv()(conv()(x))),
    "operation": lambda x: ops.conv(x, kernel_of(x), 2, "same"),
    "operation_depthwise": lambda x: ops.depthwise_conv(x, ops.ones((3, 3, 3, 1)), 2),
    "operation_pooling": lambda x: ops.average_pool(x, 2, 2, "same"),
    "cropped": lambda x: layers.Cropping2D((2, 1))(strided(2)(x)),
    "resized": lambda x: conv()(layers.Resizing(40, 30)(x)),
    "sliced": lambda x: conv()(x[:, ::4, ::4]),
    "sliced_by_a_layer": lambda x: layers.Lambda(lambda y: y[:, 1::4, 2::4])(x),
    "normalised": lambda x: layers.ReLU()(layers.Rescaling(0.1)(strided(2)(x))),
    "equal_branches": lambda x: layers.Add()([conv()(x), conv(5)(x)]),
    "gated": lambda x: layers.Multiply()(
        [strided(2)(x), layers.GlobalAveragePooling2D(keepdims=True)(x)]
    ),
}
SIZES = ((48, 48), (49, 67))


def centres(model, size):
    """Where in the image an inner cell looks, by what it says of rows and columns."""
    found, cell, count = [], [], []
    for axis, side in enumerate(size):
        lines = np.zeros((side, *size, 3), "float32")
        np.moveaxis(lines, axis + 1, 1)[np.arange(side), np.arange(side)] = 1.0
        features = model(lines).numpy()[..., 0]
        rows, columns = features.shape[1:]
        seen = features[:, rows // 2, columns // 2]
        found.append((seen * (np.arange(side) + 0.5)).sum() / seen.sum())
        cell.append((rows, columns)[axis] // 2)
        count.append((rows, columns)[axis])
    return found, cell, count


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", NETWORKS)
def test_cells_lie_where_they_look(name, size):
    images = keras.Input((*size, 3))
    model = keras.Model(images, NETWORKS[name](images), name=name)
    frame = Frame(model.inputs[0], model.outputs[0]).aligned("geometric")
    seen, cell, count = centres(model, size)
    for axis, span in enumerate(frame.cells(size)):
        share = span.first + (span.end - span.first) * (cell[axis] + 0.5) / count[axis]
        # One cell alone sees a little more of one side or the other.
        uneven = name in ("resized", "transposed_valid")
        assert abs(share * size[axis] - seen[axis]) < (1.01 if uneven else 0.02)


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("MobileNetV2", 96, 15.5),
        ("MobileNetV2", 224, 15.5),
        ("EfficientNetB0", 96, 15.5),
        ("ResNet50", 96, -15.5),
        ("ResNet50V2", 96, -15.5),
        ("DenseNet121", 96, -1.5),
        ("VGG16", 96, 0.0),
        ("ConvNeXtTiny", 96, 0.0),
    ],
)
def test_offsets_of_known_networks(name, size, expected):
    network = getattr(keras.applications, name)(
        weights=None, include_top=False, input_shape=(size, size, 3)
    )
    frame = Frame(network.inputs[0], network.outputs[0])
    assert frame.aligned("geometric").offset((size, size)) == (expected, expected)
    assert frame.offset((size, size)) == (0.0, 0.0)


def test_branches_that_do_not_meet_have_their_mean():
    images = keras.Input((32, 32, 3))
    one = layers.ZeroPadding2D(((1, 0), (1, 0)))(images)
    one = conv(padding="valid")(one)  # centred at 2i, half a pixel before the cell
    two = conv()(images)  # centred at 2i + 1, half a pixel behind it
    three = layers.Concatenate()([one, one, one])
    for output, expected in (
        (layers.Add()([one, two]), 0.0),
        (layers.Concatenate()([three, two]), -0.25),
    ):
        frame = Frame(images, output).aligned("geometric")
        assert frame.offset((32, 32)) == pytest.approx((expected, expected))


def spot_errors(model, size, align):
    """How far the map of a bright spot lies from it, in the mean over a stride."""
    height, width = size
    spots = [(height // 2 - 8 + s, width // 2 - 8 + s) for s in range(32)]
    images = np.zeros((len(spots), height, width, 3), "float32")
    for image, (row, column) in zip(images, spots, strict=True):
        image[row, column] = 255.0
    maps = kx.explain(model, images, [0] * len(spots), align=align).astype("float64")
    total = maps.sum((1, 2))
    rows = (maps.sum(2) * np.arange(height)).sum(1) / total
    columns = (maps.sum(1) * np.arange(width)).sum(1) / total
    found = np.stack([rows, columns], 1) - np.array(spots)
    return found.mean(0)


@pytest.mark.parametrize("size", [(192, 192), (193, 227)], ids=str)
@pytest.mark.parametrize("depth", [1, 3, 5])
@pytest.mark.parametrize("kind", ["same", "valid", "explicit"])
def test_a_spot_is_found_where_it_is(kind, depth, size):
    images = x = keras.Input((*size, 3))
    for _ in range(depth):
        x = explicit(1)(x) if kind == "explicit" else conv(padding=kind)(x)
    x = layers.GlobalAveragePooling2D()(x)
    outputs = layers.Dense(2, kernel_initializer="ones")(x)
    model = keras.Model(images, outputs)
    offset = kx.split(model, align="geometric").frame.offset(size)
    assert np.abs(spot_errors(model, size, "geometric")).max() < 0.6
    if kind == "valid":  # Cells that do not reach the edges are spread over them.
        return
    # As far away as the strides shift it, and a pixel by odd sizes.
    assert spot_errors(model, size, False) == pytest.approx(-np.array(offset), abs=1.2)
    assert spot_errors(model, size, offset) == pytest.approx([0, 0], abs=1.2)


def test_maps_that_are_not_shifted_stay_as_they_are():
    images = keras.Input((64, 48, 3))
    x = layers.MaxPooling2D()(layers.Conv2D(4, 3, padding="same")(images))
    x = layers.Conv2D(4, 3, padding="same", name="map")(x)
    outputs = layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(images, outputs)
    pictures = np.random.default_rng(0).uniform(0, 255, (3, 64, 48, 3))
    expected = kx.explain(model, pictures, align=False)
    for align in (True, "geometric", (0, 0)):
        np.testing.assert_array_equal(
            kx.explain(model, pictures, align=align), expected
        )


def test_an_offset_moves_maps_in_the_graph():
    maps = np.random.default_rng(0).uniform(size=(2, 4, 5)).astype("float32")
    images = keras.Input((32, 40, 3))
    x = layers.MaxPooling2D(8)(images)
    frame = Frame(images, x)
    moved = frame.aligned((8.0, -8.0))  # a cell down, a cell to the left
    expected = np.pad(maps, ((0, 0), (1, 0), (0, 1)), "edge")[:, :4, 1:]
    found = moved.place(maps, (32, 40)).numpy()
    # Where cells lie in both.
    inner = (slice(None), slice(12, 28), slice(4, 28))
    np.testing.assert_allclose(
        found[inner], frame.place(expected, (32, 40)).numpy()[inner], atol=1e-6
    )

    @tf.function(jit_compile=True)
    def summed(values):
        with tf.GradientTape() as tape:
            tape.watch(values)
            total = tf.reduce_sum(moved.place(values, (32, 40)))
        return tape.gradient(total, values)

    # Every pixel is a mean of cells.
    assert float(tf.reduce_sum(summed(maps))) == pytest.approx(2 * 32 * 40, rel=1e-5)
    dynamic = tf.function(moved.place).get_concrete_function(
        tf.TensorSpec((None, None, None)), tf.TensorSpec((2,), tf.int32)
    )
    np.testing.assert_allclose(dynamic(maps, [32, 40]), found, atol=1e-6)


@pytest.mark.parametrize("align", [(8.0, -8.0), Offset(0.25, -0.5)], ids=str)
def test_images_of_an_unknown_size_are_aligned_under_xla(align):
    images = keras.Input((None, None, 3))
    frame = Frame(images, layers.Conv2D(1, 3, 8, "same")(images)).aligned(align)
    maps = np.random.default_rng(0).uniform(size=(2, 4, 5)).astype("float32")

    @tf.function(
        jit_compile=True,
        input_signature=[
            tf.TensorSpec((None, None, None)),
            tf.TensorSpec((None, None, None, 3)),
        ],
    )
    def placed(values, pictures):
        return frame.place(values, tf.shape(pictures)[1:3])

    found = placed(maps, np.zeros((2, 32, 40, 3), "float32"))
    np.testing.assert_allclose(found, frame.place(maps, (32, 40)), atol=1e-6)


def test_strides_that_cannot_be_seen_are_not_guessed():
    images = keras.Input((64, 64, 3))
    x = Block()(images)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(images, layers.Dense(2, kernel_initializer="ones")(x))
    with pytest.raises(ValueError, match="of class Block .*calibrate.*8, 8"):
        kx.split(model, align="geometric").frame.offset((64, 64))
    tokens = layers.Reshape((8, 8, 1))(Block(tokens=True)(images))
    with pytest.raises(ValueError, match="of class Block .*64, 1"):
        Frame(images, tokens).aligned("geometric").offset((64, 64))
    with pytest.raises(ValueError, match="of class Block"):
        kx.XConsModel(model, align="geometric")
    # They are measured, and laid as they are where nobody asks for more.
    assert kx.split(model).frame.offset((64, 64)) == (0.0, 0.0)
    assert kx.calibrate(model, spots(), remember=False).rows == pytest.approx(
        -2.5, abs=0.5
    )
    still = Block(stride=1)(images)  # keeps its pixels at their places
    kept = keras.Model(images, still)
    assert Frame(kept.input, kept.output).aligned("geometric").offset((64, 64)) == (
        *(0.0, 0.0),
    )


def spots():
    """Images `(24, 64, 64, 3)` of a bright blob each."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:64, :64]
    places = random.uniform(16, 48, (24, 2, 1, 1))
    away = (rows - places[:, 0]) ** 2 + (columns - places[:, 1]) ** 2
    images = 220.0 * np.exp(-away / (2 * 6.0**2)) + 2.0
    return np.repeat(images[..., None], 3, -1).astype("float32")


def test_what_is_unknown_is_the_whole_image():
    assert WHOLE.cells((7, 9)) == Window()


def classifier(side):
    return keras.Sequential(
        [
            keras.Input((side, side, 3)),
            layers.Conv2D(4, 3),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )


@pytest.mark.parametrize(
    "align", [None, "sideways", (1,), (1, 2, 3), 5, "8,8", np.eye(2)[0, 0], np.eye(3)]
)
def test_other_alignments_are_refused(align):
    with pytest.raises(ValueError, match="`align` must be .* Received: align="):
        kx.split(classifier(32), align=align)


@pytest.mark.parametrize("kind", [np.array, np.float32, np.int64])
def test_pixels_of_numpy_are_taken(kind):
    align = kind([8, -2]) if kind is np.array else (kind(8), kind(-2))
    assert kx.split(classifier(32), align=align).alignment == (8.0, -2.0)


@pytest.mark.parametrize("side", [32, None])
@pytest.mark.parametrize("align", [(33, 0), (0, -200)])
def test_more_than_a_side_of_the_images_is_refused(side, align):
    model, pictures = classifier(side), np.zeros((2, 32, 32, 3), "float32")
    message = r"no more than a side of the images, .*\(32, 32\).* align=\("
    with pytest.raises(ValueError, match=message):
        kx.explain(model, pictures, align=align)
    dataset = tf.data.Dataset.from_tensors((pictures, np.zeros(2, "int32")))
    with pytest.raises(ValueError, match=message):
        kx.evaluate(model, dataset, ["accuracy"], align=align, verbose=0)
    kx.explain(model, pictures, align=(32, -32))
