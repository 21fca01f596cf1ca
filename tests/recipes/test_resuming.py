import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_xcons.files import sha256_of_file
from keras_xcons.recipes.resuming import Backup, SkipSeenEpochs

IMAGES = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")


def compiled(dropout=0.0):
    keras.utils.set_random_seed(0)
    dropped = [keras.layers.Dropout(dropout), keras.layers.Dropout(dropout)]
    inner = [keras.Sequential(dropped)] if dropout else []
    model = keras.Sequential([keras.Input((4,)), *inner, keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.1), "mse", run_eagerly=True)
    return model


def fit(model, epochs, *callbacks):
    labels = IMAGES.sum(axis=1, keepdims=True)
    return model.fit(
        IMAGES, labels, 4, epochs, verbose=0, shuffle=False, callbacks=[*callbacks]
    )


def epochs(folder):
    """The epochs that there are checkpoints of, in order."""
    return sorted(int(path.name.split(".")[0]) for path in folder.iterdir())


def checkpoint(folder, epoch):
    (path,) = folder.glob(f"{epoch}.*.weights.h5")
    return path


def assert_equal(one, other):
    for left, right in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_continued_training_equals_an_uninterrupted_one(tmp_path):
    whole = compiled()
    fit(whole, 4)
    fit(compiled(), 2, Backup(tmp_path / "a" / "backup"))
    assert epochs(tmp_path / "a" / "backup") == [1, 2]
    model = compiled()
    history = fit(model, 4, Backup(tmp_path / "a" / "backup"))
    assert history.epoch == [2, 3]
    assert_equal(whole, model)
    # The state of the optimizer is part of it.
    assert int(model.optimizer.iterations) == 12
    assert epochs(tmp_path / "a" / "backup") == [3, 4]


def test_dropout_goes_on(tmp_path):
    whole = compiled(dropout=0.4)
    fit(whole, 3, Backup(tmp_path / "whole"))
    fit(compiled(dropout=0.4), 2, Backup(tmp_path / "stopped"))
    model = compiled(dropout=0.4)
    keras.random.uniform((1,))
    fit(model, 3, Backup(tmp_path / "stopped"))
    assert_equal(whole, model)
    # Layers and epochs draw differently.
    first, second = (v for v in model.non_trainable_variables)
    states = np.array([first.value, second.value])
    assert states[0, 0] != states[1, 0] and states.min() >= 0
    assert states[:, 1].min() > 2 << 20


def test_nothing_is_trained_where_all_epochs_are_done(tmp_path):
    first = compiled()
    fit(first, 2, Backup(tmp_path))
    again = compiled()
    assert fit(again, 2, Backup(tmp_path)).epoch == []
    assert_equal(first, again)


def test_a_torn_file_is_not_read(tmp_path, monkeypatch):
    """Killed while the second epoch is saved: the first is what there is."""
    fit(compiled(), 1, Backup(tmp_path))
    save = keras.Model.save_weights

    def torn(model, path, *arguments):
        save(model, path, *arguments)
        path.write_bytes(path.read_bytes()[:500])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(keras.Model, "save_weights", torn)
        fit(compiled(), 2, Backup(tmp_path))
    assert epochs(tmp_path) == [1]
    assert fit(compiled(), 2, Backup(tmp_path)).epoch == [1]


def flipped(path):
    """One bit of what the weights are made of: HDF5 has no word to say."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "bit": flipped,
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "empty": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_gone_on_from(
    damage, tmp_path
):
    whole, lines = compiled(), []
    fit(whole, 4)
    fit(compiled(), 3, Backup(tmp_path))
    DAMAGES[damage](checkpoint(tmp_path, 3))
    good, kept = checkpoint(tmp_path, 2), sha256_of_file(checkpoint(tmp_path, 2))
    told = f"{checkpoint(tmp_path, 3)} is damaged, and not used"
    model = compiled()
    saved = Backup(tmp_path, lines.append)
    noted = []
    note = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: noted.append(good.exists())
    )
    assert fit(model, 4, saved, note).epoch == [2, 3]
    assert lines == [told]
    assert_equal(model, whole)
    # The good one stays until there are two again.
    assert noted == [True, False]
    assert epochs(tmp_path) == [3, 4] and len(kept) == 64


def test_a_run_without_a_whole_checkpoint_begins_anew(tmp_path):
    fit(compiled(), 2, Backup(tmp_path))
    for epoch in (1, 2):
        flipped(checkpoint(tmp_path, epoch))
    lines = []
    assert fit(compiled(), 2, Backup(tmp_path, lines.append)).epoch == [0, 1]
    assert len(lines) == 3
    assert lines[-1] == "No whole checkpoint is left: the run begins anew"


@pytest.mark.parametrize(
    "stray",
    ["1x.weights.h5", "7.weights.h5", "99999999999.0123456789abcdef.weights.h5"],
)
def test_what_is_called_otherwise_is_left_alone(stray, tmp_path):
    fit(compiled(), 1, Backup(tmp_path))
    (tmp_path / stray).write_text("mine")
    assert fit(compiled(), 2, Backup(tmp_path)).epoch == [1]
    assert (tmp_path / stray).read_text() == "mine"


def test_a_whole_checkpoint_of_another_model_is_named(tmp_path):
    fit(compiled(), 1, Backup(tmp_path))
    keras.utils.set_random_seed(0)
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    other.compile(keras.optimizers.Adam(0.1), "mse", run_eagerly=True)
    with pytest.raises(ValueError, match="does not fit the model; remove its folder"):
        fit(other, 2, Backup(tmp_path))
    assert epochs(tmp_path) == [1]


def test_the_newest_of_several_files_is_taken(tmp_path):
    """Killed after the tenth epoch was saved, before the eighth was removed."""
    for last in (8, 10):
        fit(compiled(), last, Backup(tmp_path / str(last)))
    old = checkpoint(tmp_path / "8", 8)
    old.rename(tmp_path / "10" / old.name)
    assert fit(compiled(), 11, Backup(tmp_path / "10")).epoch == [10]
    assert epochs(tmp_path / "10") == [10, 11]


def test_data_are_moved_on_to_the_epoch():
    def dataset():
        tf.random.set_seed(0)
        return tf.data.Dataset.range(20).shuffle(20, 1).batch(5)

    def run(initial_epoch):
        data = dataset()
        seen = {}

        class Echo(keras.Model):
            def train_step(self, batch):
                seen.setdefault(self.epoch, []).extend(batch.numpy())
                return {"loss": 0.0}

        model = Echo()
        note = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: setattr(model, "epoch", epoch)
        )
        model.compile(run_eagerly=True)
        callbacks = [SkipSeenEpochs(data), note]
        model.fit(
            data,
            epochs=4,
            initial_epoch=initial_epoch,
            callbacks=callbacks,
            shuffle=False,
            verbose=0,
        )
        return seen

    whole = run(0)
    assert len({tuple(order) for order in whole.values()}) == 4
    assert run(2) == {epoch: whole[epoch] for epoch in (2, 3)}


def test_a_full_disk_is_told_before_a_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: (1000, 1000, 0))
    with pytest.raises(OSError, match="No space is left for a checkpoint of 0.0 MB"):
        fit(compiled(), 1, Backup(tmp_path / "backup"))
    assert epochs(tmp_path / "backup") == []
