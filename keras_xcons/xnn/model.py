"""XNN: explanation networks of a trained classifier."""

import numpy as np
import tensorflow as tf

from keras_xcons import checks
from keras_xcons.explainers import explainer_of, frame_of
from keras_xcons.models import split
from keras_xcons.options import make
from keras_xcons.xnn.evidence import Explanation, check_current, significant
from keras_xcons.xnn.features import collected
from keras_xcons.xnn.fitting import fit_networks, retry_factors, uneven
from keras_xcons.xnn.layers import ExplanationNetworks, fingerprint_of
from keras_xcons.xnn.network import is_xnn, xnn_classifier, xnn_view
from keras_xcons.xnn.options import XNNOptions


class XNN:
    """Explanation networks: a few x-features that a class's score is the sum of.

    For each class a small network predicts the score that a trained classifier gives
    it, from the classifier's own features, by way of a few x-features that are made to
    differ from each other. The classifier is not touched, and its answers stay as they
    are, to the bit.

    The features Z are the mean of the feature map over all places. An encoder E of
    three layers makes n x-features of them, a linear layer the score `ŷ = w · E(Z) + b`
    and a mirrored decoder Ẑ. Each class learns by

        p · mean (ŷ - y)² + r · mean_d log(1 + q · mean (Ẑ_d - Z_d)²) + o · PT

    with p `prediction_weight`, r `reconstruction_weight`, q `sparsity` and o
    `pull_away_weight`; PT is the mean squared cosine of each two contributions w E.
    All classes learn at once. Where random networks start (see
    `keras_xcons.xnn.fitting`), and that Adam decouples the weight decay, is
    ours.

    Args:
        classifier: A trained functional or Sequential `keras.Model` with a feature
            map; or one that has explanation networks already.
        classes: Sequence of ints, the classes to explain. Defaults to all.
        **options: See `keras_xcons.xnn.XNNOptions`; `num_features`, `hidden`, `epochs`
            before all.

    Attributes:
        model: The classifier with its networks, a `keras.Model`: save, publish and
            explain this one.
        options: The `XNNOptions`.

    Raises:
        TypeError, ValueError: The classifier cannot be split, or an argument is not
            accepted.

    Example:

    >>> xnn = keras_xcons.XNN(classifier, classes=[0, 3], num_features=5)
    >>> xnn.fit(train_ds)
    >>> found = xnn.explain(images)
    >>> found.contributions.sum(axis=1) + found.bias  # is found.scores
    >>> xnn.model.save("xnn.keras")

    Reference:
        [Qi et al., 2017](https://arxiv.org/abs/1709.05360)
    """

    def __init__(self, classifier, classes=None, **options):
        known = {}
        if is_xnn(classifier):
            networks = xnn_view(classifier).networks
            if classes is not None and list(classes) != networks.classes:
                raise ValueError(
                    "The model has explanation networks for the classes "
                    f"{networks.classes}. Received: classes={checks.shown(classes)}"
                )
            known = {
                "num_features": networks.num_features,
                "hidden": tuple(networks.hidden),
            }
            for name, value in known.items():
                if name in options and tuple(np.ravel(options[name])) != tuple(
                    np.ravel(value)
                ):
                    raise ValueError(
                        f"The model has explanation networks with {name}={value}. "
                        f"Received: {name}={checks.shown(options[name])}"
                    )
        self.options = make(XNNOptions, {**options, **known})
        if not known:
            classifier = xnn_classifier(
                classifier, classes, self.options.num_features, self.options.hidden
            )
        self.model, self.networks, self.classifier = xnn_view(classifier)

    def fit(self, dataset, verbose=1):
        """Fits the networks to the classifier as it is now.

        Features and scores of all images are computed once. Classes whose second
        x-feature contributes less than 0.3 of the first, in images of the class, are
        trained anew, up to `retries` times.

        Args:
            dataset: `tf.data.Dataset` of batches `(images, labels)`, or another
                iterable of such; labels are integers, or one-hot or multi-hot.
            verbose: As for `keras.Model.fit`. Defaults to 1.

        Returns:
            Dict from `"loss"`, `"prediction"`, `"reconstruction"` and `"pull_away"` to
            their values by epoch, of the first training of all classes.

        Raises:
            ValueError: A class has no images, or there are fewer images than
                x-features; before anything is learned.
        """
        options, networks = self.options, self.networks
        view = split(self.classifier)
        features, scores, labels = collected(
            view, networks.classes, dataset, verbose=min(verbose, 1)
        )
        belongs = self._checked(features, labels, view.num_classes)
        drawn = self._networks(networks.classes, 0)
        history = fit_networks(drawn, features, scores, options, verbose=verbose)
        for attempt in range(1, options.retries + 1):
            again = uneven(drawn, features, belongs)
            if not again:
                break
            part = self._networks([networks.classes[each] for each in again], attempt)
            factors = retry_factors(attempt)
            fit_networks(part, features, scores[:, again], options, factors)
            _take_over(drawn, part, again)
        for mine, theirs in zip(_variables(networks), _variables(drawn), strict=True):
            mine.assign(theirs)
        networks.fingerprint.assign(fingerprint_of(self.classifier))
        return history

    def _networks(self, classes, attempt):
        """Networks of random weights for some classes."""
        made = ExplanationNetworks(
            classes, self.networks.width, self.options.num_features, self.options.hidden
        )
        random = np.random.default_rng([self.options.seed, attempt])
        for layer in (*made.encoder, made.output_layer):
            limit = np.sqrt(6.0 / sum(layer.kernel.shape[1:]))
            layer.kernel.assign(random.uniform(-limit, limit, layer.kernel.shape))
        return made

    def _checked(self, features, labels, num_classes):
        if len(features) < max(2, self.options.num_features):
            raise ValueError(
                "Explanation networks take more images than they have x-features. "
                f"Received: {len(features)} images with num_features="
                f"{self.options.num_features}"
            )
        if labels.ndim == 2 and labels.shape[1] == num_classes:
            belongs = labels > 0.5
        else:
            belongs = labels.reshape(-1, 1) == np.arange(num_classes)
        belongs = belongs[:, self.networks.classes]
        for number, count in zip(self.networks.classes, belongs.sum(0), strict=True):
            if not count:
                raise ValueError(
                    "Every class that is explained needs images of it. Received: none "
                    f"of class {number}"
                )
        return belongs

    def explain(self, images, labels=None, batch_size=32):
        """What the networks say of images.

        Args:
            images: Array or tensor `(B, H, W, channels)` in 0..255.
            labels: Integers `(B,)`, the class to explain in each image, or `None` for
                the one with a network that the classifier gives the highest score.
            batch_size: Number of images computed at a time. Defaults to 32.

        Returns:
            A `keras_xcons.xnn.Explanation`.

        Raises:
            TypeError: The images are no numbers.
            ValueError: The networks are not fitted, the classifier has changed since,
                or images or labels are not as described.
        """
        checks.positive_int("batch_size", batch_size)
        view = split(self.model)
        check_current(xnn_view(self.model))
        explainer, frame = explainer_of(view, "xnn"), frame_of(view, "xnn")
        images = checks.image_batch(images, view.input_shape)
        if labels is not None:
            labels = checks.class_labels(labels, len(images), view.num_classes)
        parts = []
        for start in range(0, len(images), batch_size):
            part = slice(start, start + batch_size)
            given = None if labels is None else tf.constant(labels[part])
            *found, maps = explainer.evidence(tf.constant(images[part]), given)
            count, size = len(images[part]), images.shape[1:3]
            laid = frame.place(tf.reshape(maps, (-1, *maps.shape[2:])), size)
            laid = np.asarray(laid).reshape(count, -1, *size)
            parts.append([*map(np.asarray, found), laid])
        classes, features, given, bias, scores, logits, maps = (
            np.concatenate(each) for each in zip(*parts, strict=True)
        )
        return Explanation(
            classes=classes,
            x_features=features,
            contributions=given,
            bias=bias,
            scores=scores,
            logits=logits,
            significant=significant(given),
            heatmaps=maps,
        )

    def evaluate(self, dataset, verbose=0):
        """How true the networks are to the classifier, and how orthogonal.

        Args:
            dataset: As for `fit`, with integer labels.
            verbose: 1 to show progress. Defaults to 0.

        Returns:
            Dict: `rmse`, of the scores, the mean over the classes; `relative_rmse`, the
            same as a share of the range of the scores; `correlation` of scores;
            `accuracy` of the classifier, and `substituted_accuracy`, with the networks'
            scores in the place of its own; `off_diagonal_correlation`, the mean
            magnitude of the correlation of each two contributions of a class; and
            `significant_features`, their mean number an image, of the class with a
            network that the classifier gives the highest score. The definitions of the
            last two are ours.

        Raises:
            ValueError: The networks are not fitted, or the classifier has changed.
        """
        check_current(xnn_view(self.model))
        view, classes = split(self.classifier), self.networks.classes
        every = list(range(view.num_classes))
        features, logits, labels = collected(view, every, dataset, verbose)
        own = logits[:, classes]
        found = self.networks.x_features(tf.constant(np.asarray(features)))
        given = np.asarray(self.networks.contributions(found))
        scores = np.asarray(self.networks.scores(found))
        errors = np.sqrt(((scores - own) ** 2).mean(axis=0))
        substituted = logits.copy()
        substituted[:, classes] = scores
        labels = labels.argmax(axis=1) if labels.ndim == 2 else labels
        best = own.argmax(axis=1)
        chosen = given[np.arange(len(best)), best]
        return {
            "rmse": float(errors.mean()),
            "relative_rmse": float((errors / np.ptp(own, axis=0)).mean()),
            "correlation": float(
                np.mean(
                    [_correlation(a, b) for a, b in zip(own.T, scores.T, strict=True)]
                )
            ),
            "accuracy": float((logits.argmax(axis=1) == labels).mean()),
            "substituted_accuracy": float(
                (substituted.argmax(axis=1) == labels).mean()
            ),
            "off_diagonal_correlation": float(
                np.nanmean([_off_diagonal(each) for each in given.transpose(1, 0, 2)])
            ),
            "significant_features": float(significant(chosen).sum(axis=1).mean()),
        }


def _correlation(one, two):
    if np.ptp(one) == 0.0 or np.ptp(two) == 0.0:
        return float("nan")
    return float(np.corrcoef(one.astype("float64"), two.astype("float64"))[0, 1])


def _off_diagonal(contributions):
    """Mean magnitude of the correlation of each two columns; NaN without a pair."""
    moving = contributions[:, np.ptp(contributions, axis=0) > 0.0].astype("float64")
    if moving.shape[1] < 2:
        return float("nan")
    found = np.abs(np.corrcoef(moving.T))
    return float(found[~np.eye(len(found), dtype=bool)].mean())


def _variables(networks):
    return [
        variable
        for layer in (*networks.encoder, networks.output_layer)
        for variable in (layer.kernel, layer.bias)
    ]


def _take_over(networks, part, places):
    """Puts the networks of some classes into those of all."""
    for mine, theirs in zip(_variables(networks), _variables(part), strict=True):
        whole = np.array(mine)
        whole[places] = np.array(theirs)
        mine.assign(whole)
