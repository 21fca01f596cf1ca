"""Saved and loaded, stopped in mid-run and continued."""

import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

from keras_xcons.callbacks import EpochReweighting
from keras_xcons.methods import XConsModel
from tests.methods.contract import WEIGHTS_ALONE

EPOCHS = 4


class Stop(Exception):
    """The machine goes away."""


class StopAfter(keras.callbacks.Callback):
    def __init__(self, epoch=None, step=None):
        super().__init__()
        self.epoch, self.step, self.steps = epoch, step, 0

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch:
            raise Stop

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        if self.steps == self.step:
            raise Stop


def xcons(classifier, schedule="memory", **options):
    """An eager trainer with an optimizer that has a state."""
    options = {**WEIGHTS_ALONE, "num_samples": 36, "epsilon": 64.0, **options}
    trainer = XConsModel(classifier, schedule=schedule, **options)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trainer.compile(
        keras.optimizers.SGD(0.05, momentum=0.9),
        loss,
        metrics=["accuracy"],
        run_eagerly=True,
    )
    return trainer


def fit(trainer, data, *callbacks, epochs=EPOCHS, **arguments):
    history = trainer.fit(
        data,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=list(callbacks),
        **arguments,
    )
    return history.history


def assert_equal_state(one, other):
    left = [*one.variables, *one.optimizer.variables]
    right = [*other.variables, *other.optimizer.variables]
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7, err_msg=a.path)
    assert int(one.epoch) == int(other.epoch)
    if one.table is not None:
        np.testing.assert_allclose(one.table.values, other.table.values, atol=1e-6)


@pytest.fixture(scope="module")
def unstopped(build, dataset):
    """`unstopped(schedule)`: a run of all epochs, and its history."""
    runs = {}

    def get(schedule):
        if schedule not in runs:
            # Two sweeps, the second of them after the stop.
            trainer = xcons(build(), schedule, sweep_every=2, warmup_epochs=1)
            runs[schedule] = trainer, fit(trainer, dataset())
        return runs[schedule]

    return get


@pytest.mark.parametrize("schedule", ["batch", "memory", "epoch"])
def test_stopped_after_an_epoch_and_continued(
    schedule, unstopped, build, dataset, tmp_path
):
    expected, expected_history = unstopped(schedule)
    options = {"schedule": schedule, "sweep_every": 2, "warmup_epochs": 1}
    trainer = xcons(build(), **options)
    with pytest.raises(Stop):
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        fit(trainer, dataset(), backup, StopAfter(epoch=1))

    other = build()
    other.set_weights([np.zeros_like(value) for value in other.get_weights()])
    continued = xcons(other, **options)
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    history = fit(continued, dataset(), backup)
    assert_equal_state(continued, expected)
    for name, values in history.items():
        assert len(values) == 2
        np.testing.assert_allclose(values, expected_history[name][-2:], rtol=1e-5)
    if schedule != "batch":
        assert np.ptp(continued.table.values) > 0.0


RANDOM = {
    "batch": {"attack": "pgd", "attack_steps": 2, "agreement": "soft"},
    "memory": {"sample_weights": "shuffled", "attack": "pgd", "attack_steps": 1},
    "epoch": {"sample_weights": "shuffled", "attack": "pgd", "attack_steps": 1},
}


def final_state(trainer):
    """All that an unstopped run ends with, the optimizer's and dropout's included."""
    return [np.array(v) for v in (*trainer.variables, *trainer.optimizer.variables)]


@pytest.mark.parametrize("way", ["backup", "keras", "weights"])
@pytest.mark.parametrize("schedule", RANDOM)
def test_random_draws_go_on(schedule, way, build, dataset, tmp_path):
    """PGD's start, the shuffling and dropout, to the bit."""
    options, path = RANDOM[schedule], tmp_path / f"saved.{way}"
    unstopped = xcons(build(dropout=0.3), schedule, **options)
    fit(unstopped, dataset(), epochs=2)

    trainer = xcons(build(dropout=0.3), schedule, **options)
    if way == "backup":
        backup = keras.callbacks.BackupAndRestore(path)
        with pytest.raises(Stop):
            fit(trainer, dataset(), backup, StopAfter(epoch=0), epochs=2)
    else:
        fit(trainer, dataset(), epochs=1)
    keras.random.uniform((1,))  # Of the process's own generator nothing depends.
    if way == "keras":
        trainer.save(path)
        continued = keras.saving.load_model(path)
        continued.run_eagerly = True
    else:
        continued = xcons(build(dropout=0.3), schedule, **options)
    if way == "weights":
        path = tmp_path / "saved.weights.h5"
        trainer.save_weights(path)
        continued.optimizer.build(continued.trainable_variables)
        continued.load_weights(path)
    backup = [keras.callbacks.BackupAndRestore(path)] if way == "backup" else []
    start = 0 if way == "backup" else 1
    fit(continued, dataset(), *backup, epochs=2, initial_epoch=start)
    for one, other in zip(final_state(continued), final_state(unstopped), strict=True):
        np.testing.assert_array_equal(one, other)


def test_weights_without_the_states_of_generators_load(build, tmp_path):
    """Such as files of earlier versions."""
    trainer = xcons(build(), "batch")
    trainer.save_weights(tmp_path / "saved.weights.h5")
    other = xcons(build(dropout=0.3), "batch")
    before = [np.array(v) for v in other.non_trainable_variables]
    other.load_weights(tmp_path / "saved.weights.h5")
    for value, variable in zip(before, other.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_epoch_sweeps_given_by_the_caller_are_backed_up(build, dataset, tmp_path):
    sweep = EpochReweighting(dataset(), every=2)
    backup = keras.callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)
    trainer = xcons(build(), "epoch")
    # Given first, it sweeps before the backup is made.
    fit(trainer, dataset(), sweep, backup, epochs=2)
    restored = xcons(build(), "epoch")
    restored.optimizer.build(restored.trainable_variables)
    restored.load_weights(tmp_path / "latest.weights.h5")
    np.testing.assert_array_equal(restored.table.values, trainer.table.values)
    assert np.all(np.array(restored.table.values) >= 0.0)


@pytest.mark.parametrize("schedule", ["memory", "epoch"])
def test_stopped_in_the_middle_of_an_epoch(schedule, build, dataset, tmp_path):
    """Keras then begins that epoch anew, from the weights of the last backup."""
    trainer = xcons(build(), schedule)
    with pytest.raises(Stop):
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup", save_freq=4)
        fit(trainer, dataset(), backup, StopAfter(step=4))
    # No step was made since the backup: the stopped run itself can go on.
    fit(trainer, dataset(), initial_epoch=1)

    continued = xcons(build(), schedule)
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup", save_freq=4)
    history = fit(continued, dataset(), backup)
    assert len(history["loss"]) == EPOCHS - 1
    assert_equal_state(continued, trainer)


@pytest.mark.parametrize("schedule", ["memory", "epoch"])
def test_saved_and_loaded_with_table_and_optimizer(
    schedule, unstopped, build, dataset, tmp_path
):
    expected, _ = unstopped(schedule)
    trainer = xcons(build(), schedule, sweep_every=2, warmup_epochs=1)
    fit(trainer, dataset(), epochs=2)
    trainer.save(tmp_path / "trainer.keras")
    loaded = keras.saving.load_model(tmp_path / "trainer.keras")
    assert isinstance(loaded, XConsModel)
    assert loaded.options == trainer.options
    assert loaded.compiled and loaded.optimizer.built
    assert_equal_state(loaded, trainer)
    assert loaded.evaluate(dataset(), verbose=0) == pytest.approx(
        trainer.evaluate(dataset(), verbose=0), rel=1e-5
    )
    loaded.run_eagerly = True
    fit(loaded, dataset(), initial_epoch=2)
    assert_equal_state(loaded, expected)


@pytest.mark.parametrize("kind", ["nested", "softmax", "mixed_float16"])
def test_saved_and_loaded_kinds(kind, build, dataset, arrays, tmp_path):
    classifier = build(
        nested=kind == "nested",
        activation="softmax" if kind == "softmax" else None,
        dtype="mixed_float16" if kind == "mixed_float16" else "float32",
    )
    trainer = XConsModel(
        classifier, schedule="batch", feature_layer="features", name="mine"
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=kind != "softmax")
    trainer.compile("adam", loss, run_eagerly=True)
    fit(trainer, dataset(), epochs=1)
    trainer.save(tmp_path / "trainer.keras")
    loaded = keras.saving.load_model(tmp_path / "trainer.keras")
    assert loaded.name == "mine"
    assert loaded.dtype_policy == trainer.dtype_policy
    assert loaded.view.feature_layer == "features"
    assert type(loaded.optimizer) is type(trainer.optimizer)
    np.testing.assert_array_equal(loaded(arrays[0]), trainer(arrays[0]))


@keras.saving.register_keras_serializable("keras_xcons_tests")
class Backbone(layers.Layer):
    def build(self, input_shape):
        self.conv = layers.Conv2D(4, 3, activation="relu", name="conv")
        self.conv.build(input_shape)

    def call(self, images):
        return self.conv(images / 255.0)

    def compute_output_shape(self, shape):
        return self.conv.compute_output_shape(shape)


def test_a_pair_of_parts_is_saved_as_the_joined_classifier(arrays, tmp_path):
    head = keras.Sequential([layers.GlobalAveragePooling2D(), layers.Dense(5)])
    trainer = XConsModel((Backbone(), head), schedule="memory", num_samples=36)
    trainer.save(tmp_path / "trainer.keras")
    loaded = keras.saving.load_model(tmp_path / "trainer.keras")
    assert loaded.view.feature_layer == trainer.view.feature_layer
    expected = np.array(trainer(arrays[0]))
    np.testing.assert_array_equal(loaded(arrays[0]), expected)
    trainer.classifier.save(tmp_path / "classifier.keras")
    plain = keras.saving.load_model(tmp_path / "classifier.keras")
    np.testing.assert_array_equal(plain(arrays[0]), expected)


def test_config_round_trip(build):
    options = {
        "schedule": "memory",
        "num_samples": 7,
        "sample_weights": "shuffled",
        "multi_label": True,
        "threshold": 0.3,
        "attack": "pgd",
        "epsilon": 2.0,
        "step_size": 0.5,
        "attack_steps": 3,
        "measure": "ssim",
        "agreement": "soft",
        "weight_scale": "one_plus",
        "weight_floor": 0.2,
        "warmup_epochs": 2,
        "consistency_loss": 0.25,
        "sweep_every": 3,
        "seed": 4,
    }
    trainer = XConsModel(build(), **options, name="mine")
    config = trainer.get_config()
    assert options.items() <= config.items()
    copy = XConsModel.from_config(config)
    assert copy.options == trainer.options
    assert copy.name == "mine"
    assert copy.classifier is not trainer.classifier
    assert copy.get_config()["classifier"]["class_name"] == "Functional"


LOAD_ALONE = """
import sys
import numpy as np, keras
model = keras.saving.load_model(sys.argv[1] + "/classifier.keras")
images = np.load(sys.argv[1] + "/images.npy")
expected = np.load(sys.argv[1] + "/expected.npy")
np.testing.assert_allclose(np.array(model(images)), expected, rtol=1e-5, atol=1e-6)
model.compile("sgd", "mse")
assert not [name for name in sys.modules if name.split(".")[0] == "keras_xcons"]
print(type(model).__name__)
"""


@pytest.mark.slow
def test_the_classifier_alone_needs_nothing_of_this_package(
    build, dataset, arrays, tmp_path
):
    classifier = build(live=True, nested=True)
    kind, names = type(classifier), [layer.name for layer in classifier.layers]
    trainer = xcons(classifier)
    fit(trainer, dataset(), epochs=1)
    assert trainer.classifier is classifier
    assert type(classifier) is kind
    assert [layer.name for layer in classifier.layers] == names
    classifier.save(tmp_path / "classifier.keras")
    np.save(tmp_path / "images.npy", arrays[0])
    np.save(tmp_path / "expected.npy", np.array(classifier(arrays[0])))
    found = subprocess.run(
        [sys.executable, "-c", LOAD_ALONE, str(tmp_path)],
        cwd=pathlib.Path(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.split()[-1] == kind.__name__
