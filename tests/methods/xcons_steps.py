"""A trainer of XCons that is compared with steps computed by hand."""

import keras
import numpy as np
import tensorflow as tf

from keras_xcons.methods import XConsModel

EPSILON = 64.0


def xcons(classifier, schedule="batch", loss=None, rate=0.0, **options):
    """A compiled, eager trainer that by default learns nothing."""
    given = {"num_samples": 36, "epsilon": EPSILON, "preset": "paper"}
    options = {**given, **options}
    trainer = XConsModel(classifier, schedule=schedule, **options)
    loss = loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trainer.compile(
        keras.optimizers.SGD(rate), loss, metrics=["accuracy"], run_eagerly=True
    )
    return trainer


def fit(trainer, data, epochs=1, **arguments):
    return trainer.fit(
        data, epochs=epochs, verbose=0, shuffle=False, **arguments
    ).history


def cross_entropy(classifier, images, labels, training=True):
    """The loss of each image, from NumPy logits."""
    logits = np.array(classifier(images, training=training), "float64")
    logits -= logits.max(1, keepdims=True)
    log_softmax = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return -log_softmax[np.arange(len(labels)), labels]


def sgd_step(classifier, images, labels, weights, rate=0.1):
    """The weights of a classifier after one step on a weighted mean loss."""
    with tf.GradientTape() as tape:
        outputs = classifier(images, training=True)
        losses = tf.keras.losses.sparse_categorical_crossentropy(
            labels, outputs, from_logits=True
        )
        loss = tf.reduce_mean(weights * losses)
    gradients = tape.gradient(loss, list(classifier.trainable_variables))
    pairs = zip(classifier.trainable_variables, gradients, strict=True)
    return [np.array(variable - rate * gradient) for variable, gradient in pairs]


def first_batch(arrays):
    return arrays[0][:12], arrays[1][:12]


def attacked_batch(build, arrays, by_hand):
    """A classifier, its first batch attacked by hand, and its weights."""
    classifier = build()
    before = [v.numpy() for v in classifier.trainable_variables]
    _, attacked = by_hand(classifier, *first_batch(arrays))
    return classifier, attacked, before


def assert_steps(classifier, expected, before):
    for found, wanted, old in zip(
        classifier.trainable_variables, expected, before, strict=True
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
        assert np.abs(wanted - old).max() > 1e-5
