"""A classifier whose every figure can be worked out by hand, and images for it."""

import keras
import numpy as np
import tensorflow as tf

RED, GREEN = 0, 1
SIDE = 8


def color_classifier(strides=1, bias=0.0, scale=1.0):
    """Logits are the means of red and of green, maps are where the colour is."""
    images = keras.Input((SIDE, SIDE, 3))
    color = keras.layers.Conv2D(2, 1, strides, use_bias=False, name="features")
    x = keras.layers.GlobalAveragePooling2D()(color(images))
    score = keras.layers.Dense(2)
    model = keras.Model(images, score(x), name="colors")
    color.set_weights([np.eye(3, 2, dtype="float32")[None, None]])
    weights = scale * np.eye(2, dtype="float32")
    score.set_weights([weights, np.full(2, bias, "float32")])
    return model


def picture(*areas):
    """A black image with areas `(color, rows, columns)` in full colour."""
    image = np.zeros((SIDE, SIDE, 3), "float32")
    for color, rows, columns in areas:
        image[slice(*rows), slice(*columns), color] = 255.0
    return image


# Of each image: what is drawn, the label, the object's rows and columns, and what
# is known of it: accuracy, pointing game (tolerance 3), energy.
CASES = [
    ([(RED, (0, 4), (0, 4))], RED, ((0, 4), (0, 4)), (1, 1, 1)),
    # The first of the equal maxima is four pixels off.
    ([(RED, (0, 4), (0, 8))], RED, ((0, 4), (4, 8)), (1, 0, 0.5)),
    # Another class is predicted; the map is the label's all the same.
    (
        [(RED, (2, 4), (2, 4)), (GREEN, (4, 8), (0, 8))],
        RED,
        ((2, 4), (2, 4)),
        (0, 1, 1),
    ),
    # Nothing speaks for the label: a map of zeros is a miss.
    ([(RED, (0, 4), (0, 4))], GREEN, ((0, 4), (0, 4)), (0, 0, 0)),
    # One of four rows is in the object, and the maximum is three rows above it.
    ([(GREEN, (2, 6), (0, 8))], GREEN, ((5, 8), (0, 8)), (1, 1, 0.25)),
]
IMAGES = np.stack([picture(*areas) for areas, *_ in CASES])
LABELS = np.array([label for _, label, *_ in CASES], "int32")
KNOWN = np.array([known for *_, known in CASES], "float64").T


def boxes():
    """One box an image, and one without area beside it."""
    found = np.zeros((len(CASES), 2, 4), "float32")
    for row, (_, _, (rows, columns), _) in zip(found, CASES, strict=True):
        row[0] = np.array([rows[0], columns[0], rows[1], columns[1]]) / SIDE
    return found


def masks():
    found = np.zeros((len(CASES), SIDE, SIDE, 1), "float32")
    for mask, (_, _, (rows, columns), _) in zip(found, CASES, strict=True):
        mask[slice(*rows), slice(*columns)] = 1.0
    return found


def batches(*parts, size=3):
    return tf.data.Dataset.from_tensor_slices(parts).batch(size)
