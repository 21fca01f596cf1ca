"""Random layers inside a classifier: one draw a step, and the mask lies on it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_xcons.callbacks import ExplanationMonitor
from keras_xcons.methods import XConsModel
from keras_xcons.methods.registry import method_of
from keras_xcons.methods.xcons import model as xcons

SIZE, CELL = 32, slice(4, 12)
RANDOM = {
    "none": [],
    "flip": [layers.RandomFlip],
    "translation": [layers.RandomTranslation],
    "nested": [layers.RandomFlip, layers.RandomRotation, layers.RandomZoom],
    "crop": [layers.RandomCrop],
    "static": [layers.CenterCrop],
    "pipeline": [layers.Pipeline],
    "shear": [layers.RandomBrightness, layers.RandomShear],
}
ARGUMENTS = {
    layers.RandomFlip: {"seed": 1},
    layers.RandomTranslation: {"height_factor": 0.3, "width_factor": 0.3, "seed": 1},
    layers.RandomRotation: {"factor": 0.1, "seed": 2},
    layers.RandomZoom: {"height_factor": 0.2, "seed": 3},
    layers.RandomCrop: {"height": 26, "width": 26, "seed": 1},
    layers.CenterCrop: {"height": 26, "width": 26},
    layers.RandomShear: {"x_factor": 0.2, "seed": 4},
    layers.RandomBrightness: {"factor": 0.1, "seed": 5},
}


class Shift(layers.Layer):
    """A random layer of the user's."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seeds = keras.random.SeedGenerator(1)

    def call(self, images, training=None):
        if not training:
            return images
        by = keras.random.randint((), 0, 12, seed=self.seeds)
        return keras.ops.roll(images, by, axis=1)


class Wrapping(layers.Layer):
    """Random layers of Keras in a layer of the user's."""

    def __init__(self, front=(), **kwargs):
        super().__init__(**kwargs)
        self.front = list(front)
        self.moves = layers.RandomFlip(seed=1)

    def call(self, images, training=None):
        for layer in self.front:
            images = layer(images)
        return self.moves(images, training=training)


class Subclassed(keras.Model):
    """Random layers of Keras in a model that does not tell how they are connected."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        shift = layers.RandomTranslation(0.3, 0.3, seed=1)
        self.moves = keras.Sequential([layers.RandomFlip(seed=1), shift])

    def call(self, images, training=None):
        return self.moves(images, training=training)


class Flipping(layers.Layer):
    """Draws by TensorFlow, without any seed generator."""

    def call(self, images, training=None):
        return tf.image.random_flip_left_right(images) if training else images


class Dimming(layers.Layer):
    """Draws, but leaves pixels where they are."""

    def call(self, images, training=None):
        return images * tf.random.uniform((), 0.8, 1.0) if training else images


OWN = {
    "own": Shift,
    "own_wrapper": Wrapping,
    "own_model": Subclassed,
    "own_tensorflow": Flipping,
    "own_dimming": Dimming,
}


def augmentation(name):
    if name in OWN:
        return [OWN[name]()]
    if name == "pipeline":
        return [layers.Pipeline([layers.RandomFlip(seed=1), layers.CenterCrop(26, 26)])]
    made = [kind(**ARGUMENTS[kind]) for kind in RANDOM[name]]
    return [keras.Sequential(made, name="augmentation")] if name == "nested" else made


def classifier(front=(), kernel=0.01):
    """What is bright speaks for class 0."""
    positive = keras.initializers.Constant(1 / 27)
    model = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            *front,
            layers.Conv2D(4, 3, padding="same", kernel_initializer=positive),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )
    weights = np.full((4, 1), kernel, "float32")
    model.layers[-1].kernel.assign(np.concatenate([weights, -weights], axis=1))
    return model


def squares():
    """Four equal images of a bright object in one corner."""
    images = np.full((4, SIZE, SIZE, 3), 40.0, "float32")
    images[:, CELL, CELL] = 230.0
    return images, np.zeros(4, "int32")


def compiled(trainer, **options):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trainer.compile(keras.optimizers.SGD(0.01), loss, **options)
    return trainer


@pytest.fixture
def attacked_shares(monkeypatch):
    """`attacked_shares(trainer)`: of each image, how much of the object is attacked."""
    steps, attack = [], xcons.attack

    def spy(images, *args, **kwargs):
        attacked = attack(images, *args, **kwargs)
        bright = np.array(images)[..., 0] > 150.0
        changed = (np.array(attacked.images) != np.array(images)).any(axis=-1)
        steps.append((changed, bright))
        return attacked

    monkeypatch.setattr(xcons, "attack", spy)

    def run(trainer):
        images, labels = squares()
        compiled(trainer, run_eagerly=True).fit(
            images, labels, batch_size=4, epochs=3, verbose=0
        )
        assert len(steps) == 3
        objects = np.concatenate(
            [(c & b).sum((1, 2)) / b.sum((1, 2)) for c, b in steps]
        )
        behind = np.concatenate(
            [(c & ~b).sum((1, 2)) / (~b).sum((1, 2)) for c, b in steps]
        )
        return objects, behind

    return run


@pytest.mark.parametrize("attack", ["fgsm", "pgd"])
@pytest.mark.parametrize("name", [*RANDOM, *OWN])
def test_the_attack_spares_the_object(name, attack, attacked_shares):
    trainer = XConsModel(classifier(augmentation(name)), attack=attack)
    objects, background = attacked_shares(trainer)
    assert objects.max() < 0.2
    assert background.min() > 0.6


def test_random_layers_behind_a_rescaling(attacked_shares):
    front = [layers.Rescaling(1 / 51, offset=0.5), *augmentation("flip")]
    objects, background = attacked_shares(XConsModel(classifier(front, kernel=0.5)))
    assert objects.max() < 0.2
    assert background.min() > 0.6


@pytest.mark.parametrize("schedule", ["memory", "epoch"])
def test_other_schedules_and_sweeps(schedule):
    images, labels = squares()
    x = {"image": images, "sample_id": np.arange(4)}
    trainer = XConsModel(
        classifier(augmentation("nested")), schedule=schedule, num_samples=4
    )
    history = (
        compiled(trainer).fit(x, labels, batch_size=2, epochs=2, verbose=0).history
    )
    assert np.isfinite(history["loss"]).all()
    # In a sweep nothing is drawn: equal images have equal values.
    if schedule == "epoch":
        values, _ = trainer.table.lookup(np.arange(4))
        assert np.ptp(values) < 1e-5


@pytest.mark.parametrize(
    "front", [[], [layers.Rescaling(1 / 255)]], ids=["", "rescaled"]
)
def test_uniform_weights_are_plain_keras(front):
    """The random layers draw what they draw in a plain run."""
    images = np.random.default_rng(0).uniform(0, 255, (16, SIZE, SIZE, 3))
    labels = np.arange(16) % 2

    def made():
        keras.utils.set_random_seed(0)
        return classifier([*front, *augmentation("nested")], kernel=0.5)

    plain = compiled(made())
    trainer = compiled(XConsModel(made(), **method_of("xcons").neutral))
    logs = [
        model.fit(images, labels, 8, epochs=2, shuffle=False, verbose=0).history["loss"]
        for model in (plain, trainer)
    ]
    np.testing.assert_allclose(*logs, rtol=1e-5)
    for one, two in zip(
        plain.get_weights(), trainer.classifier.get_weights(), strict=True
    ):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "control",
    [
        *({"region": "whole_image"}, {"clean_loss": False, "attacked_loss": 1.0}),
        *({"sample_weights": "shuffled"}, {"sample_weights": "loss"}),
    ],
    ids=str,
)
def test_controls_and_the_loss_term_under_xla(control):
    trainer = XConsModel(
        classifier([layers.CenterCrop(28, 28), *augmentation("flip")]),
        **control,
        consistency_loss=0.5,
    )
    images, labels = squares()
    history = compiled(trainer, jit_compile=True).fit(
        images, labels, batch_size=4, epochs=2, verbose=0
    )
    assert np.isfinite(history.history["loss"]).all()


def test_the_classifier_is_saved_with_its_random_layers(tmp_path):
    trainer = compiled(XConsModel(classifier(augmentation("nested"))))
    images, labels = squares()
    trainer.fit(images, labels, verbose=0)
    trainer.save(tmp_path / "trainer.keras")
    loaded = keras.saving.load_model(tmp_path / "trainer.keras")
    np.testing.assert_array_equal(loaded.predict(images), trainer.predict(images))
    loaded.fit(images, labels, verbose=0)


@pytest.mark.parametrize(
    "layer", [lambda: layers.RandomBrightness(0.1), Dimming], ids=["keras", "own"]
)
def test_without_such_layers_a_step_is_what_it_was(layer):
    trainer = XConsModel(classifier([layer()]))
    assert trainer.training_view is trainer.view


@pytest.mark.parametrize(
    ("front", "message"),
    [
        ([layers.Conv2D(3, 1), layers.RandomFlip()], "behind Conv2D 'conv"),
        ([layers.Lambda(lambda x: x / 9), layers.RandomZoom(0.2)], "behind Lambda"),
        ([layers.Normalization(), layers.RandomShear(0.1)], "behind Normalization"),
        ([Wrapping([layers.Conv2D(3, 1)])], "and has weights, too"),
        ([layers.Conv2D(3, 1), Wrapping()], "behind Conv2D 'conv"),
        ([Wrapping([layers.Rescaling(1 / 255)])], "and changes values"),
        ([layers.MixUp()], "mixes images"),
        ([layers.CutMix()], "mixes images"),
    ],
    ids=[
        *("conv", "lambda", "normalization", "weights", "own_behind", "values"),
        *("mixup", "cutmix"),
    ],
)
def test_what_cannot_be_split_is_refused_at_once(front, message):
    with pytest.raises(ValueError, match=f"{message}.*Put it.*Received: a classifier"):
        XConsModel(classifier(front))


def test_random_layers_on_one_of_two_ways_are_refused():
    images = keras.Input((SIZE, SIZE, 3))
    x = layers.Concatenate()([images, layers.RandomFlip()(images)])
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(2, 3)(x))
    with pytest.raises(ValueError, match="one of several ways"):
        XConsModel(keras.Model(images, layers.Dense(2)(x)))


def test_a_monitor_measures_without_any_draw():
    """Where the object is, in the frame of the images."""
    images, labels = squares()
    boxes = np.tile(np.float32([[[4, 4, 12, 12]]]) / SIZE, (4, 1, 1))
    monitor = ExplanationMonitor((images, labels, boxes))
    front = [*augmentation("flip"), layers.CenterCrop(28, 28)]
    trainer = compiled(XConsModel(classifier(front)))
    logs = trainer.fit(images, labels, epochs=2, verbose=0, callbacks=[monitor]).history
    assert min(logs["energy_pointing_game"]) > 0.3
    assert logs["pointing_game"] == [1.0, 1.0]
