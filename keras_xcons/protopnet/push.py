"""Prototypes become patches of training images: at first, and in a push."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_xcons import checks
from keras_xcons.data import arguments
from keras_xcons.protopnet.data import checked_batches
from keras_xcons.protopnet.patches import activated_boxes
from keras_xcons.protopnet.view import prototype_view


def push_prototypes(classifier, dataset):
    """Makes each prototype the nearest patch of its own class, in place.

    The patches are those of the classifier in inference mode. What is kept while the
    data go by is one patch a prototype, whatever the number of images. Of patches
    at the same distance the first one is taken.

    Args:
        classifier: A ProtoPNet, or its training model or `ClassifierView`, by whose
            alignment boxes are drawn; its prototypes and their sources are replaced.
        dataset: `tf.data.Dataset` of batches `(images, labels)`, not augmented. The
            source image is the place of an image in it, or its sample id where it
            has one. Labels are integers `(B,)` or one-hot `(B, C)`.

    Returns:
        Float32 NumPy array `(m,)`, the squared distance between each prototype and
        the patch that it has become.

    Raises:
        TypeError, ValueError: `classifier` is no ProtoPNet, or the data are not as
            described or hold no image of a class; then nothing is changed.

    Example:

    >>> train = keras_xcons.data.load("shapes", image_size=64, batch_size=50)
    >>> push_prototypes(classifier, train)

    Reference:
        [Chen et al., 2019](https://arxiv.org/abs/1806.10574), section 2.2
    """
    view = prototype_view(classifier)
    found = _first_patches(
        view, dataset, lambda patches, features: view.layer.distances(patches)
    )
    distances = found["value"].numpy()
    height, width = view.model.input_shape[1:3]
    maps = view.similarity(found["map"])
    maps = view.aligned_frame().place(
        tf.reshape(maps, (-1, *view.grid)), (height, width)
    )
    layer = view.layer
    layer.prototypes.assign(found["patch"])
    layer.source_image.assign(found["image"])
    place = found["place"].numpy()
    layer.source_cell.assign(np.stack(np.divmod(place, view.grid[1]), axis=-1))
    layer.source_box.assign(activated_boxes(maps.numpy()))
    return distances


def draw_prototypes(classifier, dataset, power=2.0, seed=0):
    """Makes each prototype a patch of its own class, drawn at random, in place.

    A start for the training, our choice: random vectors are far from every patch, and
    while the cluster loss draws them nearer all patches grow alike. A patch is drawn
    with a chance in proportion to a power of the energy of the backbone's features
    there, their sum of squares, which is larger on objects than on what is around
    them. Their sources stay unknown, as training moves them on. Call it before `fit`.

    Args:
        classifier: A ProtoPNet, or its training model.
        dataset: As in `push_prototypes`.
        power: The power of the energy, at least 0; with 0 all patches have the same
            chance. Defaults to 2.
        seed: Int. Defaults to 0.

    Raises:
        TypeError, ValueError: As in `push_prototypes`, or `power` is out of range.

    Example:

    >>> draw_prototypes(trainer, images_in_order)
    >>> trainer.fit(train, epochs=30, callbacks=[PrototypeStages(images_in_order)])
    """
    view = prototype_view(classifier)
    checks.within("power", power, 0.0, 1e6)
    arguments.check_seed(seed)
    seeds = keras.random.SeedGenerator(seed)

    def race(patches, features):
        # The smallest of exponential variables is each one with a chance in
        # proportion to its rate (Efraimidis and Spirakis 2006); here as logarithms.
        shape = (ops.shape(patches)[0], patches.shape[1], view.layer.count)
        noise = keras.random.uniform(shape, 1e-7, 1.0, seed=seeds)
        energy = ops.sum(ops.square(ops.cast(features, "float32")), axis=-1)
        rates = power * ops.log(ops.reshape(energy, shape[:2]) + 1e-7)
        return ops.log(-ops.log(noise)) - rates[..., None]

    view.layer.prototypes.assign(_first_patches(view, dataset, race)["patch"])
    view.layer.forget_sources()


def _first_patches(view, dataset, value_of):
    """Of each prototype's class the patch of the smallest value.

    Args:
        view: `PrototypeView`.
        dataset: `tf.data.Dataset` of batches `(images, labels)`.
        value_of: Function from patches `(B, locations, D)` and the backbone's
            features `(B, h, w, K)` to values `(B, locations, m)`.

    Returns:
        Dict of tensors with one row a prototype: `value`, `image`, `place` among the
        locations, `patch`, and `map`, the values of the image's locations.
    """
    classes, count = tf.constant(view.classes), view.layer.count
    depth = view.layer.prototypes.shape[-1]
    locations = view.grid[0] * view.grid[1]
    features = view.model.get_layer("features").output
    both = keras.Model(view.model.input, [view.layer.input, features])
    best = {
        "value": tf.fill((count,), np.float32(np.inf)),
        "image": tf.fill((count,), -1),
        "place": tf.fill((count,), -1),
        "patch": tf.zeros((count, depth)),
        "map": tf.zeros((count, locations)),
    }

    @tf.function(reduce_retracing=True, autograph=False)
    def look(best, images, ids, labels):
        patches, features = both(images, training=False)
        patches = ops.cast(patches, "float32")
        values = value_of(patches, features)
        own = labels[:, None] == classes
        values = tf.where(own[:, None, :], values, np.inf)
        # One row a prototype: images and locations behind each other.
        rows = tf.reshape(tf.transpose(values, (2, 0, 1)), (count, -1))
        place = tf.argmin(rows, axis=-1, output_type=tf.int32)
        image, place = place // locations, place % locations
        new = {
            "value": tf.reduce_min(rows, axis=-1),
            "image": tf.gather(ids, image),
            "place": place,
            "patch": tf.gather_nd(patches, tf.stack([image, place], axis=-1)),
            "map": tf.gather_nd(
                tf.transpose(values, (0, 2, 1)),
                tf.stack([image, tf.range(count)], axis=-1),
            ),
        }
        smaller = new["value"] < best["value"]
        return {
            name: tf.where(
                tf.reshape(smaller, (-1,) + (1,) * (old.shape.rank - 1)), new[name], old
            )
            for name, old in best.items()
        }

    for images, ids, labels in checked_batches(dataset, view):
        best = look(best, images, ids, labels)
    missing = set(view.classes[~np.isfinite(best["value"].numpy())].tolist())
    if missing:
        raise ValueError(
            "The data to take prototypes from must have images of every class. "
            "Received: a dataset without any image of the classes "
            f"{sorted(missing)}"
        )
    return best
