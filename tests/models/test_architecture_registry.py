import keras
import pytest

from keras_xcons import models
from keras_xcons.models.architectures import registry


@pytest.fixture(autouse=True)
def registry_of_its_own(monkeypatch):
    monkeypatch.setattr(registry, "_FUNCTIONS", dict(registry._FUNCTIONS))


def linear(num_classes, input_size, pretrained=None, *, scale=1.0):
    images = keras.Input((*input_size, 3))
    x = keras.layers.Flatten()(keras.layers.Rescaling(scale)(images))
    return keras.Model(images, keras.layers.Dense(num_classes)(x))


def test_a_registered_architecture_is_one_like_the_others():
    assert models.register_architecture("linear")(linear) is linear
    assert "linear" in models.architectures()
    assert models.arguments_of("linear") == ["scale"]
    model = models.create("linear", 3, 8, scale=0.5)
    assert model.output_shape == (None, 3)
    with pytest.raises(TypeError, match="Did you mean 'scale'"):
        models.create("linear", 3, 8, scales=0.5)


def test_a_function_may_come_again_but_its_name_is_not_anothers():
    models.register_architecture("linear")(linear)
    models.register_architecture("linear")(linear)
    with pytest.raises(ValueError, match="has this name. Received: name='vgg16'"):
        models.register_architecture("vgg16")(linear)


@pytest.mark.parametrize("name", ["", "VGG", "a/b", "1x", None])
def test_names_that_are_none_are_refused(name):
    with pytest.raises(ValueError, match="must be lower-case .* Received: name="):
        models.register_architecture(name)


@pytest.mark.parametrize(
    "function",
    [
        3,
        lambda num_classes: None,
        lambda num_classes, input_size, pretrained, *, width: None,
    ],
)
def test_what_create_could_not_call_is_refused(function):
    with pytest.raises(TypeError, match="can be called with .* Received: function="):
        models.register_architecture("mine")(function)
