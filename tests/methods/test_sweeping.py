"""What the sweeps of the epoch schedule read, and what they tell."""

import csv
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_xcons.methods.sample_table import UNSEEN
from tests.methods.xcons_steps import fit, xcons

IDS = np.arange(36)


def swept(build, x, y=None, **arguments):
    """Which samples a fit of one epoch has measured, and its logs."""
    trainer = xcons(build(), "epoch")
    history = fit(trainer, x, y=y, **arguments)
    return np.array(trainer.table.values) != UNSEEN, history


class Batches(keras.utils.PyDataset):
    def __init__(self, images, labels):
        super().__init__()
        self._parts = images, labels

    def __len__(self):
        return 3

    def __getitem__(self, index):
        part = slice(12 * index, 12 * index + 12)
        images, labels = (each[part] for each in self._parts)
        return {"image": images, "sample_id": IDS[part]}, labels


def test_arrays_are_swept_under_the_weights_of_fit(build, arrays):
    images, labels = arrays
    x = {"image": images, "sample_id": IDS}
    weights = np.where(IDS < 9, 0.0, 1.0).astype("float32")
    found, _ = swept(build, x, labels, sample_weight=weights)
    np.testing.assert_array_equal(found, weights > 0.0)
    of_classes = {0: 0.0, 1: 2.0}
    found, _ = swept(build, x, labels, class_weight=of_classes)
    np.testing.assert_array_equal(found, labels != 0)
    hot = np.eye(5, dtype="float32")[labels]
    trainer = xcons(build(), "epoch", keras.losses.CategoricalCrossentropy(True))
    fit(trainer, x, y=hot, class_weight=of_classes)
    seen = np.array(trainer.table.values) != UNSEEN
    np.testing.assert_array_equal(seen, labels != 0)
    found, _ = swept(build, x, labels, validation_split=0.25)
    np.testing.assert_array_equal(found, IDS < 27)


def test_every_source_that_can_be_read_again_is_swept(build, arrays, dataset):
    expected, logs = swept(build, dataset())
    assert expected.all()
    found, others = swept(build, Batches(*arrays))
    assert found.all()
    np.testing.assert_allclose(others["consistency"], logs["consistency"], rtol=1e-5)
    weighed, _ = swept(build, Batches(*arrays), class_weight={1: 0.0})
    np.testing.assert_array_equal(weighed, arrays[1] != 1)


def test_sources_that_cannot_are_refused(build, dataset):
    def batches():
        while True:
            yield from dataset()

    spec = dataset().element_spec
    endless = tf.data.Dataset.from_generator(batches, output_signature=spec)
    sources = {
        "an endless dataset": (dataset().repeat(), {"steps_per_epoch": 2}),
        "of unknown length": (endless, {"steps_per_epoch": 2}),
        "x of type generator": (batches(), {"steps_per_epoch": 2}),
    }
    for match, (x, arguments) in sources.items():
        with pytest.raises(ValueError, match=f"from end to end.*{match}"):
            fit(xcons(build(), "epoch"), x, **arguments)


@pytest.mark.parametrize("terms", [0.0, 0.3])
def test_every_epoch_tells_of_the_last_sweep(terms, build, dataset, tmp_path):
    trainer = xcons(build(), "epoch", rate=0.1, sweep_every=2, attacked_loss=terms)
    logger = keras.callbacks.CSVLogger(tmp_path / "logs.csv")
    history = fit(trainer, dataset(), epochs=5, callbacks=[logger])["consistency"]
    assert math.isnan(history[0]) and history[1] == history[2] != history[3]
    assert history[3] == history[4]
    with (tmp_path / "logs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[3]["consistency"]) == pytest.approx(history[3])
