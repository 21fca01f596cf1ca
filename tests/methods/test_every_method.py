"""What holds for every training method: the contract, over the registry.

No method is named here. One that is added is tested without a line.
"""

import inspect
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

import keras_xcons as kx
from keras_xcons.methods import method_of
from keras_xcons.options import fields
from tests.methods.contract import (
    EVERY,
    METHODS,
    NEUTRAL,
    PLAIN_WITH,
    assert_learned,
    compiled,
    fit,
    logits_loss,
)
from tests.protopnet.protopnets import classifier as protopnet
from tests.same_weights import assert_same_weights

# What it states of itself.


@EVERY
def test_it_states_what_it_is(name):
    method = method_of(name)
    assert method.name == name and method.title and method.purpose.endswith(".")
    assert method.trainer.method is method
    assert method.never_plain is None or method.never_plain.endswith(".")
    assert getattr(kx, method.trainer.__name__) is method.trainer
    shown = inspect.signature(method.trainer).parameters
    for option, (_, declared) in fields(method.options).items():
        assert shown[option].default == getattr(method.options(), option)
        assert declared.help.endswith(".")
        assert f"        {option}: " in method.trainer.__doc__
    assert list(shown)[0] == "classifier" and list(shown)[-1] == "kwargs"


@pytest.mark.parametrize("name", sorted(set(kx.methods()) - set(METHODS)))
def test_a_method_that_follows_says_why(name, build):
    method = method_of(name)
    assert method.follows.endswith(".") and method.purpose.endswith(".")
    assert getattr(kx, method.trainer.__name__) is method.trainer
    assert method.trainer.method is method and method.trainer.Options is method.options
    with pytest.raises(ValueError, match=f"keras_xcons.{method.trainer.__name__}"):
        kx.trainer(name, build())


# With neutral options it is plain training.

DATA = {
    "partial last batch": lambda make: (make(count=32), {}),
    "class weights": lambda make: (
        make(),
        {"class_weight": {0: 0.2, 1: 3.0, 2: 1.0, 3: 0.0, 4: 2.0}},
    ),
    "sample weights": lambda make: (
        make(weights=np.linspace(0.0, 3.0, 36, dtype="float32")),
        {},
    ),
    "column of weights": lambda make: (
        make(weights=np.linspace(0.0, 3.0, 36, dtype="float32")[:, None]),
        {},
    ),
    "validation": lambda make: (make(), {"validation_data": make(count=20)}),
}


@pytest.mark.parametrize("data", DATA)
@NEUTRAL
def test_neutral_options_equal_keras(name, data, build, dataset):
    """With dropout, live batch normalisation and regularisers, which all would tell."""
    make = lambda **arguments: dataset(ids=False, **arguments)  # noqa: E731
    plain = compiled(build(live=True))
    trainer = kx.trainer(name, build(live=True), **method_of(name).neutral)
    found = []
    for model in (plain, compiled(trainer)):
        fed, arguments = DATA[data](make)
        found.append(fit(model, fed, **arguments))
    for log, values in found[0].items():
        np.testing.assert_allclose(found[1][log], values, rtol=1e-5, err_msg=log)
    assert np.ptp(found[0]["loss"]) > 0.0
    assert_same_weights(plain, trainer.classifier)


@NEUTRAL
def test_neutral_options_equal_keras_under_accumulation(name, build, dataset):
    def optimizer():
        return keras.optimizers.SGD(0.05, gradient_accumulation_steps=2)

    plain = compiled(build(live=True), optimizer=optimizer())
    trainer = kx.trainer(name, build(live=True), **method_of(name).neutral)
    compiled(trainer, optimizer=optimizer())
    for model in (plain, trainer):
        fit(model, dataset(ids=False))
    assert trainer.optimizer.gradient_accumulation_steps == 2
    assert_same_weights(plain, trainer.classifier)


# Ways to run a step.


@pytest.fixture(scope="module")
def graph_run(build, dataset):
    """`graph_run(name, neutral)`: a run to compare with; four steps an epoch."""
    runs = {}

    def get(name, neutral=False):
        if (name, neutral) not in runs:
            options = method_of(name).neutral if neutral else {}
            trainer = compiled(kx.trainer(name, build(), **options))
            before = trainer.classifier.get_weights()
            history = fit(trainer, dataset(ids=False, batch=9))
            assert_learned(trainer, before, history)
            runs[name, neutral] = trainer, history
        return runs[name, neutral]

    return get


@pytest.mark.parametrize("mode", [{"eager": True}, {"steps_per_execution": 4}], ids=str)
@EVERY
def test_modes_give_the_same_run(name, mode, graph_run, build, dataset):
    expected, history = graph_run(name)
    found = compiled(kx.trainer(name, build()), **mode)
    other = fit(found, dataset(ids=False, batch=9))
    for log, values in history.items():
        np.testing.assert_allclose(other[log], values, rtol=1e-2, err_msg=log)
    assert_same_weights(expected, found, rtol=2e-2, atol=1e-3)


@EVERY
def test_xla(name, graph_run, build, dataset):
    """TensorFlow draws other numbers under XLA: only neutral runs can be the same."""
    for neutral in (True, False)[name not in PLAIN_WITH :]:
        options = method_of(name).neutral if neutral else {}
        trainer = compiled(kx.trainer(name, build(), **options), jit=True)
        assert trainer.jit_compile
        before = trainer.classifier.get_weights()
        history = fit(trainer, dataset(ids=False, batch=9))
        assert_learned(trainer, before, history)
        expected, logs = graph_run(name, neutral)
        if neutral:
            np.testing.assert_allclose(history["loss"], logs["loss"], rtol=1e-3)
            assert_same_weights(expected, trainer, rtol=1e-2, atol=1e-3)


@EVERY
def test_nothing_is_traced_anew(name, build, dataset, monkeypatch):
    """After the first epoch with its partial last batch, a step is never traced."""
    traces, kind = [], method_of(name).trainer
    learn = kind.learn

    def counted(trainer, batch):
        traces.append(batch)
        return learn(trainer, batch)

    monkeypatch.setattr(kind, "learn", counted)
    trainer = compiled(kx.trainer(name, build()))
    fit(trainer, dataset(ids=False, count=32), epochs=1)
    first = len(traces)
    fit(trainer, dataset(ids=False, count=32), epochs=3, initial_epoch=1)
    assert 0 < first == len(traces)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
@EVERY
def test_mixed_precision(name, dtype, build, dataset, arrays):
    trainer = compiled(kx.trainer(name, build(dtype=dtype, head="tape")))
    before = trainer.classifier.get_weights()
    assert_learned(trainer, before, fit(trainer, dataset(ids=False)))
    scales = isinstance(trainer.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scales == (dtype == "mixed_float16")
    # The images reach the classifier as they are, not rounded to bfloat16.
    expected = np.array(trainer.classifier(arrays[0]))
    np.testing.assert_array_equal(trainer(arrays[0]), expected)


@EVERY
def test_float16_survives_an_overflow(name, build, dataset):
    """The first steps are skipped until the loss scale has come down."""
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.05), initial_scale=2.0**28
    )
    # Without what a method trains before its own first step.
    started = method_of(name).trainer.started
    made = build(dtype="mixed_float16", head="tape")
    trainer = compiled(kx.trainer(name, made, **started), optimizer=optimizer)

    def learned():
        return [np.array(each) for each in trainer.trainable_variables]

    before = learned()
    history = fit(trainer, dataset(ids=False), epochs=1)
    assert np.isfinite(history["loss"]).all()
    assert float(optimizer.dynamic_scale.value) < 2.0**28
    for left, right in zip(before, learned(), strict=True):
        np.testing.assert_array_equal(left, right)


# Labels and classifiers.


def one_output():
    keras.utils.set_random_seed(3)
    images = keras.Input((16, 16, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(images)
    x = layers.Conv2D(8, 3, 2, activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, layers.Dense(1, activation="sigmoid")(x))


LABELS = {
    "column": lambda labels: (labels[:, None], {}, "SparseCategorical"),
    "one-hot": lambda labels: (np.eye(5)[labels], {}, "Categorical"),
    "multi-hot": lambda labels: (
        np.maximum(np.eye(5)[labels], np.eye(5)[(labels * 2) % 5]),
        {"multi_label": True},
        "Binary",
    ),
}


@pytest.mark.parametrize("kind", LABELS)
@EVERY
def test_labels(name, kind, build, dataset, arrays):
    labels, options, loss = LABELS[kind](arrays[1])
    trainer = compiled(kx.trainer(name, build(), **options), logits_loss(loss))
    before = trainer.classifier.get_weights()
    labels = labels.astype("int32" if kind == "column" else "float32")
    assert_learned(trainer, before, fit(trainer, dataset(ids=False, labels=labels)))


@EVERY
def test_one_sigmoid_output(name, dataset, arrays):
    trainer = compiled(kx.trainer(name, one_output()), "binary_crossentropy")
    before = trainer.classifier.get_weights()
    data = dataset(ids=False, labels=(arrays[1] % 2).astype("float32"))
    assert_learned(trainer, before, fit(trainer, data))


def two_dense(build):
    keras.utils.set_random_seed(4)
    images = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, 2, activation="relu")(layers.Rescaling(1 / 255)(images))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, layers.Dense(5)(layers.Dense(7, activation="relu")(x)))


CLASSIFIERS = {
    "flatten": lambda build: build(head="tape"),
    "two dense": two_dense,
    "nested": lambda build: build(nested=True, live=True),
}


@pytest.mark.parametrize("kind", CLASSIFIERS)
@EVERY
def test_classifiers(name, kind, build, dataset):
    trainer = compiled(kx.trainer(name, CLASSIFIERS[kind](build)))
    before = trainer.classifier.get_weights()
    assert_learned(trainer, before, fit(trainer, dataset(ids=False)))


@EVERY
def test_a_classifier_with_an_objective(name):
    """A ProtoPNet has losses, groups of variables and stages of its own."""
    model = protopnet()
    if not method_of(name).trainer.takes_objectives:
        with pytest.raises(ValueError, match="a classifier with an objective"):
            kx.trainer(name, model)
        return
    trainer = kx.trainer(name, model, objective={"cluster": 0.5})
    compiled(trainer, optimizer=keras.optimizers.Adam(3e-3))
    random = np.random.default_rng(0)
    labels = np.arange(18, dtype="int32") % 3
    images = random.uniform(0, 255, (18, 32, 32, 3)).astype("float32")
    before = model.get_weights()
    history = fit(trainer, {"x": images, "y": labels, "batch_size": 6})
    assert_learned(trainer, before, history)
    assert {"cluster", "separation"} <= set(history)
    assert trainer.get_config()["objective"]["cluster"] == 0.5


@EVERY
def test_a_classifier_without_a_feature_map(name, dataset):
    model = keras.Sequential(
        [keras.Input((16, 16, 3)), layers.Flatten(), layers.Dense(5)]
    )
    kind = method_of(name).trainer
    if kind.needs_maps or kind.networks:
        with pytest.raises(ValueError, match="no 4-D activation"):
            kx.trainer(name, model)
    else:
        trainer = compiled(kx.trainer(name, model))
        fit(trainer, dataset(ids=False), epochs=1)


# What Keras does with it.


@EVERY
def test_it_evaluates_and_predicts_as_its_classifier(name, build, dataset, arrays):
    trainer = compiled(kx.trainer(name, build(live=True)))
    fit(trainer, dataset(ids=False), epochs=1)
    plain = compiled(trainer.classifier)
    data = dataset(ids=False, count=20)
    found = trainer.evaluate(data, verbose=0, return_dict=True)
    expected = plain.evaluate(data, verbose=0, return_dict=True)
    assert found == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(
        trainer.predict(arrays[0], verbose=0),
        plain.predict(arrays[0], verbose=0),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize("kind", ["weights", "whole"])
@EVERY
def test_a_run_that_was_stopped_goes_on(name, kind, build, dataset, tmp_path):
    """With dropout and the method's own draws: as if it had not been stopped."""

    def new():
        optimizer = keras.optimizers.Adam(1e-3)
        return compiled(kx.trainer(name, build(live=True), seed=3), optimizer=optimizer)

    data = dataset(ids=False)
    expected = new()
    fit(expected, data, epochs=3)
    stopped = new()
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    if kind == "whole":
        fit(stopped, data, epochs=2)
        stopped.save(tmp_path / "stopped.keras")
        continued = keras.saving.load_model(tmp_path / "stopped.keras")
        assert type(continued) is type(stopped)
        assert continued.options == stopped.options
        fit(continued, data, epochs=3, initial_epoch=2)
    else:

        class Stop(keras.callbacks.Callback):
            def on_epoch_begin(self, epoch, logs=None):
                if epoch == 2:
                    raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fit(stopped, data, epochs=3, callbacks=[backup, Stop()])
        continued = new()
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        history = fit(continued, data, epochs=3, callbacks=[backup])
        assert len(history["loss"]) == 1
    assert_same_weights(expected, continued, rtol=1e-6, atol=1e-7)


EXPORTED = """
import sys
import numpy as np, tensorflow as tf
images = np.load(f"{sys.argv[1]}/images.npy")
for name in sys.argv[2:]:
    served = tf.saved_model.load(f"{sys.argv[1]}/{name}")
    found = served.serve(images)
    np.testing.assert_allclose(found, np.load(f"{sys.argv[1]}/{name}.npy"), rtol=1e-4,
                               atol=1e-5)
assert not [n for n in sys.modules if n.split(".")[0] == "keras_xcons"]
print("same")
"""


@pytest.mark.slow
def test_every_export_serves_the_classifier(build, arrays, tmp_path):
    """In a process that knows neither this package nor Keras."""
    np.save(tmp_path / "images.npy", arrays[0])
    for name in METHODS:
        trainer = kx.trainer(name, build(nested=True))
        trainer.export(tmp_path / name, verbose=False)
        np.save(tmp_path / f"{name}.npy", np.array(trainer(arrays[0])))
    done = subprocess.run(
        [sys.executable, "-c", EXPORTED, str(tmp_path), *METHODS],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split()[-1] == "same"


@EVERY
def test_callbacks_of_keras(name, build, dataset, tmp_path):
    trainer = compiled(kx.trainer(name, build()))
    history = fit(
        trainer,
        dataset(ids=False),
        epochs=4,
        validation_data=dataset(ids=False, count=12),
        callbacks=[
            keras.callbacks.ModelCheckpoint(
                tmp_path / "best.keras", monitor="val_loss", save_best_only=True
            ),
            keras.callbacks.EarlyStopping(
                "val_loss", min_delta=1e9, patience=1, restore_best_weights=True
            ),
            keras.callbacks.TensorBoard(tmp_path / "logs"),
        ],
    )
    assert len(history["loss"]) == 2  # Nothing improves by 1e9.
    best = keras.saving.load_model(tmp_path / "best.keras")
    assert isinstance(best, type(trainer))
    kept = best.evaluate(dataset(ids=False, count=12), verbose=0, return_dict=True)
    assert kept["loss"] == pytest.approx(min(history["val_loss"]), rel=1e-4)
    assert list(pathlib.Path(tmp_path / "logs").rglob("events.out.tfevents.*"))


# Several devices.


@pytest.mark.slow
def test_two_devices_give_the_run_of_one(tmp_path):
    """Neutral options; what a method computes across replicas is its own test's."""
    script = pathlib.Path(__file__).with_name("distributed_methods.py")
    found = []
    for devices in ("1", "2"):
        done = subprocess.run(
            [sys.executable, str(script), devices, str(tmp_path / f"{devices}.npz")],
            capture_output=True,
            text=True,
            check=False,
        )
        assert not done.returncode, done.stderr[-2000:]
        found.append(dict(np.load(tmp_path / f"{devices}.npz")))
    one, two = found
    assert set(one) == set(two)
    assert {key.split("/")[0] for key in one} == {
        *METHODS,
        *(f"{name} neutral" for name in PLAIN_WITH),
    }
    for key, value in one.items():
        if "neutral" in key:
            np.testing.assert_allclose(
                two[key], value, rtol=1e-4, atol=1e-5, err_msg=key
            )
        else:
            assert np.all(np.isfinite(two[key])), key
