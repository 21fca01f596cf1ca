"""Trains every method on one device, or on two under `MirroredStrategy`.

    python distributed_methods.py DEVICES OUTPUT.npz

A process of its own: the devices are fixed before TensorFlow starts.
"""

import contextlib
import sys

import keras
import numpy as np
import tensorflow as tf
from distributed_run import classifier

import keras_xcons as kx
from keras_xcons.methods import method_of


def main(devices, output):
    """Trains every method, as it is and neutral, and writes weights and history."""
    strategy = None
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
    # The last batch is smaller; the replicas still get the same share of it.
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(12)
    results = {}
    for name in (n for n in kx.methods() if method_of(n).follows is None):
        kinds = {name: {}}
        if method_of(name).never_plain is None:
            kinds[f"{name} neutral"] = method_of(name).neutral
        for kind, options in kinds.items():
            with strategy.scope() if strategy else contextlib.nullcontext():
                trainer = kx.trainer(name, classifier(), **options)
                loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
                optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
                trainer.compile(optimizer, loss, metrics=["accuracy"])
            history = trainer.fit(data, epochs=2, shuffle=False, verbose=0).history
            for key in ("loss", "accuracy"):
                results[f"{kind}/{key}"] = history[key]
            for number, value in enumerate(trainer.classifier.get_weights()):
                results[f"{kind}/weight{number}"] = value
    np.savez(output, **results)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
