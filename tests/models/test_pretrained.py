"""`create(..., pretrained=...)`: local files, and the cache of Keras."""

import hashlib
import pathlib

import h5py
import keras
import numpy as np
import pytest
from keras.src.applications import efficientnet, resnet
from keras.src.backend import config
from keras.src.legacy.saving import legacy_h5_format

from keras_xcons.models.architectures import create


def random_network(function, size=64, **arguments):
    """A network of keras.applications without its top, all of its weights random."""
    network = getattr(keras.applications, function)(
        input_shape=(size, size, 3), include_top=False, weights=None, **arguments
    )
    rng = np.random.default_rng(0)
    for weight in network.weights:
        if "int" not in weight.dtype:
            weight.assign(rng.uniform(0.01, 0.1, weight.shape))
    return network


def write_legacy(network, path):
    """A `.h5` file as keras.applications publishes them."""
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, network)


def assert_holds(model, network):
    """The weights up to the features are those of the network."""
    ours, theirs = model.get_weights()[:-2], network.get_weights()
    for left, right in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("ending", [".weights.h5", ".h5"])
def test_file_of_the_network_is_loaded(ending, tmp_path):
    network = random_network("MobileNetV2", alpha=0.35)
    path = tmp_path / f"notop{ending}"
    network.save_weights(path) if "weights" in ending else write_legacy(network, path)
    model = create("mobilenet_v2", 3, input_size=32, pretrained=path, alpha=0.35)
    assert_holds(model, network)


@pytest.mark.parametrize(
    "architecture", ["efficientnet_b0", "resnet18", "small_cnn", "vgg16"]
)
def test_file_of_a_whole_classifier_is_loaded(
    architecture, tmp_path, random_images, outputs
):
    path = tmp_path / "classifier.weights.h5"
    classifier = create(architecture, num_classes=20, input_size=64)
    classifier.save_weights(path)
    model = create(architecture, num_classes=4, input_size=64, pretrained=str(path))
    images = random_images(64)
    np.testing.assert_array_equal(
        outputs(model, "features", images), outputs(classifier, "features", images)
    )
    assert model.output_shape == (None, 4)


def normalization(model):
    kind = keras.layers.Normalization
    return next(layer for layer in model.layers if isinstance(layer, kind))


@pytest.fixture
def imagenet_efficientnet():
    """Random weights with the statistics of the released files."""
    network = random_network("EfficientNetB0", 32)
    layer = normalization(network)
    layer.adapt_mean.assign([0.485, 0.456, 0.406])
    # The released files hold the deviation where the layer takes a variance.
    layer.adapt_variance.assign([0.229, 0.224, 0.225])
    return network


def assert_scaled_as_by_keras(model, images, outputs):
    mean, stddev = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    # What Keras computes: its Normalization, then Rescaling(1 / sqrt(stddev)).
    expected = (images / 255 - mean) / np.sqrt(stddev) / np.sqrt(stddev)
    found = outputs(model, normalization(model).name, images)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_efficientnet_file_gives_the_scaling_keras_gives_its_own_weights(
    imagenet_efficientnet, tmp_path, random_images, outputs
):
    imagenet_efficientnet.save_weights(tmp_path / "imagenet.weights.h5")
    model = create(
        "efficientnet_b0", 2, 32, pretrained=tmp_path / "imagenet.weights.h5"
    )
    assert_scaled_as_by_keras(model, random_images(32), outputs)


def test_efficientnet_file_that_has_the_scaling_is_not_scaled_again(
    imagenet_efficientnet, tmp_path, random_images, outputs
):
    imagenet_efficientnet.save_weights(tmp_path / "imagenet.weights.h5")
    path = tmp_path / "imagenet.weights.h5"
    for number in (1, 2):
        model = create("efficientnet_b0", 2, 32, pretrained=path)
        path = tmp_path / f"trained{number}.weights.h5"
        model.save_weights(path)
    assert_scaled_as_by_keras(model, random_images(32), outputs)


def test_efficientnet_file_with_other_statistics_is_left_alone(tmp_path):
    source = create("efficientnet_b0", 2, 32)
    source.save_weights(tmp_path / "own.weights.h5")
    model = create("efficientnet_b0", 2, 32, pretrained=tmp_path / "own.weights.h5")
    np.testing.assert_array_equal(normalization(model).adapt_variance, np.ones(3))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A folder where Keras looks for its files before it downloads them."""
    monkeypatch.setattr(config, "_KERAS_DIR", str(tmp_path))
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def vouch_for(path, hashes, key, monkeypatch):
    """Makes Keras expect a file's own hash in the place of the released file's."""
    own = hashlib.md5(path.read_bytes()).hexdigest()
    monkeypatch.setitem(hashes, key, (hashes[key][0], own))


def test_imagenet_weights_of_mobilenet_v2(cache, random_images, outputs):
    """No part of Keras is replaced here: it finds the file in its cache."""
    network = random_network("MobileNetV2", 48, alpha=0.35)
    name = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
    write_legacy(network, cache / name)
    model = create("mobilenet_v2", 3, 48, pretrained="imagenet", alpha=0.35)
    assert_holds(model, network)
    images = random_images(48)
    expected = network(outputs(model, "preprocessing", images)).numpy()
    np.testing.assert_array_equal(outputs(model, "features", images), expected)


def test_imagenet_weights_of_resnet50(cache, monkeypatch):
    network = random_network("ResNet50")
    path = cache / "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
    write_legacy(network, path)
    vouch_for(path, resnet.WEIGHTS_HASHES, "resnet50", monkeypatch)
    assert_holds(create("resnet50", 3, 32, pretrained="imagenet"), network)


def test_imagenet_weights_of_efficientnet_come_with_its_scaling(
    imagenet_efficientnet, cache, monkeypatch, random_images, outputs
):
    path = cache / "efficientnetb0_notop.h5"
    write_legacy(imagenet_efficientnet, path)
    vouch_for(path, efficientnet.WEIGHTS_HASHES, "b0", monkeypatch)
    model = create("efficientnet_b0", 2, 32, pretrained="imagenet")
    assert_scaled_as_by_keras(model, random_images(32), outputs)
    assert_holds_but_scaling(model, imagenet_efficientnet)


def assert_holds_but_scaling(model, network):
    skipped = len(normalization(network).weights)
    ours, theirs = model.get_weights()[skipped:-2], network.get_weights()[skipped:]
    for left, right in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("architecture", ["resnet18", "resnet34", "small_cnn", "vgg16"])
def test_imagenet_weights_that_do_not_exist_are_refused(architecture):
    message = (
        f"no ImageNet weights of {architecture} in keras.applications: `pretrained` "
        "must be None or the path of a weights file. Received: pretrained='imagenet'"
    )
    with pytest.raises(ValueError, match=message):
        create(architecture, 3, 32, pretrained="imagenet")


@pytest.mark.real_data
def test_real_weights_load(real_data):
    folder = pathlib.Path(real_data).parent / "weights"
    path = folder / "mobilenet_v2_imagenet_notop.weights.h5"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    model = create("mobilenet_v2", num_classes=50, input_size=96, pretrained=path)
    # Random initialisation has moving means of exactly 0.
    assert np.abs(model.get_layer("bn_Conv1").moving_mean.numpy()).max() > 0.1


def test_file_that_is_not_there_is_refused():
    message = (
        "`pretrained` must be None, 'imagenet' or the path of a local weights file. "
        "There is no such file. Received: pretrained='no/such.weights.h5'"
    )
    with pytest.raises(FileNotFoundError, match=message):
        create("small_cnn", 3, 32, "no/such.weights.h5")


def test_file_of_another_kind_is_refused(tmp_path):
    other = tmp_path / "weights.npz"
    other.write_bytes(b"")
    with pytest.raises(ValueError, match="ends in .weights.h5 or .h5. Received: pret"):
        create("small_cnn", 3, 32, pretrained=other)


def test_weights_that_do_not_fit_are_named(tmp_path):
    wrong = tmp_path / "wrong.weights.h5"
    create("small_cnn", 3, 32, width=8).save_weights(wrong)
    with pytest.raises(
        ValueError, match="wrong.weights.h5 does not fit the model 'mobilenet_v2'"
    ):
        create("mobilenet_v2", 3, 32, pretrained=wrong)
    broken = tmp_path / "broken.weights.h5"
    broken.write_bytes(wrong.read_bytes()[:200])
    with pytest.raises(
        ValueError, match="broken.weights.h5 does not fit the model 'small_cnn'"
    ):
        create("small_cnn", 3, 32, pretrained=broken, width=8)
