"""Attacks in training, as the logits of a model grow."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_xcons.data import with_sample_ids
from keras_xcons.methods import XConsModel
from keras_xcons.methods.sample_table import UNSEEN
from tests.methods.contract import WEIGHTS_ALONE


def run(build, arrays, factor, head="closed", dtype="float32", **options):
    """A trainer of a model of larger logits after an epoch at rate 0, and its logs."""
    classifier = build(head=head, dtype=dtype)
    last = [x for x in classifier.layers if isinstance(x, keras.layers.Dense)][-1]
    last.set_weights([weight * factor for weight in last.get_weights()])
    options = {**WEIGHTS_ALONE, "epsilon": 64.0, "num_samples": 12, **options}
    trainer = XConsModel(classifier, **options)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trainer.compile(keras.optimizers.SGD(0.0), loss)
    images, labels = (part[:12] for part in arrays)
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(6)
    history = trainer.fit(with_sample_ids(data), verbose=0).history
    return trainer, {name: values[0] for name, values in history.items()}


@pytest.mark.parametrize(
    "options",
    [
        {"schedule": "batch"},
        {"schedule": "batch", "head": "tape"},
        {"schedule": "batch", "attack": "pgd"},
        {"schedule": "memory", "attack": "pgd"},
        {"schedule": "memory", "clean_loss": False, "attacked_loss": 1.0},
        {"schedule": "epoch"},
        {"schedule": "epoch", "attack": "pgd"},
    ],
    ids=str,
)
def test_an_attack_does_not_depend_on_a_factor_of_the_logits(options, build, arrays):
    logs = [run(build, arrays, factor, **options)[1] for factor in (1.0, 1e4)]
    assert [one["zero_gradient"] for one in logs] == [0.0, 0.0]
    assert logs[0]["consistency"] < 0.99
    assert logs[1]["consistency"] == pytest.approx(logs[0]["consistency"], rel=1e-3)


def test_images_that_a_free_gradient_does_not_attack_are_counted(build, arrays):
    """Cross-entropy has no gradient left for images that are told right."""
    trainer, logs = run(build, arrays, 1e4, schedule="memory")
    images, labels = (part[:12] for part in arrays)
    right = np.argmax(trainer.predict(images, verbose=0), axis=-1) == labels
    assert 0 < right.sum() < 12
    assert logs["zero_gradient"] == pytest.approx(right.mean())
    values = np.array(trainer.table.values)
    np.testing.assert_array_equal(values == UNSEEN, right)
    assert logs["consistency"] == pytest.approx(1.0 - values[~right].mean(), rel=1e-5)
    _, logs = run(build, arrays, 1.0, schedule="memory")
    assert logs["zero_gradient"] == 0.0


def test_where_no_image_is_attacked_there_is_no_figure(build, arrays):
    trainer, logs = run(build, arrays, 0.0, schedule="batch")
    assert logs["zero_gradient"] == 1.0
    assert np.isnan(logs["consistency"])
    assert logs["mean_weight"] == 1.0
