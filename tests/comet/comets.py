"""Tiny networks for COMET, their data, and its losses once more in NumPy."""

import keras
import numpy as np
from keras import layers

import keras_xcons as kx
from keras_xcons.comet import comet_view

SIZE, CLASSES, COUNT = 16, 5, 24


def predictor(seed=1, norm=True):
    """A classifier with batch normalisation, of random weights."""
    keras.utils.set_random_seed(seed)
    images = keras.Input((SIZE, SIZE, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(images)
    x = layers.Conv2D(6, 3, 2, padding="same")(x)
    x = layers.BatchNormalization(momentum=0.9)(x) if norm else x
    x = layers.Conv2D(8, 3, 2, padding="same", activation="relu", name="features")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, layers.Dense(CLASSES)(x), name="tiny")


def selector(channels=1, size=SIZE, activation="sigmoid"):
    """One convolution, of random weights."""
    keras.utils.set_random_seed(2)
    images = keras.Input((size, size, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(images)
    x = layers.Conv2D(channels, 3, 4, padding="same", activation=activation)(x)
    return keras.Model(images, x, name="one_convolution")


def data(count=COUNT):
    """Images with a texture a class, and their labels."""
    random = np.random.default_rng(0)
    labels = np.arange(count, dtype="int32") % CLASSES
    images = random.uniform(0, 255, (count, SIZE, SIZE, 3))
    images *= (1 + labels[:, None, None, None]) / CLASSES
    return images.astype("float32"), labels


def trained(model=None, optimizer=None, epochs=1, callbacks=(), **options):
    """A `COMETModel` after a short `fit`, and the history."""
    options = {"detector_epochs": 0, **options}
    trainer = kx.COMETModel(predictor() if model is None else model, **options)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trainer.compile(optimizer or keras.optimizers.SGD(0.05), loss, metrics=["accuracy"])
    how = {"epochs": epochs, "verbose": 0, "shuffle": False}
    history = trainer.fit(*data(), batch_size=8, callbacks=list(callbacks), **how)
    return trainer, history.history


def by_hand(trainer, images, labels):
    """The terms of the losses in float64, from masks and the networks' own answers."""
    options, parts = trainer.options, comet_view(trainer.classifier)
    small = np.array(parts.selection.selector(images))
    masks = np.array(parts.selection.laid_over(small, images)).astype("float64")
    fill = np.array(parts.selection.fill).astype("float64")
    selected = masks * images + (1 - masks) * fill
    rest = (1 - masks) * images + masks * fill
    seen = entropy(np.array(parts.predictor(selected.astype("float32"))), labels)
    unseen = entropy(np.array(trainer.detector(rest.astype("float32"))), labels)
    area = masks.mean(axis=(1, 2, 3))
    if options.gap is None:
        term = -unseen
    else:
        term = np.maximum(0.0, seen - unseen + options.gap)
    cost = np.maximum(0.0, area - options.max_area)
    whole = (
        seen.mean()
        + options.detector_weight * term.mean()
        + options.area_weight * cost.mean()
    )
    return {"loss": seen.mean(), "selector_loss": whole, "mask_area": area.mean()}


def entropy(logits, labels):
    """Cross-entropies `(B,)`."""
    logits = logits.astype("float64")
    logits = logits - logits.max(axis=-1, keepdims=True)
    own = logits[np.arange(len(labels)), labels]
    return np.log(np.exp(logits).sum(axis=-1)) - own
