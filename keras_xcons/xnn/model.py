"""XNN: explanation networks of a trained classifier."""

import dataclasses

import numpy as np
import tensorflow as tf

from keras_xcons import checks
from keras_xcons.explainers import explainer_of, frame_of
from keras_xcons.methods import following_method
from keras_xcons.models import split
from keras_xcons.options import make
from keras_xcons.xnn.evidence import Explanation, check_current, significant
from keras_xcons.xnn.features import classes_of_labels, collected
from keras_xcons.xnn.figures import doubts_of, figures_of
from keras_xcons.xnn.fitting import fit_networks, uneven
from keras_xcons.xnn.layers import ExplanationNetworks, fingerprint_of
from keras_xcons.xnn.network import is_xnn, xnn_classifier, xnn_view
from keras_xcons.xnn.options import XNNOptions
from keras_xcons.xnn.pictures import strongest_images, what_adds_up

# Images of each x-feature that a picture of a job shows.
_EXAMPLES = 3


@following_method(
    "xnn",
    title="XNN",
    purpose="A few x-features of a trained classifier, which its scores add up of.",
    paper="Qi et al. 2017, arXiv 1709.05360",
    follows="XNN explains a trained classifier and leaves it as it is, so there is "
    "nothing to train by steps.",
)
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
    All classes learn at once. Ours is where random networks start (see
    `keras_xcons.xnn.fitting`), that Adam decouples the weight decay, and the default
    widths and epochs.

    Args:
        classifier: A trained functional or Sequential `keras.Model` with a feature
            map; or one that has explanation networks already.
        classes: Sequence of ints, the classes to explain. Defaults to all.
        **options: See `keras_xcons.xnn.XNNOptions`; `num_features`, `hidden`, `epochs`
            before all.

    Attributes:
        Options: Table of the options, `XNNOptions`.
        method: What is registered of it, a `keras_xcons.methods.Method`.
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

    Options = XNNOptions

    def __init__(self, classifier, classes=None, **options):
        self.options = make(XNNOptions, {"classes": classes, **options})
        if is_xnn(classifier):
            given = {"classes", *options} if classes is not None else set(options)
            self.options = _as_it_has(xnn_view(classifier), self.options, given)
        else:
            classifier = xnn_classifier(
                classifier,
                self.options.classes,
                self.options.num_features,
                self.options.hidden,
            )
        self.model, self.networks, self.classifier = xnn_view(classifier)

    @classmethod
    def published_as(cls, architecture, arguments, options):
        """The architecture of a classifier with explanation networks.

        Args:
            architecture: Name of that of the classifier.
            arguments: Dict of its arguments.
            options: Dict of options of the networks.

        Returns:
            `(architecture, arguments)`, as `keras_xcons.models.create` takes them.
        """
        made = XNNOptions(**options)
        told = {"num_features": made.num_features, "hidden": list(made.hidden)}
        if made.classes is not None:
            told["classes"] = list(made.classes)
        if arguments:
            told["backbone_arguments"] = dict(arguments)
        return "xnn", {"backbone": architecture, **told}

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
        verbose = 1 if verbose in (None, "auto") else verbose
        features, scores, belongs = collected(
            view, networks.classes, dataset, verbose=min(verbose, 1)
        )
        belongs = self._checked(features, belongs)
        drawn = self._networks(networks.classes)
        history = fit_networks(drawn, features, scores, options, verbose=verbose)
        for attempt in range(1, options.retries + 1):
            again = uneven(drawn, features, belongs)
            if not again:
                break
            part = self._networks([networks.classes[each] for each in again])
            fit_networks(part, features, scores[:, again], options, attempt)
            _take_over(drawn, part, again)
        for mine, theirs in zip(_variables(networks), _variables(drawn), strict=True):
            mine.assign(theirs)
        networks.fingerprint.assign(fingerprint_of(self.classifier, networks.classes))
        return history

    def _networks(self, classes):
        """Networks for some classes, to be fitted."""
        return ExplanationNetworks(
            classes, self.networks.width, self.options.num_features, self.options.hidden
        )

    def _checked(self, features, belongs):
        if len(features) < max(2, self.options.num_features):
            raise ValueError(
                "Explanation networks take as many images as they have x-features, or "
                "more, and two at least. "
                f"Received: {len(features)} images with num_features="
                f"{self.options.num_features}"
            )
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

    doubts = staticmethod(doubts_of)

    def pictures(self, dataset, examples, class_names=None, count=3):
        """Draws what the scores of images of a data set add up of.

        Args:
            dataset: Iterable of batches `(images, labels)`, the images that are shown:
                the first of each class that has a network.
            examples: Iterable of batches, as a rule of the training images, of which
                those are shown on which an x-feature is strongest.
            class_names: Sequence of the names of all classes, or `None` for numbers.
            count: Number of classes that are shown, the first that have a network.
                Defaults to 3.

        Returns:
            List of `matplotlib.figure.Figure`, see `keras_xcons.xnn.what_adds_up`; of
            classes of which the data set has no image none.

        Raises:
            TypeError, ValueError: As `keras_xcons.XNN.explain`.
        """
        shown = self.networks.classes[:count]
        first = {}
        view = split(self.classifier)
        for images, labels in dataset:
            belongs = classes_of_labels(labels, len(images), view)
            for label in shown:
                if label not in first and belongs[:, label].any():
                    first[label] = np.asarray(images)[belongs[:, label].argmax()]
            if len(first) == len(shown):
                break
        strongest = strongest_images(self, examples, shown, _EXAMPLES)
        return [
            what_adds_up(self, first[label], label, strongest[label], class_names)
            for label in shown
            if label in first
        ]

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
        features, logits, belongs = collected(view, every, dataset, verbose)
        found = self.networks.x_features(tf.constant(np.asarray(features)))
        given = np.asarray(self.networks.contributions(found))
        scores = np.asarray(self.networks.scores(found))
        return figures_of(given, scores, logits, belongs, classes)


def _as_it_has(parts, options, given):
    """The options with the networks that a model has already, which must be those."""
    networks = parts.networks
    known = {
        "classes": tuple(networks.classes),
        "num_features": networks.num_features,
        "hidden": tuple(networks.hidden),
    }
    for name, value in known.items():
        if name in given and getattr(options, name) not in (None, value):
            raise ValueError(
                f"The model has explanation networks with {name}={value}. "
                f"Received: {name}={getattr(options, name)}"
            )
    return dataclasses.replace(options, **known)


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
