"""The small case on which our faithfulness metrics are compared with Xplique's.

It is drawn from seeds. Its network needs Keras alone, so that it can be built again
where Xplique is installed.
"""

import numpy as np

IMAGES = 8
SIDE = 32
STEPS = 10
BLUR = 4.0  # pixels, so that the two ends of insertion differ
VALUE = 127.5
# Classes to which the network gives more than next to nothing: Xplique adds 1e-8 to
# what it divides by.
TARGETS = (5, 0, 5, 6, 1, 5, 0, 7)


def draw_images():
    """Uint8 shapes `(8, 32, 32, 3)`."""
    from keras_xcons.data import shapes

    return shapes("original", num_samples=IMAGES, image_size=SIDE)[0]


def heatmaps():
    """A blob an image with noise on it, float32 `(8, 32, 32)`, from 0 to 1 each.

    No two pixels of a map are equal: NumPy's sort, which Xplique uses, has no order
    of equal values that another sort could follow.
    """
    rng = np.random.default_rng(1)
    y, x, width = rng.uniform((8, 8, 4), (24, 24, 10), (IMAGES, 3)).T[..., None, None]
    row, column = np.mgrid[:SIDE, :SIDE] + 0.5
    maps = np.exp(-0.5 * ((row - y) ** 2 + (column - x) ** 2) / width**2)
    maps += 0.2 * rng.random(maps.shape)
    low, high = (f(maps, axis=(1, 2), keepdims=True) for f in (np.min, np.max))
    maps = ((maps - low) / (high - low)).astype("float32")
    assert all(len(np.unique(one)) == one.size for one in maps)
    return maps


def random_weights():
    """Weights of the network, lists of lists, large enough for unequal classes."""
    rng = np.random.default_rng(2)
    shapes = (3, 3, 3, 8), (8,), (3, 3, 8, 12), (12,), (12, 10), (10,)
    scales = 0.4, 0.1, 0.25, 0.1, 1.2, 0.1
    drawn = zip(shapes, scales, strict=True)
    return [rng.normal(0.0, scale, shape).round(4).tolist() for shape, scale in drawn]


def network(weights):
    """A classifier of images in 0..255 that ends in softmax, `(B, 10)`."""
    import keras

    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            keras.layers.Rescaling(1 / 127.5, offset=-1),
            keras.layers.Conv2D(8, 3, strides=2, activation="relu"),
            keras.layers.Conv2D(12, 3, strides=2, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.set_weights([np.array(weight, "float32") for weight in weights])
    return model


def our_values(weights):
    """What `keras_xcons.metrics` makes of the case.

    Returns:
        Dict of the curves of insertion and deletion `(8, 11)`, the areas under them,
        average drop and average increase `(8,)`.
    """
    import tensorflow as tf

    from keras_xcons import metrics

    model = network(weights)
    images, targets = draw_images(), np.array(TARGETS)
    maps = heatmaps()
    score = tf.function(
        lambda images, targets: tf.gather(model(images), targets, axis=1, batch_dims=1)
    )
    insertion, deletion = metrics.insertion_and_deletion(
        score, images, maps, targets, STEPS, BLUR, VALUE
    )
    before = score(images.astype("float32"), targets)
    after = score(metrics.masked_images(images, maps), targets)
    return {
        "insertion_curve": insertion,
        "deletion_curve": deletion,
        "insertion": metrics.area_under_curve(insertion),
        "deletion": metrics.area_under_curve(deletion),
        "average_drop": metrics.average_drop(before, after),
        "average_increase": metrics.average_increase(before, after),
    }
