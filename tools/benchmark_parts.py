"""What explaining by a part costs, and a fit of explanation networks.

The groups `parts` and `xnn` of tools/benchmark.py.
"""

import statistics
import time

import numpy as np


def part_functions(classifier, images):
    """Explanations by a part, beside a forward pass of classifier and part.

    Args:
        classifier: `keras.Model`, which is not trained: weights cost nothing.
        images: Float32 tensor `(B, H, W, 3)` in 0..255.

    Returns:
        Dict from the name of a kind to a dict of two functions, the forward pass first.
    """
    import tensorflow as tf

    import keras_xcons as kx
    from keras_xcons.explainers import explainer_of
    from keras_xcons.xnn.features import feature_pass
    from keras_xcons.xnn.layers import fingerprint_of

    comet = kx.split(kx.comet.comet_classifier(classifier))
    whole = tf.function(lambda x: comet.model(x, training=False))
    selection = explainer_of(comet)
    xnn = kx.XNN(classifier)
    told = fingerprint_of(xnn.classifier, xnn.networks.classes)
    xnn.networks.fingerprint.assign(told)
    view, networks = kx.split(xnn.model), xnn.networks
    run = feature_pass(kx.split(xnn.classifier), networks.classes)

    @tf.function
    def scores(features):
        return networks.scores(networks.x_features(features))

    evidence = explainer_of(view)
    return {
        "comet": {
            "classifier and selector": lambda: np.asarray(whole(images)),
            "mask": lambda: np.asarray(selection(images)),
        },
        "xnn": {
            "classifier and networks": lambda: np.asarray(scores(run(images)[0])),
            "map of the class": lambda: np.asarray(evidence(images)),
        },
    }


def fit_seconds(rounds, images=1500, width=1280, classes=50):
    """Seconds of a fit of networks of 50 classes on cached features.

    Features are random, so that no class is retried: what a retry costs is the same
    for the classes that are.

    Args:
        rounds: Number of fits of one epoch of each kind, of whose times the medians
            are taken: a fit of all epochs is that many of them.
        images: Number of images.
        width: Number of features.
        classes: Number of classes.

    Returns:
        A row of the table of tools/benchmark.py.
    """
    import dataclasses

    from keras_xcons.xnn import ExplanationNetworks, XNNOptions
    from keras_xcons.xnn.fitting import fit_networks

    random = np.random.default_rng(0)
    features = random.exponential(size=(images, width)).astype("float32")
    scores = random.normal(size=(images, classes)).astype("float32")
    usual = XNNOptions()

    def seconds(epochs, pretraining):
        options = dataclasses.replace(
            usual, epochs=epochs, pretraining_epochs=pretraining
        )
        networks = ExplanationNetworks(
            range(classes), width, usual.num_features, usual.hidden
        )
        began = time.perf_counter()
        fit_networks(networks, features, scores, options)
        return time.perf_counter() - began

    found = []
    for _ in range(rounds):
        # What is compiled in each fit counts once.
        short, joint, both = seconds(1, 0), seconds(3, 0), seconds(1, 2)
        epoch, pretraining = (joint - short) / 2, both - short
        found.append(
            short
            + (usual.epochs - 1) * epoch
            + pretraining * usual.pretraining_epochs / 2
        )
    return {
        "group": "xnn",
        "model": f"{classes} classes, {images} images, {width} features",
        "variant": "fit",
        "median": round(statistics.median(found), 1),
        "unit": "s",
        "n": rounds,
        "limit": "<= 600 s",
    }
