import keras
import numpy as np
import pytest

from keras_xcons.models import split
from keras_xcons.models.architectures import architectures, create
from keras_xcons.models.batch_norm import freeze_batch_norm, zero_residual
from tests import families

# Networks of keras.applications: its function, and the module whose
# `preprocess_input` the network expects, or `None` where it preprocesses itself.
APPLICATIONS = {
    "convnext_tiny": ("ConvNeXtTiny", None),
    "densenet121": ("DenseNet121", "densenet"),
    "efficientnet_b0": ("EfficientNetB0", None),
    "efficientnet_v2_b0": ("EfficientNetV2B0", None),
    "mobilenet_v2": ("MobileNetV2", "mobilenet_v2"),
    "mobilenet_v3_large": ("MobileNetV3Large", None),
    "mobilenet_v3_small": ("MobileNetV3Small", None),
    "resnet50": ("ResNet50", "resnet"),
    "resnet50_v2": ("ResNet50V2", "resnet_v2"),
    "xception": ("Xception", "xception"),
}
# The others expect what these do of keras.applications.
OWN = {
    "resnet18": "densenet",
    "resnet34": "densenet",
    "small_cnn": "mobilenet_v2",
    "vgg16": "densenet",
}
EXPECTED = OWN | {name: module for name, (_, module) in APPLICATIONS.items() if module}
# Those that are made of one of the others have tests of their own.
NAMES = sorted(set(architectures()) - families.ARCHITECTURES)


def size_of(architecture):
    """A size at which every network has more than one location in its features."""
    return 71 if architecture == "xception" else 64


def kinds(layers):
    return [type(layer).__name__ for layer in layers]


def scalings(model):
    kind = keras.layers.Rescaling | keras.layers.Normalization
    return [layer for layer in model.layers if isinstance(layer, kind)]


def test_every_architecture_is_tested():
    assert NAMES == sorted({*OWN, *APPLICATIONS})


@pytest.mark.parametrize("architecture", NAMES)
def test_takes_images_and_survives_saving(
    architecture, built, random_images, outputs, tmp_path
):
    model = built(architecture, size_of(architecture))
    images = random_images(size_of(architecture))
    from_uint8 = outputs(model, "logits", images)
    assert from_uint8.shape == (2, 5)
    assert from_uint8.dtype == np.float32
    assert np.ptp(from_uint8) > 0
    np.testing.assert_array_equal(
        outputs(model, "logits", images.astype("float32")), from_uint8
    )
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    np.testing.assert_array_equal(outputs(loaded, "logits", images), from_uint8)


@pytest.mark.parametrize("architecture", NAMES)
def test_is_flat_and_ends_in_features_pooling_and_logits(architecture, built):
    model = built(architecture, size_of(architecture))
    assert model.name == architecture
    names = [layer.name for layer in model.layers]
    assert names[0] == "images"
    assert names[-3:] == ["features", "pooling", "logits"]
    pooling, logits = model.layers[-2:]
    assert type(pooling) is keras.layers.GlobalAveragePooling2D
    assert type(logits) is keras.layers.Dense
    assert logits.activation is keras.activations.linear
    nested = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    # keras.applications nests the stem and the downsampling of ConvNeXt.
    assert kinds(nested) == ["Sequential"] * (4 if architecture[:4] == "conv" else 0)


@pytest.mark.parametrize("architecture", NAMES)
def test_split_finds_the_feature_layer_and_the_closed_form(architecture, built):
    size = size_of(architecture)
    model = built(architecture, size)
    view = split(model)
    assert view.feature_layer == "features"
    assert view.closed_form
    assert view.dense is model.get_layer("logits")
    side = {"small_cnn": 8, "xception": 3}.get(architecture, 2)
    activations, logits, _ = view.flat.outputs
    assert activations.shape[1:3] == (side, side)
    assert logits.shape == (None, 5)


@pytest.mark.parametrize("architecture", sorted(EXPECTED))
def test_preprocessing_is_what_the_network_expects(
    architecture, built, random_images, outputs
):
    size = size_of(architecture)
    model = built(architecture, size)
    images = random_images(size).astype("float32")
    preprocess = getattr(keras.applications, EXPECTED[architecture]).preprocess_input
    np.testing.assert_allclose(
        outputs(model, "preprocessing", images),
        preprocess(images.copy()),
        rtol=1e-5,
        atol=2e-6,
    )
    assert [layer.name for layer in scalings(model)] == ["preprocessing"]


@pytest.mark.parametrize("architecture", sorted(APPLICATIONS))
def test_layers_are_those_of_keras_applications(architecture, built):
    function, module = APPLICATIONS[architecture]
    size = size_of(architecture)
    model = built(architecture, size)
    network = getattr(keras.applications, function)(
        weights=None, include_top=False, input_shape=(size, size, 3)
    )
    if module is not None:
        # Tested above; a network that preprocesses itself has its own in its layers.
        start = [layer.name for layer in model.layers].index("preprocessing")
    else:
        start = 0
    expected = network.layers[1:]
    assert kinds(model.layers[start + 1 : -3]) == kinds(expected)
    shapes = [tuple(weight.shape) for weight in network.weights]
    found = [tuple(weight.shape) for weight in model.weights]
    assert found == [*shapes, (shapes_out(network), 5), (5,)]


def shapes_out(network):
    return network.output_shape[-1]


@pytest.mark.parametrize(
    "architecture, function, arguments",
    [
        ("mobilenet_v2", "MobileNetV2", {}),
        ("resnet50", "ResNet50", {}),
        ("vgg16", "VGG16", {"batch_norm": False}),
    ],
)
def test_computes_what_keras_applications_does(
    architecture, function, arguments, random_images, outputs
):
    keras.utils.set_random_seed(1)
    network = getattr(keras.applications, function)(
        weights=None, include_top=False, input_shape=(64, 64, 3)
    )
    model = create(architecture, 5, 64, **arguments)
    model.set_weights(network.get_weights() + model.layers[-1].get_weights())
    images = random_images(64)
    expected = network(outputs(model, "preprocessing", images)).numpy()
    assert expected.std() > 0
    np.testing.assert_array_equal(outputs(model, "features", images), expected)


@pytest.mark.parametrize("architecture", NAMES)
def test_logits_are_float32_under_mixed_precision(
    architecture, bfloat16, random_images
):
    size = 71 if architecture == "xception" else 32
    model = create(architecture, num_classes=3, input_size=(size, size))
    logits = keras.ops.convert_to_numpy(model(random_images(size)))
    assert model.compute_dtype == "bfloat16"
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()
    assert {variable.dtype for variable in model.trainable_weights} == {"float32"}


def test_preprocessing_keeps_fractions_under_mixed_precision(bfloat16, outputs):
    model = create("resnet50", num_classes=2, input_size=32)
    images = np.full((1, 32, 32, 3), 200.3, "float32")
    bgr = outputs(model, "preprocessing", images)[0, 0, 0]
    # bfloat16 would round 200.3 to 200.
    np.testing.assert_allclose(bgr, [96.361, 83.521, 76.62], atol=1e-3)


def test_images_need_not_be_square():
    model = create("resnet18", num_classes=2, input_size=(64, 96))
    assert model.input_shape == (None, 64, 96, 3)
    assert model.get_layer("features").output.shape == (None, 2, 3, 512)


def test_dropout_acts_in_training_alone(random_images):
    model = create("small_cnn", 4, 16, width=8, dropout=0.5)
    images = random_images(16)
    assert model.get_layer("dropout").rate == 0.5
    np.testing.assert_array_equal(model(images).numpy(), model(images).numpy())
    assert np.ptp(model(images, training=True) - model(images, training=True)) > 0
    assert split(model).closed_form


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        (("mobilenetv2", 3, 32), ValueError, "Did you mean 'mobilenet_v2'.*'mobilen"),
        (("small_cnn", 0, 32), ValueError, "at least 1 .*Received: num_classes=0"),
        (("small_cnn", 2.5, 32), TypeError, "must be an int. Received: num_classes="),
        (("small_cnn", True, 32), TypeError, "must be an int. Received: num_classes="),
        (("small_cnn", 3, 0), ValueError, "input_size.* positive"),
        (("small_cnn", 3, (32, 32, 3)), ValueError, r"Received: input_size=\(32, 32,"),
    ],
)
def test_bad_input_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        create(*arguments)


@pytest.mark.parametrize("architecture", NAMES)
def test_images_that_are_too_small_are_refused(architecture):
    least = {"small_cnn": 8, "xception": 71}.get(architecture, 32)
    message = (
        f"`input_size` must be at least {least} x {least} for {architecture}. "
        rf"Received: input_size=\({least}, {least - 1}\)"
    )
    with pytest.raises(ValueError, match=message):
        create(architecture, 3, (least, least - 1))


def test_unknown_argument_is_refused():
    with pytest.raises(TypeError, match="Did you mean 'dropout'"):
        create("vgg16", 3, 32, dropuot=0.1)
    with pytest.raises(ValueError, match="`width` must be an int of at least 1"):
        create("small_cnn", 3, 32, width=0)


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"alpha": -1}, ValueError, "`alpha` must be within .* Received: alpha=-1"),
        ({"alpha": float("nan")}, ValueError, "Received: alpha=nan"),
        ({"alpha": "x"}, TypeError, "`alpha` must be a number"),
        ({"dropout": "x"}, TypeError, "`dropout` must be a number"),
        ({"dropout": -0.1}, ValueError, "`dropout` must be within"),
        ({"dropout": 1.0}, ValueError, "`dropout` must be below 1"),
    ],
)
def test_bad_numbers_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        create("mobilenet_v2", 3, 32, **arguments)


def test_freeze_batch_norm_reaches_every_layer(random_images):
    model = create("mobilenet_v2", 3, 32)
    count = len(model.trainable_variables)
    assert freeze_batch_norm(model) == 52
    # Each of the 52 gives up its scale and its offset.
    assert len(model.trainable_variables) == count - 2 * 52
    images = random_images(32)
    np.testing.assert_array_equal(
        model(images, training=True).numpy(), model(images).numpy()
    )
    assert freeze_batch_norm(create("vgg16", 3, 32)) == 13
    assert freeze_batch_norm(create("vgg16", 3, 32, batch_norm=False)) == 0


def test_freeze_batch_norm_reaches_nested_layers():
    network = keras.applications.MobileNetV2(weights=None, include_top=False)
    nested = keras.Sequential([keras.Sequential([network])])
    assert freeze_batch_norm(nested) == 52
    assert not any(
        layer.trainable
        for layer in network.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    )


def test_freeze_batch_norm_refuses_what_is_no_model():
    with pytest.raises(TypeError, match="must be a keras.Model"):
        freeze_batch_norm("mobilenet_v2")


@pytest.mark.parametrize("name, count", [("resnet18", 8), ("resnet50", 16)])
def test_zero_residual_makes_each_block_the_identity(name, count, random_images):
    model = create(name, 3, 32)
    assert zero_residual(model) == count
    block = keras.Model(
        model.input,
        [model.get_layer("conv2_block1_out").output]
        + [model.get_layer("conv2_block2_out").output],
    )
    before, after = block(random_images(32), training=True)
    assert np.ptp(before) > 0.1
    np.testing.assert_array_equal(before, after)


def test_zero_residual_leaves_the_shortcuts(random_images):
    model = create("resnet18", 3, 32)
    gammas = {
        layer.name: layer.gamma.numpy()
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    }
    zero_residual(model)
    changed = [
        name
        for name, gamma in gammas.items()
        if np.any(model.get_layer(name).gamma.numpy() != gamma)
    ]
    blocks = [f"conv{stage}_block{block}" for stage in (2, 3, 4, 5) for block in (1, 2)]
    assert changed == [f"{block}_2_bn" for block in blocks]


def test_zero_residual_wants_residual_blocks():
    with pytest.raises(ValueError, match="no residual block.*model='vgg16'"):
        zero_residual(create("vgg16", 3, 32))
