"""How explanation networks are fitted: on features that are computed once."""

import sys

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_xcons.xnn.features import Features
from keras_xcons.xnn.layers import ClassDense, class_products

_TELLING = 2048
# Weights above which a step under XLA is several times as fast, and worth compiling.
_MANY = 2**20
_HAS_XLA = sys.platform != "darwin"
# Share of the first x-feature's contribution that the second must have (the paper's).
_SECOND = 0.3
# What a retry makes of the weights of reconstruction and pull-away term (the paper's).
_RECONSTRUCTION, _PULL_AWAY = 1.2, 0.8


def decoder_of(networks):
    """The mirror of the encoder, that reconstructs the features: a list of layers.

    Args:
        networks: `keras_xcons.xnn.ExplanationNetworks`.

    Returns:
        List of built `ClassDense`, from x-features to features.
    """
    count = len(networks.classes)
    widths = [networks.width, *networks.hidden, networks.num_features]
    layers = []
    for number in range(len(widths) - 1, 0, -1):
        # Features need not be positive where the network ends in no ReLU.
        activation = "relu" if number > 1 else None
        layer = ClassDense(count, widths[number - 1], activation, dtype="float32")
        layer.build((None, count, widths[number]))
        layers.append(layer)
    return layers


def draw(layers, classes, seed, attempt=0):
    """Draws the weights of layers, those of a class whatever others there are.

    Args:
        layers: List of built `ClassDense`.
        classes: List of the classes.
        seed: int.
        attempt: Number of the retry, which draws others. Defaults to 0.
    """
    for number, layer in enumerate(layers):
        shape, limit = layer.kernel.shape[1:], layer.limit
        drawn = [
            np.random.default_rng([seed, attempt, label, number]) for label in classes
        ]
        kernels = [each.uniform(-limit, limit, shape) for each in drawn]
        layer.kernel.assign(np.stack(kernels))


def pull_away(contributions, along="features"):
    """How far the contributions of each class are from orthogonal.

    The mean squared cosine of each two x-features over the images, or of each two
    images over the x-features.

    Args:
        contributions: Float tensor `(B, C, n)`.
        along: `"features"` or `"images"`. Defaults to `"features"`.

    Returns:
        Float tensor `(C,)` in 0..1; 0 where there is one alone.

    Reference:
        [Qi et al., 2017](https://arxiv.org/abs/1709.05360)
    """
    equation = "bck,bcl->ckl" if along == "features" else "ack,bck->cab"
    products = ops.einsum(equation, contributions, contributions)
    count = ops.shape(products)[-1]
    norms = ops.diagonal(products, axis1=1, axis2=2)
    scale = norms[:, :, None] * norms[:, None, :]
    known = scale > 1e-12
    cosines = ops.where(known, products**2 / ops.where(known, scale, 1.0), 0.0)
    total = ops.sum(cosines, axis=(1, 2)) - ops.sum(
        ops.diagonal(cosines, axis1=1, axis2=2), axis=1
    )
    pairs = ops.cast(count * (count - 1), "float32")
    return total / ops.maximum(pairs, 1.0)


def losses(networks, decoder, features, scores, options):
    """The terms of the loss of each class.

    Args:
        networks: `keras_xcons.xnn.ExplanationNetworks`.
        decoder: What `decoder_of` returns.
        features: Float tensor `(B, D)`.
        scores: Float tensor `(B, C)`, what the classifier gives.
        options: `XNNOptions`.

    Returns:
        `(prediction, reconstruction, pull_away)`, float tensors `(C,)` before their
        weights.
    """
    found = networks.x_features(features)
    prediction = ops.mean((networks.scores(found) - scores) ** 2, axis=0)
    rebuilt = found
    for layer in decoder:
        rebuilt = layer(rebuilt)
    errors = ops.mean((rebuilt - features[:, None, :]) ** 2, axis=0)
    reconstruction = ops.mean(ops.log1p(options.sparsity * errors), axis=-1)
    apart = pull_away(networks.contributions(found), options.orthogonal)
    return prediction, reconstruction, apart


class _Stage(keras.Model):
    """Learns layers by a loss of batches of features and scores.

    Args:
        parts: List of built layers.
        terms: Function of features and scores to a dict of scalars, `loss` first.
    """

    def __init__(self, parts, terms):
        super().__init__()
        self.parts, self._terms = parts, terms
        self.built = True

    def call(self, inputs):
        return inputs

    def train_step(self, data):
        features, scores = data
        with tf.GradientTape() as tape:
            terms = self._terms(features, scores)
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(terms["loss"], variables), variables)
        return terms

    def _is_large(self):
        weights = sum(np.prod(each.shape) for each in self.trainable_variables)
        return weights > _MANY

    def learn(self, data, epochs, options, verbose=0):
        optimizer = keras.optimizers.AdamW(
            options.learning_rate, weight_decay=options.weight_decay
        )
        self.compile(optimizer, jit_compile=self._is_large() and _HAS_XLA)
        return self.fit(data, epochs=epochs, verbose=verbose, shuffle=False).history


def balance(networks, features):
    """Sets the biases of random encoders so that units are on for some of the images.

    Features behind a ReLU are positive, so that what random weights make of them has
    one sign for all images: half of the x-features would be off for good. Ours.

    Args:
        networks: `keras_xcons.xnn.ExplanationNetworks`.
        features: Float32 array `(N, D)`; the first 2,048 tell.
    """
    found = tf.constant(np.asarray(features[:_TELLING]))
    for layer in networks.encoder:
        found = layer(_revived(layer, found, of_all=True))


def start_from_scores(networks, features, scores):
    """Gives the linear layer the mean and the deviation of the scores. Ours.

    What x-features add is positive at first: evidence for the class. Those that are
    off for all images after the pre-training are on for some again.

    Args:
        networks: `keras_xcons.xnn.ExplanationNetworks`.
        features: Float32 array `(N, D)`; the first 2,048 tell.
        scores: Float32 array `(N, C)`.
    """
    found = tf.constant(np.asarray(features[:_TELLING]))
    for layer in networks.encoder:
        found = layer(_revived(layer, found))
    wanted, last = np.asarray(scores[:_TELLING]), networks.output_layer
    kernel = np.abs(np.asarray(last.kernel))
    given = np.einsum("bck,ck->bc", np.asarray(found), kernel[:, :, 0])
    spread = given.std(axis=0)
    # Of a class whose x-features are the same for all images nothing is known.
    scale = np.where(spread > 0.0, wanted.std(axis=0) / np.maximum(spread, 1e-9), 1.0)
    last.kernel.assign(kernel * scale[:, None, None])
    last.bias.assign((wanted - given * scale).mean(axis=0)[:, None])


def _revived(layer, inputs, of_all=False):
    """Sets the biases of units that are off for all inputs, or of all; the inputs."""
    before = class_products(inputs, layer.kernel)
    off = of_all or ops.max(before + layer.bias, axis=0) <= 0.0
    layer.bias.assign(ops.where(off, -ops.mean(before, axis=0), layer.bias))
    return inputs


def pretrain(networks, decoder, data, options):
    """Trains each layer of encoder and decoder as an autoencoder of its inputs.

    Args:
        networks: `keras_xcons.xnn.ExplanationNetworks`.
        decoder: What `decoder_of` returns.
        data: `Features`.
        options: `XNNOptions`.
    """
    for place, (there, back) in enumerate(
        zip(networks.encoder, reversed(decoder), strict=True)
    ):
        before = networks.encoder[:place]

        def terms(features, scores, before=before, there=there, back=back):
            inputs = features
            for layer in before:
                inputs = layer(inputs)
            inputs = ops.stop_gradient(inputs)
            rebuilt = back(there(inputs))
            wanted = inputs if before else inputs[:, None, :]
            return {"loss": ops.sum(ops.mean((rebuilt - wanted) ** 2, axis=(0, 2)))}

        _Stage([there, back], terms).learn(data, options.pretraining_epochs, options)


def fit_networks(networks, features, scores, options, attempt=0, verbose=0):
    """Fits networks, from random weights on, to the scores of a classifier.

    Args:
        networks: `keras_xcons.xnn.ExplanationNetworks`.
        features: Float32 array `(N, D)`.
        scores: Float32 array `(N, C)`.
        options: `XNNOptions`.
        attempt: Number of the retry, which begins with other weights, and weighs the
            reconstruction more and the pull-away term less. Defaults to 0.
        verbose: As for `keras.Model.fit`. Defaults to 0.

    Returns:
        The history of the joint training, a dict of lists: means over the classes.
    """
    data = Features(features, scores, options.batch_size, options.seed)
    decoder = decoder_of(networks)
    layers = [*networks.encoder, networks.output_layer, *decoder]
    draw(layers, networks.classes, options.seed, attempt)
    balance(networks, features)
    if options.pretraining_epochs:
        pretrain(networks, decoder, data, options)
    start_from_scores(networks, features, scores)
    weights = (
        options.prediction_weight,
        _RECONSTRUCTION**attempt * options.reconstruction_weight,
        _PULL_AWAY**attempt * options.pull_away_weight,
    )

    def terms(features, scores):
        found = losses(networks, decoder, features, scores, options)
        # Classes have no weights in common: of the sum each learns as alone.
        loss = sum(w * ops.sum(t) for w, t in zip(weights, found, strict=True))
        names = ("prediction", "reconstruction", "pull_away")
        means = zip(names, map(ops.mean, found), strict=True)
        return {"loss": loss, **dict(means)}

    return _Stage(layers, terms).learn(data, options.epochs, options, verbose)


def uneven(networks, features, belongs):
    """Classes whose second x-feature contributes too little beside its first.

    Args:
        networks: Fitted `keras_xcons.xnn.ExplanationNetworks`.
        features: Float32 array `(N, D)`.
        belongs: Boolean array `(N, C)`, which images are of which class.

    Returns:
        List of places in `networks.classes`.
    """
    total = np.zeros((len(networks.classes), networks.num_features))
    for start in range(0, len(features), 256):
        part = slice(start, start + 256)
        found = networks.x_features(tf.constant(np.asarray(features[part])))
        given = np.maximum(np.asarray(networks.contributions(found)), 0.0)
        total += np.einsum("bck,bc->ck", given, belongs[part].astype("float64"))
    ranked = np.sort(total, axis=1)[:, ::-1]
    if ranked.shape[1] < 2:
        return []
    # Where no x-feature is left, each is as strong as the first.
    little = (ranked[:, 1] < _SECOND * ranked[:, 0]) | (ranked[:, 1] <= 0.0)
    return np.flatnonzero(little).tolist()
