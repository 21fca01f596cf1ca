"""What Keras does with every training method: saving, resuming, exports, callbacks."""

import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_xcons as kx
from tests.methods.contract import (
    EVERY,
    METHODS,
    compiled,
    fit,
)
from tests.same_weights import assert_same_weights


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
