"""A tiny classifier, its data, and a hand-made XCons step to compare with."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_xcons import attacks, consistency
from keras_xcons.data import with_sample_ids
from keras_xcons.explainers import explained_pass
from keras_xcons.models import split

SIZE, CLASSES, BATCH, COUNT = 16, 5, 12, 36


class RecordingLoss(keras.losses.SparseCategoricalCrossentropy):
    """Cross-entropy that remembers the weights it was called with, if eager."""

    def __init__(self, **kwargs):
        super().__init__(from_logits=True, **kwargs)
        self.weights = []

    def __call__(self, y_true, y_pred, sample_weight=None):
        if tf.executing_eagerly():  # A sweep is a graph.
            self.weights.append(np.array(sample_weight))
        return super().__call__(y_true, y_pred, sample_weight)


@pytest.fixture(scope="session")
def arrays():
    """Images of fractional values, one texture a class, and their labels."""
    random = np.random.default_rng(0)
    labels = np.arange(COUNT, dtype="int32") % CLASSES
    images = random.uniform(0, 255, (COUNT, SIZE, SIZE, 3))
    images *= (1 + labels[:, None, None, None]) / CLASSES
    return images.astype("float32"), labels


@pytest.fixture(scope="session")
def dataset(arrays):
    """`dataset(ids=True, batch=12, count=36, …)` of batches."""

    def make(ids=True, batch=BATCH, count=COUNT, labels=None, weights=None):
        parts = (arrays[0], arrays[1] if labels is None else labels)
        parts = parts if weights is None else (*parts, weights)
        made = tf.data.Dataset.from_tensor_slices(parts).take(count).batch(batch)
        return with_sample_ids(made) if ids else made

    return make


@pytest.fixture(scope="session")
def build():
    """A function that builds a classifier of five classes with fixed weights."""

    def build(dtype="float32", **options):
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(dtype)
        try:
            keras.utils.set_random_seed(1)
            return _classifier(**options)
        finally:
            keras.config.set_dtype_policy(before)

    return build


def _classifier(
    head="closed",
    activation=None,
    nested=False,
    live=False,
    dropout=0.0,
    classes=CLASSES,
):
    """`live`: batch normalisation, dropout, weight and activity regularisers."""
    inputs = keras.Input((SIZE, SIZE, 3))
    body = _body(live)
    x = body(inputs) if nested else body.call(inputs)
    dropout = 0.3 if live else dropout
    if head == "closed":
        x = layers.GlobalAveragePooling2D()(x)
    else:
        x = layers.Dense(16, activation="relu")(layers.Flatten()(x))
    if dropout:
        x = layers.Dropout(dropout)(x)
    x = layers.Dense(classes, activation=activation)(x)
    return keras.Model(inputs, layers.Activation("linear", dtype="float32")(x))


def _body(live):
    inputs = keras.Input((SIZE, SIZE, 3))
    # As in the architectures of this package, full precision where it matters.
    x = layers.Rescaling(1 / 127.5, offset=-1, dtype="float32")(inputs)
    weight = keras.regularizers.L2(0.01) if live else None
    x = layers.Conv2D(6, 3, 2, activation="relu", kernel_regularizer=weight)(x)
    if live:
        x = layers.BatchNormalization(momentum=0.9)(x)
    activity = keras.regularizers.L2(0.01) if live else None
    x = layers.Conv2D(
        8, 3, activation="relu", activity_regularizer=activity, name="features"
    )(x)
    return keras.Model(inputs, x, name="body")


def margins(labels, logits):
    """How far the best of the other classes is ahead, `(B,)`."""
    own = tf.one_hot(labels, logits.shape[-1])
    others = tf.reduce_max(logits - 1e9 * own, axis=-1)
    return others - tf.reduce_sum(own * logits, axis=-1)


def cross_entropy(labels, logits):
    """What an attack costs nothing by, where it is the loss that is learned from."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


LOSSES = {"margin": margins, "cross-entropy": cross_entropy}


@pytest.fixture(scope="session")
def by_hand():
    """`by_hand(classifier, images, labels, …)`: E and the attacked images.

    Written from the pure functions alone, without any of the training code. `by` is
    the loss to attack by, a name of `LOSSES`.
    """

    def measure(
        classifier,
        images,
        labels,
        epsilon=64.0,
        threshold=0.5,
        region="background",
        measure="cosine",
        agreement=None,
        perturb=None,
        training=True,
        by="margin",
    ):
        view = split(classifier)
        images, classes = tf.constant(images), labels[:, None]

        def gradient_fn(attacked):
            with tf.GradientTape() as tape:
                tape.watch(attacked)
                loss = LOSSES[by](labels, view(attacked, training=training)[2])
            return tape.gradient(loss, attacked)

        clean = explained_pass(view, images, classes, training)
        size = images.shape[1:3]
        mask = attacks.region_mask(clean.maps[:, 0], region, threshold, size)
        if perturb is None:
            attacked = attacks.fgsm(images, gradient_fn(images), epsilon, mask)
        else:
            attacked = perturb(images, gradient_fn, mask)
        other = explained_pass(view, attacked, classes, training)
        value = consistency.explanation_consistency(
            clean.maps, other.maps, measure=measure
        )
        if agreement:
            value *= consistency.prediction_agreement(
                clean.logits, other.logits, agreement
            )
        return value.numpy(), attacked.numpy()

    return measure


@pytest.fixture
def recording_loss():
    return RecordingLoss()
