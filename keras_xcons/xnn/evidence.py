"""What explanation networks say of an image: x-features, contributions, heatmaps."""

import dataclasses

import numpy as np
import tensorflow as tf
from keras import ops

from keras_xcons.explainers import Panel, as_pictures, register
from keras_xcons.layers import scale_to_one
from keras_xcons.models.compiling import CompiledMaps
from keras_xcons.plotting import overlay
from keras_xcons.xnn.layers import fingerprint_of
from keras_xcons.xnn.network import is_xnn, xnn_view

# Share of the positive evidence that the significant x-features cover (the paper's).
COVERED = 0.9
_PANELS = 3


@dataclasses.dataclass(frozen=True, eq=False)
class Explanation:
    """What the network of a class says of images.

    Attributes:
        classes: Int array `(B,)`, the class that is explained in each image.
        x_features: Float32 array `(B, n)`, not negative.
        contributions: Float32 array `(B, n)`: with `bias` they sum to `scores`.
        bias: Float32 array `(B,)`, the same for every image of a class.
        scores: Float32 array `(B,)`, the score that the network gives the class.
        logits: Float32 array `(B,)`, the score that the classifier gives it.
        significant: Boolean array `(B, n)`, the fewest x-features that cover 90 % of
            the positive contributions.
        heatmaps: Float32 array `(B, n, H, W)` in 0..1, where in the image each
            x-feature finds what it is strong for; all zeros where nowhere.
    """

    classes: np.ndarray
    x_features: np.ndarray
    contributions: np.ndarray
    bias: np.ndarray
    scores: np.ndarray
    logits: np.ndarray
    significant: np.ndarray
    heatmaps: np.ndarray


def significant(contributions, covered=COVERED):
    """The fewest x-features that cover a share of the positive evidence.

    Args:
        contributions: Array `(B, n)`.
        covered: Share in (0, 1]. Defaults to 0.9, the paper's.

    Returns:
        Boolean array `(B, n)`; all false where nothing is positive.

    Example:

    >>> significant(np.array([[5.0, 4.6, 0.4, -3.0]]))
    array([[ True,  True, False, False]])
    """
    positive = np.maximum(np.asarray(contributions, "float64"), 0.0)
    order = np.argsort(-positive, axis=1, kind="stable")
    ranked = np.take_along_axis(positive, order, axis=1)
    before = np.cumsum(ranked, axis=1) - ranked
    total = ranked.sum(axis=1, keepdims=True)
    # Needed is what is not covered by those before; a rounding does not count.
    needed = (before < covered * total * (1.0 - 1e-9)) & (ranked > 0.0)
    found = np.zeros_like(needed)
    np.put_along_axis(found, order, needed, axis=1)
    return found


@register("xnn", is_own=is_xnn)
class XFeatureEvidence:
    """Heatmaps of the positive evidence of a class, by its explanation network.

    A score is `w · E(Z) + b` of the mean Z of the feature map A over all places, so the
    gradient of each x-feature tells what a place adds to it: the map of x-feature k is
    `relu(Σ_d ∂E_k/∂Z_d · A_d)`, and that of a class the sum of those times their
    contributions, where they are positive, divided by its maximum. The sum is ours.

    Args:
        view: `ClassifierView` of a classifier with explanation networks.

    Call arguments:
        images: Float32 tensor `(B, H, W, channels)` in 0..255.
        labels: Integer tensor `(B,)`, classes that have a network, or `None` for the
            one with a network that the classifier gives the highest score.

    Returns, when called:
        Float32 tensor `(B, h, w)` in 0..1.

    Attributes:
        classes: List of the classes that can be explained, those that have a network.

    Raises:
        ValueError: The classifier has no explanation networks, or has changed since
            they were fitted; when called, if a class has no network.

    Example:

    >>> maps = keras_xcons.explain(xnn.model, images)

    Reference:
        [Qi et al., 2017](https://arxiv.org/abs/1709.05360)
    """

    def __init__(self, view):
        self._view, self._parts = view, xnn_view(view)
        check_current(self._parts)
        self.frame = view.frame.aligned(None)
        self.classes = self._parts.networks.classes
        self._maps = CompiledMaps(self._class_maps)
        self._all = CompiledMaps(self._evidence)

    def __call__(self, images, labels=None):
        self._check(labels)
        return self._maps(images, labels)

    def _check(self, labels):
        # Each time: it is kept with the model, which may have been trained since.
        check_current(self._parts)
        if labels is not None:
            check_classes(np.asarray(labels), self._parts.networks)

    def evidence(self, images, labels=None):
        """All that the networks say of images, in the resolution of the features.

        Args:
            images: As when called.
            labels: As when called.

        Returns:
            Tuple of tensors: classes `(B,)`, x-features, contributions `(B, n)`, bias,
            scores, logits `(B,)`, and maps `(B, n, h, w)` in 0..1.

        Raises:
            ValueError: A class has no network.
        """
        self._check(labels)
        return self._all(images, labels)

    def panels(self, images, labels=None):
        """The x-features of each image that contribute most, with what they do.

        Args:
            images: Float32 tensor `(B, H, W, channels)` in 0..255.
            labels: As when called.

        Returns:
            List of `keras_xcons.explainers.Panel`, three or as many as there are; the
            caption of the last one has what is left of the network's score, and that
            of the classifier.
        """
        found = map(np.asarray, self.evidence(images, labels))
        *_, given, _, scores, logits, maps = found
        size, order = images.shape[1:3], np.argsort(-given, axis=1)[:, :_PANELS]
        pictures, frame = as_pictures(images), self._view.frame
        told = np.take_along_axis(given, order, axis=1)
        found = []
        for place, chosen in enumerate(order.T):
            mine = maps[np.arange(len(maps)), chosen]
            laid = np.asarray(frame.place(tf.constant(mine), size))
            shown = [overlay(*pair) for pair in zip(pictures, laid, strict=True)]
            captions = [
                f"x-feature {number + 1}: {value:+.2f}"
                for number, value in zip(chosen, told[:, place], strict=True)
            ]
            if place == order.shape[1] - 1:
                rest = scores - told.sum(axis=1)
                captions = [
                    f"{words}, others and bias {left:+.2f}: {score:.2f}; the "
                    f"classifier gives {own:.2f}"
                    for words, left, score, own in zip(
                        captions, rest, scores, logits, strict=True
                    )
                ]
            found.append(Panel(f"x-feature {place + 1}", np.stack(shown), captions))
        return found

    def _evidence(self, images, labels):
        networks = self._parts.networks
        activations, logits, _ = self._view(images)
        activations = ops.cast(activations, "float32")
        own = ops.take(ops.cast(logits, "float32"), networks.classes, axis=1)
        if labels is None:
            places = ops.argmax(own, axis=1)
        else:
            same = labels[:, None] == tf.constant(networks.classes, tf.int32)
            places = ops.argmax(ops.cast(same, "int32"), axis=1)
        places = ops.cast(places, "int32")

        def chosen(values):
            return tf.gather(values, places, axis=1, batch_dims=1)

        features = ops.mean(activations, axis=(1, 2))
        maps = []
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(features)
            every = networks.x_features(features)
            found = chosen(every)
            each = tf.unstack(found, axis=1)
        for one in each:
            slopes = tape.gradient(one, features)
            maps.append(ops.relu(ops.einsum("bhwd,bd->bhw", activations, slopes)))
        given = chosen(networks.contributions(every))
        bias = ops.take(networks.output_layer.bias[:, 0], places)
        classes = ops.take(tf.constant(networks.classes, tf.int32), places)
        scores = ops.sum(given, axis=1) + bias
        return (
            *(classes, found, given, bias, scores, chosen(own)),
            scale_to_one(ops.stack(maps, axis=1)),
        )

    def _class_maps(self, images, labels):
        *_, given, _, _, _, maps = self._evidence(images, labels)
        return scale_to_one(ops.einsum("bk,bkhw->bhw", ops.relu(given), maps))


def check_classes(labels, networks):
    """Refuses classes that have no network.

    Args:
        labels: Int array `(B,)`.
        networks: `keras_xcons.xnn.ExplanationNetworks`.

    Raises:
        ValueError: One has none.
    """
    missing = sorted(set(labels.tolist()) - set(networks.classes))
    if missing:
        raise ValueError(
            "There are explanation networks for the classes "
            f"{networks.classes} alone. Received: class {missing[0]}"
        )


def check_current(parts):
    """Refuses networks of another classifier than the one that they explain.

    Args:
        parts: `keras_xcons.xnn.XNNView`.

    Raises:
        ValueError: They are not fitted yet, or the classifier has changed since.
    """
    known = np.asarray(parts.networks.fingerprint)
    if not known.any():
        raise ValueError(
            "The explanation networks are not fitted yet: call `keras_xcons.XNN.fit`. "
            f"Received: model={parts.model.name!r}"
        )
    if not np.array_equal(
        known, fingerprint_of(parts.classifier, parts.networks.classes)
    ):
        raise ValueError(
            "The classifier has changed since its explanation networks were fitted, "
            "or they were fitted to other classes, and would explain what they do not "
            "know. Fit them anew, by `keras_xcons.XNN(model).fit(...)`. Received: "
            f"model={parts.model.name!r} with classes={parts.networks.classes}"
        )
