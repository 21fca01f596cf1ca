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
)
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
