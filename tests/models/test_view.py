import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_xcons.explainers import explain, explained_pass
from keras_xcons.models import ClassifierView, TrainsClassifier, split
from keras_xcons.models.flatten import used


def random_images(size):
    random = np.random.default_rng(0)
    return random.integers(0, 256, (2, size, size, 3)).astype("float32")


IMAGES = random_images(16)
# Architecture, image size, the feature layer, whether its own head has a closed form.
APPLICATIONS = [
    ("ResNet50", 64, "conv5_block3_out", True),
    ("VGG16", 64, "block5_conv3", False),
    ("MobileNetV2", 64, "out_relu", True),
    ("EfficientNetB0", 64, "top_activation", True),
    ("DenseNet121", 64, "relu", True),
    # A LayerNormalization between pooling and Dense.
    ("ConvNeXtTiny", 64, None, False),
    ("Xception", 71, "block14_sepconv2_act", True),
]


@pytest.fixture
def policy():
    """Sets a dtype policy for the models that a test builds."""
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


def backbone(name="backbone", size=16):
    inputs = keras.Input((size, size, 3))
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(4, 3, strides=2, activation="relu", name="conv")(x)
    x = layers.Conv2D(6, 3, activation="relu", name="features")(x)
    return keras.Model(inputs, x, name=name)


def head(channels=6, activation=None):
    inputs = keras.Input((None, None, channels))
    x = layers.GlobalAveragePooling2D()(inputs)
    return keras.Model(inputs, layers.Dense(3, activation=activation)(x), name="head")


def with_head(features, *ending, pooling=layers.GlobalAveragePooling2D):
    """A functional model of a nested backbone, pooling and given last layers."""
    inputs = keras.Input((16, 16, 3))
    x = pooling()(features(inputs))
    for layer in ending or [layers.Dense(3)]:
        x = layer(x)
    return keras.Model(inputs, x)


def check(model, images=IMAGES, **arguments):
    """What must hold of every view; returns it."""
    view = split(model, **arguments)
    activations, logits, outputs = view(images)
    assert len(activations.shape) == 4
    assert logits.shape == (len(images), view.num_classes)
    np.testing.assert_array_equal(outputs, view.model(images))
    maps = explain(view, images)
    assert maps.shape == images.shape[:3]
    assert np.all(np.isfinite(maps))
    assert maps.min() >= 0.0 and maps.max() <= 1.0
    return view


@pytest.mark.parametrize(("name", "size", "layer", "closed"), APPLICATIONS)
def test_applications_alone_and_nested(name, size, layer, closed):
    application = getattr(keras.applications, name)
    images = random_images(size)
    model = application(weights=None, input_shape=(size, size, 3), classes=4)
    view = split(model)
    assert view.feature_layer == (layer or view.feature_layer)
    assert view.closed_form == closed
    check_pass(view, images)

    # Not get_layer: the last features of ConvNeXt are those of an addition.
    last = next(o for o in model.operations if o.name == view.feature_layer)
    body = keras.Model(model.input, last.output)
    inputs = keras.Input((size, size, 3))
    pooled = layers.GlobalAveragePooling2D()(body(inputs, training=False))
    nested = keras.Model(inputs, layers.Dense(4)(layers.Dropout(0.2)(pooled)))
    nested_view = split(nested)
    assert nested_view.feature_layer == view.feature_layer
    assert nested_view.closed_form
    check_pass(nested_view, images)


def check_pass(view, images):
    """One pass: eager convolutions of ConvNeXt are compiled at every call."""
    maps, _, outputs = explained_pass(view, tf.constant(images))
    np.testing.assert_array_equal(outputs, view.model(images))
    assert maps.shape[:2] == (2, 1)
    assert np.all((maps >= 0.0) & (maps <= 1.0))


def test_explains_an_application_as_backbone():
    backbone = keras.applications.MobileNetV2(
        weights=None, include_top=False, input_shape=(64, 64, 3), alpha=0.35
    )
    head = [layers.GlobalAveragePooling2D(), layers.Dense(4)]
    model = keras.Sequential([keras.Input((64, 64, 3)), backbone, *head])
    assert check(model, random_images(64)).feature_layer == "out_relu"


def test_nested_two_levels_deep():
    inputs = keras.Input((16, 16, 3))
    middle = keras.Model(inputs, backbone()(255.0 - inputs))
    view = check(with_head(middle))
    assert view.feature_layer == "features"
    assert view.closed_form
    operations = [used(each) for each in view.flat.operations]
    assert not any(isinstance(each, keras.Model) for each in operations)


def test_sequential():
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(5, 3, activation="relu", name="last"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )
    view = check(model)
    assert view.feature_layer == "last"
    assert view.closed_form


def test_sequential_inside_functional_inside_sequential():
    body = keras.Sequential(
        [keras.Input((16, 16, 3)), layers.Conv2D(5, 3, name="inner"), layers.ReLU()]
    )
    model = keras.Sequential([keras.Input((16, 16, 3)), with_head(body)])
    assert check(model).feature_layer.startswith("re_lu")


def test_a_model_that_trains_a_classifier_stands_for_it():
    class Trainer(keras.Model, TrainsClassifier):
        def __init__(self, classifier):
            super().__init__()
            self.classifier = classifier

    model = with_head(backbone())
    assert split(Trainer(model)).model is model


def test_view_is_handed_through_unless_another_layer_is_asked_for():
    view = split(with_head(backbone()))
    assert split(view) is view
    assert split(view, "features") is view
    other = split(view, "conv")
    assert isinstance(other, ClassifierView)
    assert other.feature_layer == "conv"
    assert other.model is view.model


def test_pair_of_functional_models():
    parts = backbone(), head()
    view = check(parts)
    assert view.closed_form
    np.testing.assert_array_equal(view(IMAGES)[2], parts[1](parts[0](IMAGES)))


class Body(keras.Model):
    def __init__(self):
        super().__init__()
        self.convs = [layers.Conv2D(4, 3, activation="relu") for _ in range(2)]

    def call(self, inputs):
        for conv in self.convs:
            inputs = conv(inputs)
        return inputs


class Head(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, inputs):
        return self.dense(keras.ops.max(inputs, axis=(1, 2)))


def test_pair_of_subclassed_models():
    pair = Body(), Head()
    view = check(pair, input_shape=(16, 16, 3))
    assert not view.closed_form
    assert view.input_shape == (16, 16, 3)
    np.testing.assert_allclose(view(IMAGES)[1], pair[1](pair[0](IMAGES)), rtol=1e-6)
    trained = {id(v) for v in view.model.trainable_variables}
    assert trained == {id(v) for part in pair for v in part.trainable_variables}


@pytest.mark.parametrize("function", ["softmax", "sigmoid"])
@pytest.mark.parametrize("style", ["dense", "activation", "layer", "function"])
def test_bounded_endings_are_read_at_the_logits(function, style):
    dense = layers.Dense(3, activation=function if style == "dense" else None)
    ending = {
        "dense": [],
        "activation": [layers.Activation(function)],
        "layer": [
            layers.Softmax()
            if function == "softmax"
            else layers.Activation(keras.activations.sigmoid)
        ],
        "function": [getattr(keras.ops, function)],
    }[style]
    view = check(with_head(backbone(), dense, *ending))
    _, logits, outputs = view(IMAGES)
    bounded = getattr(keras.ops, function)(logits)
    np.testing.assert_allclose(outputs, bounded, atol=1e-6)
    assert view.closed_form
    assert view.dense is dense
    # Weights are shared, so the logits follow them.
    dense.bias.assign([1.0, 2.0, 3.0])
    moved = view(IMAGES)[1] - logits
    np.testing.assert_allclose(moved, [[1.0, 2.0, 3.0]] * 2, atol=1e-5)


@pytest.mark.parametrize("last", ["dense", "activation"])
def test_a_cast_after_a_bounded_ending_changes_nothing(last):
    cast = layers.Activation("linear", dtype="float32")
    dense = layers.Dense(3, activation="softmax" if last == "dense" else None)
    ending = [dense, cast] if last == "dense" else [dense, layers.Softmax(), cast]
    view = check(with_head(backbone(), *ending))
    _, logits, outputs = view(IMAGES)
    np.testing.assert_allclose(outputs, keras.ops.softmax(logits), atol=1e-6)
    assert view.dense is dense


def test_logits_of_a_dense_without_bias():
    ending = layers.Dense(3, use_bias=False, activation="softmax")
    view = check(with_head(backbone(), ending))
    np.testing.assert_allclose(keras.ops.softmax(view(IMAGES)[1]), view(IMAGES)[2])


def test_a_bounded_ending_that_is_no_dense_is_refused():
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(3, 16, activation="softmax")(inputs)
    model = keras.Model(inputs, layers.Flatten()(x))
    with pytest.raises(ValueError, match="no 4-D activation"):
        split(model)
    x = layers.Conv2D(4, 3)(inputs)
    x = layers.Flatten()(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.EinsumDense("bk,kc->bc", output_shape=3, activation="softmax")(x)
    with pytest.raises(ValueError, match="EinsumDense .* logits cannot be read"):
        split(keras.Model(inputs, x))


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(dtype, policy):
    policy(dtype)
    ending = layers.Dense(3), layers.Activation("linear", dtype="float32")
    model = with_head(backbone(), *ending)
    view = check(model)
    assert view.closed_form
    activations, logits, outputs = view(IMAGES)
    assert activations.dtype == dtype.removeprefix("mixed_")
    assert logits.dtype == outputs.dtype == "float32"


@pytest.mark.parametrize("kind", ["closed", "max", "flatten", "two_dense", "norm"])
def test_closed_form_is_only_seen_where_it_holds(kind):
    pooling = {
        "max": layers.GlobalMaxPooling2D,
        "flatten": layers.Flatten,
    }.get(kind, layers.GlobalAveragePooling2D)
    ending = {
        "closed": [layers.Dropout(0.5), layers.Identity(), layers.Dense(3)],
        "two_dense": [layers.Dense(4, activation="relu"), layers.Dense(3)],
        "norm": [layers.LayerNormalization(), layers.Dense(3)],
    }.get(kind, [layers.Dense(3)])
    view = check(with_head(backbone(), *ending, pooling=pooling))
    assert view.closed_form == (kind == "closed")


def test_pooling_of_another_layer_is_no_closed_form():
    """A named layer below the pooled one has another gradient."""
    model = with_head(backbone())
    assert split(model).closed_form
    assert not split(model, "conv").closed_form


def test_named_feature_layer_also_inside_a_nested_model():
    view = check(with_head(backbone()), feature_layer="conv")
    assert view.feature_layer == "conv"
    assert view(IMAGES)[0].shape == (2, 7, 7, 4)


def test_layers_of_one_name_in_nested_and_outer_model():
    ending = layers.Dense(4, activation="relu", name="conv"), layers.Dense(3)
    model = with_head(backbone("same"), *ending)
    outer = keras.Sequential([keras.Input((16, 16, 3)), model], name="same")
    names = [layer.name for layer in outer._flatten_layers()]
    check(outer)
    assert [layer.name for layer in outer._flatten_layers()] == names


def test_training_through_the_view_moves_the_model():
    model = with_head(backbone())
    view = split(model)
    assert {id(v) for v in view.flat.variables} == {id(v) for v in model.variables}
    before = [np.array(v) for v in model.trainable_variables]
    with tf.GradientTape() as tape:
        _, logits, _ = view(IMAGES, training=True)
        loss = -tf.reduce_mean(tf.nn.log_softmax(logits)[:, 0])
    variables = model.trainable_variables
    gradients = tape.gradient(loss, variables)
    keras.optimizers.SGD(0.1).apply(gradients, variables)
    assert all(np.any(b != a) for b, a in zip(before, variables, strict=True))
    np.testing.assert_array_equal(view(IMAGES)[2], model(IMAGES))


def test_splitting_leaves_the_model_as_it_was(tmp_path):
    model = with_head(backbone())
    config = model.to_json()
    explain(model, IMAGES, explainer="gradcam")
    explain(model, IMAGES, feature_layer="conv")
    assert model.to_json() == config
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.to_json() == config
    np.testing.assert_array_equal(loaded(IMAGES), model(IMAGES))
    check(loaded)


def test_what_a_view_knows():
    view = split(with_head(backbone()))
    assert view.num_classes == 3
    assert view.input_shape == (16, 16, 3)
    assert split((layers.Conv2D(2, 3), Head())).input_shape == (None, None, 3)


@pytest.mark.parametrize("wrong", ["model", None, 3, layers.Dense(2), np.zeros(3)])
def test_refuses_what_is_no_model(wrong):
    with pytest.raises(TypeError, match="must be a `keras.Model`.*Received"):
        split(wrong)


def test_refuses_a_pair_of_other_things():
    with pytest.raises(TypeError, match="two Keras models or layers"):
        split((backbone(), "head"))
    with pytest.raises(TypeError, match="two Keras models or layers"):
        split([backbone(), head(), head()])


def test_refuses_a_pair_that_does_not_fit():
    with pytest.raises(ValueError, match="could not be joined.*`input_shape`"):
        split((backbone(), head(channels=7)))


def test_refuses_a_subclassed_model_and_says_what_to_pass():
    with pytest.raises(ValueError, match=r"Body cannot be split.*\(backbone, head\)"):
        split(Body())


def test_refuses_an_unbuilt_sequential():
    model = keras.Sequential([layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(2)])
    with pytest.raises(ValueError, match="must be built.*keras.Input"):
        split(model)


def test_refuses_a_model_without_a_spatial_activation():
    inputs = keras.Input((16, 16, 3))
    x = layers.Flatten()(layers.Rescaling(1 / 255)(inputs))
    model = keras.Model(inputs, layers.Dense(2, name="scores")(x))
    with pytest.raises(ValueError, match="no 4-D activation.*'scores'"):
        split(model)


def test_refuses_an_unknown_feature_layer_with_close_matches():
    with pytest.raises(ValueError, match="Did you mean 'features'.*'featurs'"):
        split(with_head(backbone()), "featurs")


def test_refuses_a_feature_layer_that_is_not_spatial():
    model = with_head(backbone(), layers.Dense(3, name="scores"))
    with pytest.raises(ValueError, match=r"must have a 4-D output.*\(None, 3\)"):
        split(model, "scores")


def test_refuses_several_inputs_and_outputs():
    inputs = keras.Input((16, 16, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(2, 3)(inputs))
    with pytest.raises(ValueError, match="one batch of images.*output shapes"):
        split(keras.Model(inputs, [x, layers.Dense(2)(x)]))
    other = keras.Input((2,))
    with pytest.raises(ValueError, match="one batch of images.*input shapes"):
        split(keras.Model([inputs, other], layers.add([x, other])))


def test_refuses_scores_that_are_not_one_a_class():
    with pytest.raises(ValueError, match=r"output shapes \[\(None, 5, 5, 6\)\]"):
        split(backbone())


def test_asks_for_a_layer_where_the_head_takes_two():
    inputs = keras.Input((16, 16, 3))
    branches = [layers.Conv2D(2, 3, name=name)(inputs) for name in ("left", "right")]
    pooled = [layers.GlobalAveragePooling2D()(branch) for branch in branches]
    model = keras.Model(inputs, layers.Dense(2)(layers.concatenate(pooled)))
    with pytest.raises(ValueError, match=r"`feature_layer`.*\['left', 'right'\]"):
        split(model)
    assert not check(model, feature_layer="left").closed_form


def test_differentiates_a_frozen_model_that_takes_bytes():
    inputs = keras.Input((16, 16, 3), dtype="uint8")
    x = layers.Conv2D(4, 3, activation="relu")(layers.Rescaling(1 / 255)(inputs))
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalMaxPooling2D()(x)))
    model.trainable = False
    view = check(model)
    images = tf.constant(IMAGES)
    with tf.GradientTape() as tape:
        tape.watch(images)
        total = tf.reduce_sum(explained_pass(view, images).logits)
    assert np.any(tape.gradient(total, images) != 0.0)


def test_a_last_map_of_one_location_is_refused():
    """ResNet50V2 halves 32 px five times, MobileNetV2 by way of a padded 2x2 map."""
    networks = keras.applications.MobileNetV2, keras.applications.ResNet50V2
    for network in networks:
        model = network(weights=None, input_shape=(32, 32, 3), classes=3)
        with pytest.raises(
            ValueError, match=r"single location \(1x1\).*Take larger.*feature_layer"
        ):
            split(model)
    assert check(model, random_images(32), feature_layer="conv4_block5_out")


def test_a_convolution_as_large_as_the_map_pools_it():
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, name="features")(inputs)
    x = layers.Flatten()(layers.Conv2D(8, 14, activation="relu")(x))
    assert check(keras.Model(inputs, layers.Dense(3)(x))).feature_layer == "features"


def test_says_which_of_several_outputs_would_do():
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(2, 3)(inputs)
    scores = layers.Dense(2)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, [x, scores])
    with pytest.raises(ValueError, match=r"`keras.Model\(model.input, .*outputs\[1\]"):
        split(model)
    check(keras.Model(model.input, model.outputs[1]))


def test_lists_layers_that_users_know():
    for wrong in ("backbone", "input"):
        with pytest.raises(ValueError) as error:
            split(with_head(backbone()), wrong)
        assert "keras_tensor" not in str(error.value)
        assert "'conv', 'features'" in str(error.value)
