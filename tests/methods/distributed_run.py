"""Trains one run on one device, or on two under `MirroredStrategy`.

    python distributed_run.py DEVICES OUTPUT.npz

A process of its own: the devices are fixed before TensorFlow starts.
"""

import contextlib
import sys

import keras
import numpy as np
import tensorflow as tf

from keras_xcons.data import with_sample_ids
from keras_xcons.methods import XConsModel

GIVEN = {
    **{"sample_weights": "consistency", "attacked_loss": 0.0, "consistency_loss": 0.0},
    **{"num_samples": 32, "epsilon": 64.0},
}
RUNS = {
    "uniform": {"schedule": "memory", "sample_weights": "uniform"},
    "batch": {"schedule": "batch", "consistency_loss": 0.5},
    "padded": {"schedule": "batch", "consistency_loss": 0.5},
    "padded memory": {"schedule": "memory", "weight_scale": "raw"},
    "memory": {"schedule": "memory"},
    "epoch": {"schedule": "epoch"},
    "loss": {"schedule": "memory", "sample_weights": "loss", "weight_scale": "raw"},
    "terms": {"attacked_loss": 0.5, "consistency_loss": 0.5, "every": 2},
    "balance": {"schedule": "memory", "balance": "class", "memory_momentum": 0.5},
}


def classifier():
    """Without batch normalisation, whose batches are those of a replica."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    x = keras.layers.Conv2D(6, 3, 2, activation="relu", kernel_regularizer="l2")(x)
    x = keras.layers.Conv2D(8, 3, activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(5)(x))


def main(devices, output):
    """Trains every run and writes its weights, table, history and evaluation."""
    if devices == 2:
        cpu = tf.config.list_physical_devices("CPU")[0]
        logical = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, logical)
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        assert strategy.num_replicas_in_sync == 2
    random = np.random.default_rng(0)
    labels = np.arange(32) % 5
    images = random.uniform(0, 255, (32, 16, 16, 3)) * (1 + labels)[:, None, None, None]
    images = (images / 5).astype("float32")
    samples = with_sample_ids(tf.data.Dataset.from_tensor_slices((images, labels)))
    # The last batch is smaller; the replicas still get the same share of it.
    data = samples.batch(12)
    # All that one of the replicas gets of the last batch is padding.
    given = np.ones(32, "float32")
    given[[3, 28, 29, 30, 31]] = 0.0
    pairs = tf.data.Dataset.zip(samples, tf.data.Dataset.from_tensor_slices(given))
    padded = pairs.map(lambda sample, weight: (*sample, weight)).batch(12)

    results = {}
    for name, options in RUNS.items():
        with strategy.scope() if devices == 2 else contextlib.nullcontext():
            trainer = XConsModel(classifier(), **{**GIVEN, **options})
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
            trainer.compile(optimizer, loss, metrics=["accuracy"], jit_compile=False)
        fed = padded if name.startswith("padded") else data
        history = trainer.fit(fed, epochs=2, shuffle=False, verbose=0).history
        for key, values in history.items():
            results[f"{name}/{key}"] = values
        for number, value in enumerate(trainer.classifier.get_weights()):
            results[f"{name}/weight{number}"] = value
        if trainer.table is not None:
            results[f"{name}/table"] = np.array(trainer.table.values)
    results["predict"] = trainer.predict(data, verbose=0)
    # Of the last batch, the two devices get three and two samples.
    uneven = samples.take(13).batch(8)
    plain = trainer.classifier
    with strategy.scope() if devices == 2 else contextlib.nullcontext():
        plain.compile(loss=loss, metrics=["accuracy"], jit_compile=False)
    images_only = uneven.map(lambda x, y: (x["image"], y))
    for key, model, fed in (
        ("evaluate trainer", trainer, uneven),
        ("evaluate plain", plain, images_only),
    ):
        logs = model.evaluate(fed, verbose=0, return_dict=True)
        results[key] = [logs["loss"], logs["accuracy"]]
    np.savez(output, **results)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
