"""Vision transformers, and what else mixes the places of an image."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from keras_xcons import XConsModel, evaluate
from keras_xcons.explainers import explain
from keras_xcons.models import split

HEIGHT, WIDTH, PATCH, SIZE = 12, 20, 4, 8
GRID = (3, 5)
IMAGES = np.random.default_rng(0).uniform(0, 255, (4, HEIGHT, WIDTH, 3))
IMAGES = IMAGES.astype("float32")
LABELS = [0, 1, 2, 0]


class Prefix(layers.Layer):
    """Puts learned tokens in front, and adds positions."""

    def __init__(self, count=1, **kwargs):
        super().__init__(**kwargs)
        self.count = count

    def build(self, shape):
        self.tokens = self.add_weight(shape=(1, self.count, shape[-1]), name="tokens")
        self.places = self.add_weight(
            shape=(1, self.count + shape[1], shape[-1]), name="places"
        )

    def call(self, inputs):
        first = ops.repeat(self.tokens, ops.shape(inputs)[0], axis=0)
        return ops.concatenate([first, inputs], axis=1) + self.places


def block(x, name):
    y = layers.LayerNormalization(name=f"{name}_norm")(x)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 4, name=f"{name}_mha")(y, y)])
    y = layers.LayerNormalization()(x)
    y = layers.Dense(SIZE, activation="gelu")(y)
    return layers.Add(name=f"{name}_out")([x, layers.Dense(SIZE)(y)])


def vit(extra=1, reads="class", shape=(HEIGHT, WIDTH, 3), custom=False):
    """A small vision transformer of plain Keras layers."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input(shape)
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(SIZE, PATCH, strides=PATCH, name="patches")(x)
    if custom:
        x = Tokens(name="tokens")(x)
    else:
        x = layers.Reshape((-1, SIZE), name="tokens")(x)
    if extra:
        x = Prefix(extra, name="prefix")(x)
    for name in ("first", "second"):
        x = block(x, name)
    x = layers.LayerNormalization(name="last_norm")(x)
    if reads == "class":
        x = x[:, 0]
    else:
        x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(3, name="scores")(x), name="vit")


class Tokens(layers.Layer):
    def call(self, inputs):
        return ops.reshape(inputs, (-1, inputs.shape[1] * inputs.shape[2], SIZE))


def reference(model, layer, extra, grid):
    """Grad-CAM++ on tokens, by hand: gradients with respect to what is added there."""
    tokens = keras.Model(model.input, model.get_layer(layer).output)(IMAGES)
    layer = model.get_layer(layer)
    call, added = layer.call, tf.zeros(tokens.shape)
    with tf.GradientTape() as tape:
        tape.watch(added)
        layer.call = lambda *args, **kwargs: call(*args, **kwargs) + added
        logits = model(IMAGES)
        score = tf.gather(logits, LABELS, batch_dims=1)
    layer.call = call
    g = tape.gradient(score, added) / tf.reduce_max(tf.abs(logits), 1)[:, None, None]
    shape = (4, *grid, SIZE)
    a, g = (
        np.asarray(each, "float64")[:, extra:].reshape(shape) for each in (tokens, g)
    )
    bottom = 2 * g**2 + a.sum((1, 2), keepdims=True) * g**3
    alpha = g**2 / np.where(bottom == 0, 1, bottom)
    weights = (alpha * np.maximum(g, 0)).sum((1, 2), keepdims=True)
    maps = np.maximum((weights * a).sum(-1), 0)
    peak = maps.max((1, 2), keepdims=True)
    assert np.any(peak > 0)
    return maps / np.where(peak > 0, peak, 1)


@pytest.mark.parametrize(
    ("extra", "reads", "layer", "given"),
    [
        (1, "class", "first_out", None),
        (1, "class", "second_norm", None),
        (1, "class", "first_norm", GRID),
        (5, "class", "second_norm", GRID),
        (0, "mean", "second_norm", None),
        (0, "mean", "last_norm", None),
        (0, "mean", "tokens", None),
    ],
)
def test_maps_of_tokens_are_those_worked_out_by_hand(extra, reads, layer, given):
    model = vit(extra, reads)
    view = split(model, layer, token_grid=given)
    assert not view.closed_form
    activations, _, outputs = view(IMAGES)
    assert activations.shape == (4, *GRID, SIZE)
    np.testing.assert_array_equal(outputs, model(IMAGES))
    maps = explain(model, IMAGES, LABELS, feature_layer=layer, token_grid=given)
    assert maps.shape == IMAGES.shape[:3]
    small = explain(view, IMAGES, LABELS, resize=False)
    expected = reference(model, layer, extra, GRID)
    np.testing.assert_allclose(small, expected, atol=2e-5)


@pytest.mark.parametrize("explainer", ["gradcam", "layercam", "scorecam"])
def test_other_explainers_take_tokens(explainer):
    view = split(vit(), "second_norm")
    maps = explain(view, IMAGES, LABELS, explainer=explainer, resize=False)
    assert maps.shape == (4, *GRID)
    assert np.any(maps.max(axis=(1, 2)) > 0.5)


def test_the_patches_of_a_transformer_are_refused_with_a_way_out():
    with pytest.raises(
        ValueError,
        match=r"second_mha' \(MultiHeadAttention\).*mix the locations.*`feature_layer`"
        r".*token_grid=\(3, 5\).*explain 'patches' nevertheless.*'scores'",
    ):
        split(vit())
    assert split(vit(), "patches").feature_layer == "patches"


def conv_head(*head):
    inputs = keras.Input((HEIGHT, WIDTH, 3))
    x = layers.Conv2D(SIZE, 3, padding="same", name="conv")(inputs)
    x = layers.AveragePooling2D(4)(x)
    for layer in head:
        x = layer(x)
    return keras.Model(inputs, layers.Dense(3)(x))


def mixer():
    return [layers.Permute((2, 1)), layers.Dense(15), layers.Permute((2, 1))]


ROWS = layers.Reshape((15, SIZE))
POOL = layers.GlobalAveragePooling1D
MIXING = {
    "Conv1D": lambda: [ROWS, layers.Conv1D(4, 3), POOL()],
    "LSTM": lambda: [ROWS, layers.LSTM(4)],
    "Bidirectional": lambda: [ROWS, layers.Bidirectional(layers.GRU(4))],
    "Dense": lambda: [ROWS, *mixer(), POOL()],
    "Tokens": lambda: [ROWS, Twice(), POOL()],
    "Matmul": lambda: [
        ROWS,
        lambda x: ops.matmul(x, ops.transpose(x, (0, 2, 1)))[:, 0],
    ],
    "Einsum": lambda: [ROWS, lambda x: ops.einsum("bnk,bmk->bm", x, x)],
}
KEEPING = {
    "flatten": lambda: [
        layers.Flatten(),
        layers.Dense(9),
        layers.Reshape((3, 3)),
        POOL(),
    ],
    "pointwise": lambda: [
        *(ROWS, layers.Dense(4), layers.LayerNormalization(), layers.ReLU()),
        *(layers.Dropout(0.1), lambda x: ops.gelu(x) * 2.0 + 1.0, POOL()),
    ],
    "own pooling": lambda: [ROWS, OwnPooling()],
    "means": lambda: [lambda x: ops.mean(ops.max(x, axis=1), axis=1)],
    "permuted": lambda: [ROWS, layers.Permute((2, 1)), layers.Flatten()],
}


class Twice(layers.Layer):
    """Nobody can tell whether it mixes places."""

    def call(self, inputs):
        return inputs + ops.flip(inputs, axis=1)


class OwnPooling(layers.Layer):
    def call(self, inputs):
        return ops.mean(inputs**2, axis=1)


@pytest.mark.parametrize("kind", MIXING)
def test_what_mixes_places_is_refused_by_name(kind):
    model = conv_head(*MIXING[kind]())
    name = "Twice" if kind == "Tokens" else kind
    with pytest.raises(ValueError, match=rf"\({name}\).* mix the locations.*'conv'"):
        split(model)
    assert split(model, "conv").feature_layer == "conv"


@pytest.mark.parametrize("kind", KEEPING)
def test_what_keeps_places_apart_is_explained(kind):
    assert split(conv_head(*KEEPING[kind]())).feature_layer == "conv"


def test_a_map_made_of_tokens_again_is_found():
    inputs = keras.Input((HEIGHT, WIDTH, 3))
    x = layers.Conv2D(SIZE, PATCH, strides=PATCH)(inputs)
    x = block(layers.Reshape((-1, SIZE))(x), "first")
    x = layers.Reshape((*GRID, SIZE), name="map")(x)
    x = layers.GlobalAveragePooling2D()(x)
    view = split(keras.Model(inputs, layers.Dense(3)(x)))
    assert view.feature_layer == "map"
    assert view.closed_form


def test_grids_of_tokens_that_a_layer_of_the_users_made():
    square = vit(shape=(12, 12, 3), custom=True)
    assert split(square, "second_norm")(IMAGES[:, :, :12])[0].shape == (4, 3, 3, SIZE)
    model = vit(custom=True)
    with pytest.raises(ValueError, match=r"16 tokens of.* Pass `token_grid=\(height"):
        split(model, "second_norm")
    view = split(model, "second_norm", token_grid=GRID)
    assert view(IMAGES)[0].shape == (4, *GRID, SIZE)


@pytest.mark.parametrize(
    ("layer", "grid", "message"),
    [
        ("second_norm", (5, 3), r"come from a grid of \(3, 5\)"),
        ("second_norm", 4, r"come from a grid of \(3, 5\)"),
        ("second_norm", (0, 5), "positive int or a pair"),
        ("patches", GRID, r"`token_grid` is for .*\(batch, tokens, channels\)"),
        ("scores", None, r"4-D output .* or tokens.*\(None, 3\)"),
    ],
)
def test_refuses_grids_that_do_not_fit(layer, grid, message):
    with pytest.raises(ValueError, match=message):
        split(vit(), layer, token_grid=grid)


def test_refuses_tokens_whose_places_are_lost():
    inputs = keras.Input((12, 12, 3))
    x = layers.Conv2D(SIZE, PATCH, strides=PATCH)(inputs)
    x = layers.Reshape((-1, SIZE))(x)
    x = layers.Concatenate(axis=1, name="behind")([x, x[:, :1]])
    x = layers.LayerNormalization(name="norm")(x)
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))
    with pytest.raises(ValueError, match="after 'behind' .* those of the image come"):
        split(model, "norm")


def test_refuses_too_few_or_too_many_tokens():
    model = vit(custom=True)
    for grid in ((4, 5), (1, 1)):
        with pytest.raises(ValueError, match=r"A grid of .* tokens.*token_grid"):
            split(
                vit(custom=True, extra=20) if grid == (1, 1) else model,
                "second_norm",
                token_grid=grid,
            )


def test_training_and_evaluation_take_a_view_of_tokens():
    model = vit()
    view = split(model, "second_norm")
    labels = np.array(LABELS)
    dataset = tf.data.Dataset.from_tensor_slices((IMAGES, labels)).batch(2)
    report = evaluate(view, dataset, ["accuracy", "consistency"], gallery=0, verbose=0)
    assert "consistency" in str(report.to_dict()["figures"])
    trainer = XConsModel(view)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trainer.compile("adam", loss)
    history = trainer.fit(dataset, epochs=1, verbose=0)
    assert 0.0 <= history.history["consistency"][0] <= 1.0
    maps = explain(trainer, IMAGES, LABELS, resize=False)
    assert maps.shape == (4, *GRID)
