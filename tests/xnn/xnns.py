"""A tiny classifier, its data, and the losses of XNN once more in NumPy."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

SIZE, CLASSES, COUNT = 16, 4, 80


def classifier(seed=1):
    """Colours in the corners, and noise: 12 features, four classes."""
    keras.utils.set_random_seed(seed)
    images = keras.Input((SIZE, SIZE, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(images)
    x = layers.Conv2D(12, 5, 4, padding="same", activation="relu", name="features")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, layers.Dense(CLASSES, name="logits")(x), name="tiny")


def arrays(count=COUNT):
    """Images of two textures in different places, and labels."""
    random = np.random.default_rng(0)
    labels = np.arange(count, dtype="int32") % CLASSES
    images = random.uniform(0, 120, (count, SIZE, SIZE, 3))
    for number, label in enumerate(labels):
        row, column = 8 * (label // 2), 8 * (label % 2)
        colour = label % 3
        images[number, row : row + 8, column : column + 8, colour] += 120
    return images.astype("float32"), labels


def dataset(count=COUNT):
    return tf.data.Dataset.from_tensor_slices(arrays(count)).batch(16)


def quick(**options):
    """Options of a fit of a second."""
    return {
        **{"hidden": (16, 8), "num_features": 3, "epochs": 4, "retries": 0},
        **{"pretraining_epochs": 1, "batch_size": 16, "learning_rate": 1e-2},
        **options,
    }


def by_hand(networks, decoder, features, scores, options):
    """The three terms of each class, class by class, in float64."""
    found = []
    for place in range(len(networks.classes)):
        x = features.astype("float64")
        for layer in networks.encoder:
            x = np.maximum(x @ _kernel(layer, place) + _bias(layer, place), 0.0)
        weights = _kernel(networks.output_layer, place)[:, 0]
        answers = x @ weights + _bias(networks.output_layer, place)[0]
        prediction = ((answers - scores[:, place]) ** 2).mean()
        rebuilt = x
        for number, layer in enumerate(decoder):
            rebuilt = rebuilt @ _kernel(layer, place) + _bias(layer, place)
            if number < len(decoder) - 1:
                rebuilt = np.maximum(rebuilt, 0.0)
        errors = ((rebuilt - features) ** 2).mean(axis=0)
        reconstruction = np.log(1.0 + options.sparsity * errors).mean()
        given = x * weights
        if options.orthogonal == "images":
            given = given.T
        cosines = [
            (one @ two) ** 2 / ((one @ one) * (two @ two))
            if (one @ one) * (two @ two) > 1e-12
            else 0.0
            for i, one in enumerate(given.T)
            for j, two in enumerate(given.T)
            if i != j
        ]
        found.append((prediction, reconstruction, np.mean(cosines)))
    return np.array(found).T


def _kernel(layer, place):
    return np.array(layer.kernel, "float64")[place]


def _bias(layer, place):
    return np.array(layer.bias, "float64")[place]
