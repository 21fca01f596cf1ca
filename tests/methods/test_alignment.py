"""Where the attack of a training step lies, when maps are moved against images."""

import typing

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_xcons as kx
from keras_xcons.data import with_sample_ids
from keras_xcons.methods import PlainModel, XConsModel
from keras_xcons.models.offset import Offset, remember_offset
from keras_xcons.models.view_cache import cache_of
from tests.methods.contract import WEIGHTS_ALONE
from tests.protopnet.protopnets import LOSS
from tests.protopnet.protopnets import classifier as protopnet

SIDE, CELL, COUNT = 32, 4, 8
SHIFT = (8.0, -4.0)  # two cells down, one to the left
LABELS = np.arange(COUNT, dtype="int32") % 3


class Watching(layers.Layer):
    """Passes images on, and keeps by how much any of them differed from the first.

    What is attacked inside of a step that XLA compiles can be seen only from within.
    Its variables are none of Keras', which an attacked pass would leave as they are.
    """

    def __init__(self, images):
        super().__init__(dtype="float32")
        self.first = images
        self.change = tf.Variable(np.zeros_like(images))

    def call(self, inputs):
        if inputs.shape == self.first.shape:  # not where the model is taken apart
            change = tf.abs(inputs - self.first)
            self.change.assign(tf.maximum(self.change, change))
        return inputs


@pytest.fixture(scope="module")
def images():
    """A bright square each, well inside, on noise that an attack cannot clip."""
    random = np.random.default_rng(0)
    made = random.integers(20, 80, (COUNT, SIDE, SIDE, 3)).astype("float32")
    for image, (row, column) in zip(
        made, random.integers(8, 18, (COUNT, 2)), strict=True
    ):
        image[row : row + 6, column : column + 6] += 140.0
    return made


@pytest.fixture(scope="module")
def classifier(images):
    """Cells of 4 px; no pixel without a gradient, as no unit is ever dead."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input((SIDE, SIDE, 3))
    watching = Watching(images)
    x = layers.Rescaling(1 / 127.5, offset=-1)(watching(inputs))
    x = layers.Conv2D(12, 6, CELL, "same", activation="leaky_relu", name="features")(x)
    x = layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, x)
    # Cells of 4 px that look at 6, one more on either side: they lie where they are.
    assert kx.split(model, align="geometric").frame.offset((SIDE, SIDE)) == (0, 0)
    return model


class Step(typing.NamedTuple):
    """What a step has done: the pixels attacked, E, and the weights after it."""

    pixels: np.ndarray
    consistency: float
    weights: list


@pytest.fixture
def stepped(classifier, images):
    """`stepped(align, …)`: the `Step` of a `fit` on one batch."""
    (watching,) = (one for one in classifier.layers if isinstance(one, Watching))
    start = classifier.get_weights()

    def measure(align=True, jit=False, rate=0.0, **options):
        watching.change.assign(np.zeros_like(images))
        options = {**WEIGHTS_ALONE, "num_samples": COUNT, **options}
        trainer = XConsModel(classifier, align=align, **options)
        optimizer = keras.optimizers.SGD(rate)
        trainer.compile(optimizer, LOSS, run_eagerly=not jit, jit_compile=jit)
        data = tf.data.Dataset.from_tensor_slices((images, LABELS))
        data = with_sample_ids(data).batch(COUNT, drop_remainder=True)
        logs = trainer.fit(data, verbose=0).history
        change = watching.change.numpy()
        assert change.max() == pytest.approx(4.0)
        weights = classifier.get_weights()
        classifier.set_weights(start)
        return Step(change.max(-1) > 0.0, logs["consistency"][0], weights)

    yield measure
    cache_of(classifier).offsets.clear()


@pytest.fixture(scope="module")
def expected(classifier, images):
    """`expected(align)`: the pixels at which the map is below half its maximum."""
    return lambda align: kx.explain(classifier, images, LABELS, align=align) < 0.5


def test_the_masks_of_this_test_tell_something(expected):
    still, moved = expected(False), expected(SHIFT)
    assert 0.2 < still.mean() < 0.95 and (still != moved).mean() > 0.1
    # By whole cells a map is moved as it is, its edge held.
    rows, columns = (
        np.clip(np.arange(SIDE) - int(shift), 0, SIDE - 1) for shift in SHIFT
    )
    np.testing.assert_array_equal(moved, still[:, rows][:, :, columns])


def test_the_background_is_where_the_moved_map_leaves_it(stepped, expected):
    options = {"rate": 0.1, "consistency_loss": 1.0}
    eager, xla = (stepped(SHIFT, jit, **options) for jit in (False, True))
    for step in (eager, xla):
        np.testing.assert_array_equal(step.pixels, expected(SHIFT))
    assert xla.consistency == pytest.approx(eager.consistency, abs=1e-5)
    still = stepped(False, **options)
    assert still.consistency != pytest.approx(eager.consistency, abs=5e-5)
    np.testing.assert_array_equal(still.pixels, expected(False))
    # What is learned follows from it, the same with XLA and without but for rounding.
    for one, two, other in zip(eager.weights, xla.weights, still.weights, strict=True):
        apart = np.abs(one - other).max()
        assert apart > 1e-5 and np.abs(one - two).max() < apart / 5


@pytest.mark.parametrize(
    "options",
    [
        {"schedule": "memory"},
        {"schedule": "epoch"},
        {"attack": "pgd", "step_size": 4.0},
    ],
    ids=str,
)
def test_in_every_schedule_and_attack(options, stepped, expected):
    step = stepped(SHIFT, **options)
    np.testing.assert_array_equal(step.pixels, expected(SHIFT))


def test_a_measured_offset_is_followed(stepped, classifier, expected):
    remember_offset(classifier, "features", Offset(2.0, -1.0))  # of a cell
    np.testing.assert_array_equal(stepped().pixels, expected(SHIFT))
    np.testing.assert_array_equal(stepped(False).pixels, expected(False))


def test_a_protopnet_is_attacked_where_its_trainer_says():
    trainer = XConsModel(protopnet(), align=SHIFT)
    for view in (trainer.view, trainer.training_view):
        assert view.frame.offset((SIDE, SIDE)) == SHIFT


@pytest.mark.parametrize("kind", [XConsModel, XConsModel, PlainModel])
def test_a_saved_trainer_keeps_its_alignment(kind, tmp_path):
    model = protopnet()
    # Given, or that of the view which it is made of.
    for trainer in (kind(model, align=SHIFT), kind(kx.split(model, align=SHIFT))):
        trainer.save(tmp_path / "trainer.keras")
        loaded = keras.saving.load_model(tmp_path / "trainer.keras")
        assert loaded.view.frame.offset((SIDE, SIDE)) == SHIFT
