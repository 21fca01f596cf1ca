import keras
import numpy as np
import pytest

from keras_xcons.methods.sample_table import UNSEEN
from keras_xcons.methods.xcons.callbacks import EpochCounter, EpochReweighting


class Model(keras.Model):
    """Counts what the callbacks ask of it."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)
        self.epoch = self.add_weight(shape=(), dtype="int32", trainable=False)
        self.seen, self.swept = [], []
        self.last_sweep = self.add_weight(
            shape=(2,),
            initializer=keras.initializers.Constant(UNSEEN),
            trainable=False,
        )

    def call(self, inputs):
        return self.dense(inputs)

    def train_step(self, data):
        self.seen.append(int(self.epoch))
        return super().train_step(data)

    def refresh_table(self, dataset):
        self.swept.append((int(self.epoch), dataset))
        self.last_sweep.assign([0.5 + 0.1 * len(self.swept), 0.25])


@pytest.fixture
def fit():
    model = Model()
    model.compile("sgd", "mse", run_eagerly=True)

    def fit(callbacks, **arguments):
        history = model.fit(
            np.zeros((4, 2)),
            np.zeros((4, 1)),
            batch_size=2,
            verbose=0,
            callbacks=callbacks,
            **arguments,
        )
        return model, history.history

    return fit


def test_epoch_counter(fit):
    model, _ = fit([EpochCounter()], epochs=3)
    assert model.seen == [0, 0, 1, 1, 2, 2]
    fit([EpochCounter()], epochs=6, initial_epoch=5)
    assert model.seen[6:] == [5, 5]


@pytest.mark.parametrize(
    ("every", "epochs"), [(1, [0, 1, 2, 3, 4]), (2, [1, 3]), (5, [4]), (6, [])]
)
def test_reweighting_every_few_epochs(every, epochs, fit):
    callbacks = [EpochCounter(), EpochReweighting("data", every)]
    model, history = fit(callbacks, epochs=5)
    assert model.swept == [(epoch, "data") for epoch in epochs]
    # Each epoch tells of the last sweep, and before the first of none.
    swept = [sum(done <= epoch for done in epochs) for epoch in range(5)]
    expected = [0.5 + 0.1 * count if count else np.nan for count in swept]
    assert history["consistency"] == pytest.approx(expected, nan_ok=True)


def test_reweighting_counts_the_epochs_of_the_run(fit):
    """As after `BackupAndRestore`: not those of this call of `fit`."""
    callbacks = [EpochCounter(), EpochReweighting("data", 2)]
    model, _ = fit(callbacks, epochs=4, initial_epoch=1)
    assert [epoch for epoch, _ in model.swept] == [1, 3]


def test_reweighting_without_logs():
    callback = EpochReweighting("data")
    model = Model()
    callback.set_model(model)
    callback.on_epoch_end(0)
    assert len(model.swept) == 1
