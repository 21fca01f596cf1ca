"""A monitor shows and measures maps where `explain` lays them."""

import numpy as np
import pytest
import tensorflow as tf

import keras_xcons as kx
from keras_xcons.callbacks import ExplanationMonitor
from keras_xcons.callbacks.tensorboard_writer import drawn
from keras_xcons.metrics import energy_pointing_game

SHIFT = (-6.0, 4.0)
NAMES = ["energy_pointing_game", "explanation_consistency"]


@pytest.fixture
def model(build):
    """Learns nothing, so that it is the same after an epoch."""
    model = build()
    model.optimizer.learning_rate = 0.0
    return model


def shown(model, arrays, folder, events, **options):
    """The figures of one epoch, and the picture that TensorBoard gets."""
    monitor = ExplanationMonitor(
        arrays, folder, pictures=len(arrays[0]), metrics=NAMES, **options
    )
    dataset = tf.data.Dataset.from_tensor_slices(arrays[:2]).batch(10)
    history = model.fit(dataset, verbose=0, shuffle=False, callbacks=[monitor]).history
    (event,) = events(folder)["heatmaps"].values()
    return {name: history[name][0] for name in NAMES}, tf.io.decode_png(event[2])


def expected(model, arrays, align):
    """The same, of what `explain` makes."""
    images, labels, masks = arrays
    maps = kx.explain(model, images, labels, align=align)
    found = kx.evaluation.measure(model, arrays_of(arrays), NAMES, align=align)
    survival = found["explanation_consistency"]
    titles = [
        f"class {label}: E {value:.2f}"
        for label, value in zip(labels, survival, strict=True)
    ]
    picture = drawn(kx.plot(images, maps, titles, masks=masks))
    energy = np.mean(energy_pointing_game(maps, masks=masks))
    return {NAMES[0]: energy, NAMES[1]: np.nanmean(survival)}, picture


def arrays_of(arrays):
    return tf.data.Dataset.from_tensor_slices(arrays).batch(10)


def test_figures_and_pictures_are_those_of_explain(model, arrays, tmp_path, events):
    few = tuple(array[:6] for array in arrays)
    pictures = []
    for align in (False, SHIFT):
        found, picture = shown(model, few, tmp_path / str(align), events, align=align)
        figures, other = expected(model, few, align)
        assert found == pytest.approx(figures, abs=1e-5)
        # Rounded once, by the one way or the other.
        assert np.abs(picture.numpy().astype(int) - other).max() <= 1
        pictures.append(other.astype(int))
    assert (np.abs(pictures[0] - pictures[1]) > 20).mean() > 0.05
