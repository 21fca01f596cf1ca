"""A tiny ProtoPNet, its data and its trainer, for the tests of its training."""

import keras
import numpy as np
import tensorflow as tf

from keras_xcons.methods import PlainModel
from keras_xcons.models import create
from keras_xcons.options import fields
from keras_xcons.protopnet.objective import ProtoPNetOptions

CLASSES, COUNT, BATCH = 3, 18, 6
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def classifier(prototypes=2, seed=1, **arguments):
    keras.utils.set_random_seed(seed)
    return create(
        "protopnet",
        CLASSES,
        32,
        backbone="small_cnn",
        prototypes=prototypes,
        channels=8,
        backbone_arguments={"width": 4},
        **arguments,
    )


def arrays():
    """Noise whose strength tells the class."""
    random = np.random.default_rng(0)
    labels = np.arange(COUNT, dtype="int32") % CLASSES
    images = random.uniform(0, 255, (COUNT, 32, 32, 3))
    images *= (1 + labels[:, None, None, None]) / CLASSES
    return images.astype("float32"), labels


def dataset():
    return tf.data.Dataset.from_tensor_slices(arrays()).batch(BATCH)


def trainer(model=None, optimizer=None, kind=PlainModel, eager=True, **options):
    of_family = {n: options.pop(n) for n in fields(ProtoPNetOptions) if n in options}
    model = classifier() if model is None else model
    made = kind(model, objective=of_family, **options)
    optimizer = keras.optimizers.Adam(3e-3) if optimizer is None else optimizer
    made.compile(optimizer, LOSS, metrics=["accuracy"], run_eagerly=eager)
    return made


def weights_of(model):
    """The weights of each group, as one vector each."""
    groups = {"features": [], "prototypes": [], "logits": [], "moving": []}
    for weight in model.weights:
        if not weight.trainable:
            if "moving" in weight.path:
                groups["moving"].append(weight)
        elif weight.path.startswith(("add_on", "prototypes")):
            groups["prototypes"].append(weight)
        else:
            group = "logits" if weight.path.startswith("logits") else "features"
            groups[group].append(weight)
    return {
        name: np.concatenate([np.zeros(0), *(np.ravel(weight) for weight in weights)])
        for name, weights in groups.items()
    }


def changed(model, before):
    """The names of the groups whose weights are not what they were."""
    after = weights_of(model)
    return {name for name in after if np.any(after[name] != before[name])}
