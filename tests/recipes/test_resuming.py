import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_xcons.recipes.resuming import Backup, Forward

IMAGES = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")


def compiled():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.1), "mse", run_eagerly=True)
    return model


def fit(model, epochs, *callbacks):
    labels = IMAGES.sum(axis=1, keepdims=True)
    return model.fit(
        IMAGES, labels, 4, epochs, verbose=0, shuffle=False, callbacks=[*callbacks]
    )


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_continued_training_equals_an_uninterrupted_one(tmp_path):
    whole = compiled()
    fit(whole, 4)
    fit(compiled(), 2, Backup(tmp_path / "a" / "backup"))
    assert names(tmp_path / "a" / "backup") == ["2.weights.h5"]
    model = compiled()
    history = fit(model, 4, Backup(tmp_path / "a" / "backup"))
    assert history.epoch == [2, 3]
    for left, right in zip(whole.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)
    # The state of the optimizer is part of it.
    assert int(model.optimizer.iterations) == 12
    assert names(tmp_path / "a" / "backup") == ["4.weights.h5"]


def test_nothing_is_trained_where_all_epochs_are_done(tmp_path):
    first = compiled()
    fit(first, 2, Backup(tmp_path))
    again = compiled()
    assert fit(again, 2, Backup(tmp_path)).epoch == []
    for left, right in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


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
    assert names(tmp_path) == ["1.weights.h5"]
    # What a process that could not even clean up leaves.
    (tmp_path / ".123.2.weights.h5").write_bytes(b"torn")
    assert fit(compiled(), 2, Backup(tmp_path)).epoch == [1]


def test_the_newest_of_two_files_is_taken(tmp_path):
    """Killed after the tenth epoch was saved, before the ninth was removed."""
    for epochs in (9, 10):
        fit(compiled(), epochs, Backup(tmp_path / str(epochs)))
    (tmp_path / "9" / "9.weights.h5").rename(tmp_path / "10" / "9.weights.h5")
    assert fit(compiled(), 11, Backup(tmp_path / "10")).epoch == [10]
    assert names(tmp_path / "10") == ["11.weights.h5"]


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
        callbacks = [Forward(data), note]
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
