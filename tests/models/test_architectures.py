import os

import keras
import numpy as np
import pytest

from keras_xcons.models.architectures import architectures, create
from keras_xcons.models.batch_norm import freeze_batch_norm

SIZE = {"xception": 71}
APPLICATIONS = {
    "densenet121": (keras.applications.densenet, "torch"),
    "mobilenet_v2": (keras.applications.mobilenet_v2, "tf"),
    "resnet50": (keras.applications.resnet, "caffe"),
    "resnet50_v2": (keras.applications.resnet_v2, "tf"),
    "vgg16": (keras.applications.vgg16, "caffe"),
    "xception": (keras.applications.xception, "tf"),
}
INSIDE = {
    "convnext_tiny": keras.applications.convnext,
    "efficientnet_b0": keras.applications.efficientnet,
    "efficientnet_v2_b0": keras.applications.efficientnet_v2,
    "mobilenet_v3_large": keras.applications.mobilenet_v3,
    "mobilenet_v3_small": keras.applications.mobilenet_v3,
}


def random_images(size, count=2):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, size, size, 3)).astype("uint8")


@pytest.fixture
def bfloat16():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("architecture", architectures())
def test_takes_images_and_survives_saving(architecture, tmp_path):
    size = SIZE.get(architecture, 32)
    model = create(architecture, num_classes=5, input_size=size)
    images = random_images(size)
    from_uint8 = keras.ops.convert_to_numpy(model(images))
    from_float = keras.ops.convert_to_numpy(model(images.astype("float32")))
    assert from_uint8.shape == (2, 5)
    assert from_uint8.dtype == np.float32
    assert np.ptp(from_uint8) > 0
    np.testing.assert_array_equal(from_uint8, from_float)
    assert isinstance(model.layers[-1], keras.layers.Dense)
    assert model.layers[-1].name == "logits"
    assert model.layers[-1].activation is keras.activations.linear

    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(loaded(images)), from_uint8
    )


@pytest.mark.parametrize("architecture", architectures())
def test_logits_are_float32_under_mixed_precision(architecture, bfloat16):
    size = SIZE.get(architecture, 32)
    model = create(architecture, num_classes=3, input_size=(size, size))
    images = random_images(size)
    logits = keras.ops.convert_to_numpy(model(images))
    assert model.compute_dtype == "bfloat16"
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()
    assert {variable.dtype for variable in model.trainable_weights} == {"float32"}


@pytest.mark.parametrize("architecture", sorted(APPLICATIONS))
def test_preprocessing_is_that_of_keras_applications(architecture):
    module, _ = APPLICATIONS[architecture]
    size = SIZE.get(architecture, 32)
    model = create(architecture, num_classes=2, input_size=size)
    images = random_images(size).astype("float32")
    # A model over the graph up to the backbone, which gets exactly this.
    inside = keras.Model(model.input, model.get_layer("preprocessing").output)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(inside(images)),
        module.preprocess_input(images.copy()),
        rtol=1e-5,
        atol=2e-6,
    )
    scaling = [
        layer
        for layer in model._flatten_layers(include_self=False)
        if isinstance(layer, keras.layers.Rescaling | keras.layers.Normalization)
    ]
    assert len(scaling) == 1


@pytest.mark.parametrize("architecture", sorted(INSIDE))
def test_backbones_that_preprocess_themselves_get_raw_images(architecture):
    model = create(architecture, num_classes=2, input_size=32)
    images = random_images(32).astype("float32")
    np.testing.assert_array_equal(
        INSIDE[architecture].preprocess_input(images.copy()), images
    )
    kinds = [type(operation).__name__ for operation in model.operations]
    assert kinds == ["InputLayer", "Functional", "GlobalAveragePooling2D", "Dense"]


def test_every_architecture_has_its_preprocessing_tested():
    assert set(architectures()) == {"small_cnn", *APPLICATIONS, *INSIDE}


def test_preprocessing_keeps_fractions_under_mixed_precision(bfloat16):
    model = create("resnet50", num_classes=2, input_size=32)
    images = np.full((1, 32, 32, 3), 200.3, "float32")
    inside = keras.Model(model.input, model.get_layer("preprocessing").output)
    bgr = keras.ops.convert_to_numpy(inside(images))[0, 0, 0]
    # bfloat16 would round 200.3 to 200.
    np.testing.assert_allclose(bgr, [96.361, 83.521, 76.62], atol=1e-3)


def test_small_cnn_fits_the_shapes_set():
    model = create("small_cnn", num_classes=8, input_size=64)
    assert model.get_layer("features").output.shape == (None, 8, 8, 64)
    assert model.count_params() < 250_000
    momenta = {
        layer.momentum
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    }
    assert momenta == {0.9}
    images = random_images(64)
    inside = keras.Model(model.input, model.get_layer("preprocessing").output)
    scaled = keras.ops.convert_to_numpy(inside(images))
    np.testing.assert_allclose(scaled, images / 127.5 - 1, atol=1e-6)


def test_small_cnn_takes_the_features_of_another_task(tmp_path):
    path = tmp_path / "pretrained.weights.h5"
    pretrained = create("small_cnn", num_classes=20, input_size=64, width=8)
    pretrained.save_weights(path)
    model = create("small_cnn", num_classes=4, input_size=64, weights=path, width=8)
    images = random_images(64)
    features = [
        keras.ops.convert_to_numpy(
            keras.Model(one.input, one.get_layer("features").output)(images)
        )
        for one in (pretrained, model)
    ]
    np.testing.assert_array_equal(*features)
    assert model.output_shape == (None, 4)


def test_backbone_weights_are_loaded(tmp_path):
    path = tmp_path / "notop.weights.h5"
    backbone = keras.applications.MobileNetV2(
        input_shape=(64, 64, 3), include_top=False, weights=None, alpha=0.35
    )
    backbone.save_weights(path)
    model = create("mobilenet_v2", 3, input_size=32, weights=str(path), alpha=0.35)
    loaded = model.get_layer("mobilenet_v2")
    for ours, theirs in zip(loaded.weights, backbone.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_efficientnet_file_gives_the_scaling_keras_gives_its_own_weights(tmp_path):
    mean, stddev = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    source = create("efficientnet_b0", 2, 32).get_layer("efficientnet_b0")
    normalization = source.get_layer(index=2)
    assert isinstance(normalization, keras.layers.Normalization)
    normalization.adapt_mean.assign(mean)
    # The released files hold the deviation where the layer takes a variance.
    normalization.adapt_variance.assign(stddev)
    source.save_weights(tmp_path / "imagenet.weights.h5")

    model = create("efficientnet_b0", 2, 32, weights=tmp_path / "imagenet.weights.h5")
    backbone = model.get_layer("efficientnet_b0")
    inside = keras.Model(backbone.input, backbone.get_layer(index=2).output)
    images = random_images(32).astype("float32")
    # What Keras computes: its Normalization, then Rescaling(1 / sqrt(stddev)).
    expected = (images / 255 - mean) / np.sqrt(stddev) / np.sqrt(stddev)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(inside(images)), expected, rtol=1e-5, atol=1e-5
    )


def test_efficientnet_file_with_other_statistics_is_left_alone(tmp_path):
    source = create("efficientnet_b0", 2, 32).get_layer("efficientnet_b0")
    source.save_weights(tmp_path / "own.weights.h5")
    model = create("efficientnet_b0", 2, 32, weights=tmp_path / "own.weights.h5")
    layer = model.get_layer("efficientnet_b0").get_layer(index=2)
    np.testing.assert_array_equal(layer.adapt_variance.numpy(), np.ones(3))


@pytest.mark.real_data
def test_real_weights_load():
    data = os.environ.get("KERAS_XCONS_TEST_DATA")
    if data is None:
        pytest.skip("KERAS_XCONS_TEST_DATA names no folder")
    path = os.path.join(data, "..", "weights", "mobilenet_v2_imagenet_notop.weights.h5")
    if not os.path.exists(path):
        pytest.skip(f"{path} is not there")
    model = create("mobilenet_v2", num_classes=50, input_size=96, weights=path)
    stem = model.get_layer("mobilenet_v2").get_layer("bn_Conv1")
    # Random initialisation has moving means of exactly 0.
    assert np.abs(stem.moving_mean.numpy()).max() > 0.1


def test_dropout_acts_in_training_alone():
    model = create("small_cnn", 4, 16, width=8, dropout=0.5)
    images = random_images(16)
    assert model.get_layer("dropout").rate == 0.5
    np.testing.assert_array_equal(model(images).numpy(), model(images).numpy())
    assert np.ptp(model(images, training=True) - model(images, training=True)) > 0


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        (("mobilenetv2", 3, 32), ValueError, "Did you mean 'mobilenet_v2'.*'mobilen"),
        (("small_cnn", 0, 32), ValueError, "at least 1. Received: num_classes=0"),
        (("small_cnn", 2.5, 32), TypeError, "must be an int. Received: num_classes="),
        (("small_cnn", True, 32), TypeError, "must be an int. Received: num_classes="),
        (("small_cnn", 3, 0), ValueError, "input_size.* positive"),
        (("small_cnn", 3, (32, 32, 3)), ValueError, r"Received: input_size=\(32, 32,"),
        (("small_cnn", 3, 7), ValueError, "at least 8 x 8"),
        (("mobilenet_v2", 3, 31), ValueError, "at least 32"),
        (("small_cnn", 3, 32, "no/such.weights.h5"), FileNotFoundError, "no/such.wei"),
    ],
)
def test_bad_input_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        create(*arguments)


def test_unknown_argument_is_refused():
    with pytest.raises(TypeError, match="Did you mean 'dropout'"):
        create("vgg16", 3, 32, dropuot=0.1)
    with pytest.raises(ValueError, match="`width` must be a positive int"):
        create("small_cnn", 3, 32, width=0)


def test_weights_that_do_not_fit_are_named(tmp_path):
    wrong = tmp_path / "wrong.weights.h5"
    create("small_cnn", 3, 32, width=8).save_weights(wrong)
    with pytest.raises(
        ValueError, match="wrong.weights.h5 does not fit the model 'mobilenet_v2'"
    ):
        create("mobilenet_v2", 3, 32, weights=wrong)
    broken = tmp_path / "broken.weights.h5"
    broken.write_bytes(wrong.read_bytes()[:200])
    with pytest.raises(
        ValueError, match="broken.weights.h5 does not fit the model 'small_cnn'"
    ):
        create("small_cnn", 3, 32, weights=broken, width=8)
    other = tmp_path / "weights.npz"
    other.write_bytes(b"")
    with pytest.raises(ValueError, match="ends in .weights.h5"):
        create("small_cnn", 3, 32, weights=other)


def test_freeze_batch_norm_reaches_nested_layers():
    model = create("mobilenet_v2", 3, 32)
    count = len(model.trainable_variables)
    assert freeze_batch_norm(model) == 52
    # Each of the 52 gives up its scale and its offset.
    assert len(model.trainable_variables) == count - 2 * 52
    images = random_images(32)
    np.testing.assert_array_equal(
        model(images, training=True).numpy(), model(images).numpy()
    )
    assert freeze_batch_norm(create("vgg16", 3, 32)) == 0


def test_freeze_batch_norm_refuses_what_is_no_model():
    with pytest.raises(TypeError, match="must be a keras.Model"):
        freeze_batch_norm("mobilenet_v2")
