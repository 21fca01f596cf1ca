import keras
import numpy as np
import pytest

from keras_xcons.methods import PlainModel
from keras_xcons.models import create, split
from keras_xcons.protopnet.view import prototype_view
from keras_xcons.zoo.float16 import save_float16


def tiny(prototypes=2, num_classes=3, **arguments):
    arguments = {"backbone_arguments": {"width": 4}, **arguments}
    return create(
        "protopnet",
        num_classes,
        32,
        backbone="small_cnn",
        prototypes=prototypes,
        channels=8,
        **arguments,
    )


def images(count=2):
    random = np.random.default_rng(0)
    return random.integers(0, 256, (count, 32, 32, 3)).astype("uint8")


def test_the_last_layer_speaks_for_the_own_class_and_against_others():
    model = tiny([1, 2, 1])
    kernel = model.get_layer("logits").kernel.numpy()
    expected = [[1, -0.5, -0.5], [-0.5, 1, -0.5], [-0.5, 1, -0.5], [-0.5, -0.5, 1]]
    np.testing.assert_array_equal(kernel, expected)
    assert not model.get_layer("logits").use_bias


def test_logits_are_similarities_times_weights():
    model = tiny()
    view = prototype_view(model)
    space = view.space(images()).numpy()
    assert space.shape == (2, 16, 8)
    assert 0.0 < space.min() and space.max() < 1.0
    prototypes = view.layer.prototypes.numpy()
    differences = space[:, :, None] - prototypes
    distances = (differences**2).sum(-1).min(1)
    similarities = np.log((distances + 1) / (distances + 1e-4))
    expected = similarities @ view.dense.kernel.numpy()
    np.testing.assert_allclose(model(images()), expected, rtol=1e-4, atol=1e-5)
    assert view.grid == (4, 4)
    assert view.classes.tolist() == [0, 0, 1, 1, 2, 2]
    assert [layer.name for layer in view.add_on] == ["add_on1", "add_on2"]


@pytest.mark.parametrize(
    "backbone, arguments",
    [("mobilenet_v2", {"alpha": 0.35}), ("resnet18", {}), ("vgg16", {})],
)
def test_any_backbone_is_explained_at_its_features(backbone, arguments):
    model = create(
        "protopnet",
        2,
        64,
        backbone=backbone,
        prototypes=1,
        channels=4,
        backbone_arguments=arguments,
    )
    view = split(model)
    assert view.feature_layer == "features"
    assert not view.closed_form
    assert view.flat.output_shape[0][1:3] == (2, 2)
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    plain = create(backbone, 2, 64, **arguments)
    shared = plain.get_layer("features").output.shape
    assert model.get_layer("features").output.shape == shared


def test_saving_keeps_prototypes_and_sources(tmp_path):
    model = tiny([2, 1, 3])
    layer = model.get_layer("prototypes")
    layer.source_image.assign([5, 70_001, 2, 3, 4, 1])
    layer.source_cell.assign(np.arange(12).reshape(6, 2))
    layer.source_box.assign(np.linspace(0, 1, 24, dtype="float32").reshape(6, 4))
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    save_float16(model, tmp_path / "float16.weights.h5")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    from_weights, from_half = tiny([2, 1, 3]), tiny([2, 1, 3])
    from_weights.load_weights(tmp_path / "model.weights.h5")
    from_half.load_weights(tmp_path / "float16.weights.h5")
    for other in (loaded, from_weights):
        np.testing.assert_array_equal(other(images()), model(images()))
        for one, two in zip(model.weights, other.weights, strict=True):
            np.testing.assert_array_equal(one, two)
    np.testing.assert_allclose(from_half(images()), model(images()), atol=1e-2)
    half = from_half.get_layer("prototypes")
    # An id above 65,504 would not survive a half type.
    np.testing.assert_array_equal(half.source_image, layer.source_image)
    np.testing.assert_array_equal(half.source_cell, layer.source_cell)
    np.testing.assert_allclose(half.source_box, layer.source_box, atol=1e-3)


def test_backbone_weights_of_a_whole_classifier_are_loaded(tmp_path):
    path = tmp_path / "classifier.weights.h5"
    donor = create("small_cnn", 7, 32, width=4)
    donor.save_weights(path)
    model = tiny(pretrained=path)
    theirs = keras.Model(donor.input, donor.get_layer("features").output)
    ours = keras.Model(model.input, model.get_layer("features").output)
    np.testing.assert_array_equal(ours(images()), theirs(images()))


def test_logits_are_float32_under_mixed_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = tiny()
    finally:
        keras.config.set_dtype_policy(before)
    assert model.get_layer("add_on2").compute_dtype == "bfloat16"
    assert model(images()).dtype == "float32"
    assert {weight.dtype for weight in model.trainable_weights} == {"float32"}


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"prototypes": 0}, ValueError, "at least 1. Received: prototypes=0"),
        ({"prototypes": 1.5}, TypeError, "an int or a list of 3 ints"),
        ({"prototypes": True}, TypeError, "an int or a list of 3 ints"),
        ({"prototypes": [1, 2]}, ValueError, "prototypes of length 2"),
        ({"prototypes": [1, 0, 1]}, ValueError, "at least one prototype"),
        ({"num_classes": 1}, ValueError, "at least 2. Received: num_classes=1"),
    ],
)
def test_bad_numbers_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        tiny(**arguments)


def test_other_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="Unknown backbone. Did you mean 'resnet18'"):
        create("protopnet", 3, 32, backbone="resnet8")
    with pytest.raises(ValueError, match="backbone='protopnet'"):
        create("protopnet", 3, 32, backbone="protopnet")
    with pytest.raises(TypeError, match="backbone_argument='pretrained'"):
        tiny(backbone_arguments={"pretrained": "imagenet"})
    with pytest.raises(TypeError, match=r"must be a dict. Received: .*=\['width'\]"):
        tiny(backbone_arguments=["width"])
    with pytest.raises(ValueError, match="`channels` must be an int of at least 1"):
        create("protopnet", 3, 32, backbone="small_cnn", channels=0)
    with pytest.raises(TypeError, match="Unknown backbone.*_argument='depth'"):
        tiny(backbone_arguments={"depth": 3})


def test_the_parts_of_a_protopnet_are_found_from_whatever_stands_for_it():
    model = tiny()
    trainer = PlainModel(model)
    for one in (model, trainer, split(model), prototype_view(model)):
        assert prototype_view(one).layer is model.get_layer("prototypes")


def test_what_is_no_protopnet_is_refused():
    with pytest.raises(ValueError, match="no ProtoPNet.*Received: model='small_cnn'"):
        prototype_view(create("small_cnn", 3, 32, width=4))
    with pytest.raises(TypeError, match="Received: model of type str"):
        prototype_view("protopnet")


def test_a_quantized_protopnet_is_refused():
    model = tiny()
    model.get_layer("logits").quantize("int8")
    with pytest.raises(ValueError, match="not quantized.*quantization_mode='int8'"):
        prototype_view(model)
