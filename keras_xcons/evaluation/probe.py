"""What is asked of a classifier during an evaluation, each compiled once."""

import numpy as np
import tensorflow as tf
from keras import ops

from keras_xcons import attacks, consistency, explainers
from keras_xcons.evaluation.frozen import frozen
from keras_xcons.explainers import Explained, explained_pass, find_targets, shown_maps
from keras_xcons.layers import scale_to_one
from keras_xcons.models.compiling import compiled

# Of the attacks' loss, as training in half precision scales its own (our choice).
_LOSS_SCALE, _LARGEST_SCALE = 2.0**10, 2.0**14


class Probe:
    """A classifier and the questions that metrics put to it.

    Args:
        view: `ClassifierView`.
        options: `EvaluationOptions`.
        multi_label: Whether labels are multi-hot.
        training: Whether the classifier is still being trained. Else it answers with
            the weights it has now, which is faster. Defaults to `False`.

    Attributes:
        frame: The `keras_xcons.models.Frame` of the maps.
    """

    def __init__(self, view, options, multi_label, training=False):
        self.view = view
        self._options = options
        self._multi_label = multi_label
        self._explainer = explainers.own_or_usual(view.model, options.explainer)
        self.frame = explainers.frame_of(view, self._explainer, multi_label)
        # An image of a class that is not among them has no heatmap.
        self._classes = explainers.classes_of(view, self._explainer, multi_label)
        images = tf.TensorSpec((None, *view.input_shape), tf.float32)
        labels = tf.TensorSpec((None,), tf.int32)
        classes = tf.TensorSpec((None, 1), tf.int32)
        if multi_label:
            labels = tf.TensorSpec((None, view.num_classes), tf.float32)
            classes = tf.TensorSpec((None, view.num_classes), tf.int32)
        valid = tf.TensorSpec(classes.shape, tf.float32)

        def ready(function, *signature):
            if training:
                return compiled(function, signature)
            return frozen(function, view.flat, signature)

        self._logits = ready(lambda x: view(x)[1], images)
        self._pass = ready(lambda x, c: explained_pass(view, x, c), images, classes)
        self._score = ready(self._class_probability, images, classes, valid)
        self._gradient = ready(self._loss_gradient, images, labels)

    def logits(self, images):
        """Float32 logits `(B, C)` of images `(B, H, W, channels)`."""
        return tf.cast(self._logits(images), tf.float32)

    def targets(self, images, labels):
        """The classes to explain, by the options: the labels' or the predicted.

        Args:
            images: Float tensor `(B, H, W, channels)` in 0..255.
            labels: Int32 `(B,)`, or multi-hot `(B, C)`.

        Returns:
            `Targets(classes, valid)`, `(B, P)`.
        """
        if self._options.explained == "label":
            found = labels
        elif self._multi_label:
            found = tf.cast(self.logits(images) > 0.0, tf.float32)
        else:
            found = tf.argmax(self.logits(images), axis=-1)
        targets = find_targets(found, self.view.num_classes, self._multi_label)
        if self._classes is None:
            return targets
        explained = np.isin(targets.classes, self._classes)
        return targets._replace(valid=targets.valid * explained.astype("float32"))

    def explain(self, images, targets):
        """Heatmaps and logits of images, the maps scaled as the options say.

        Args:
            images: Float tensor `(B, H, W, channels)` in 0..255.
            targets: `Targets`.

        Returns:
            `Explained(maps, logits, outputs)`, as of `computed`.
        """
        return self.normalized(self.computed(images, targets))

    def normalized(self, explained):
        """What `computed` has made, the maps scaled as the options say."""
        if self._options.normalize == "max":
            return explained
        maps = scale_to_one(explained.maps, self._options.normalize)
        return explained._replace(maps=maps)

    def computed(self, images, targets):
        """Heatmaps, divided by their maximum, and logits of images.

        Args:
            images: Float tensor `(B, H, W, channels)` in 0..255.
            targets: `Targets`.

        Returns:
            `Explained(maps, logits, outputs)`: maps `(B, P, h, w)` at the resolution
            at which the explainer computes.
        """
        if self._explainer == "gradcam++":
            return self._pass(images, targets.classes)
        logits = self.logits(images)
        return Explained(self._other_maps(images, targets), logits, logits)

    def score(self, images, targets):
        """The probability of the explained class; of several, their mean.

        Args:
            images: Float tensor `(B, H, W, channels)` in 0..255.
            targets: `Targets`.

        Returns:
            Float32 tensor `(B,)`, softmax, or sigmoid where several classes can be
            right.
        """
        return self._score(images, targets.classes, targets.valid)

    def probabilities(self, logits):
        """Softmax, or sigmoid where several classes can be right, float32."""
        return self.view.probabilities(logits, self._multi_label)

    def loss_gradient(self, images, labels):
        """Gradient of each image's own `attacks.margin_loss` with respect to the image.

        Args:
            images: Float tensor `(B, H, W, channels)` in 0..255.
            labels: Int32 `(B,)`, or multi-hot `(B, C)`.

        Returns:
            Float32 tensor, the shape of `images`.
        """
        return self._gradient(images, labels)

    def background(self, maps, targets, size):
        """The pixels that no explained class claims, `(B, H, W, 1)`."""
        maps, threshold = shown_maps(maps, targets), self._options.threshold
        return attacks.region_mask(maps, "background", threshold, size, self.frame)

    def consistency(self, maps, others, targets):
        """E of two sets of maps `(B, P, h, w)`, float32 `(B,)`; NaN without a map."""
        return consistency.explanation_consistency(
            maps, others, targets.valid, self._options.consistency_measure
        )

    def _other_maps(self, images, targets):
        """Maps `(B, P, h, w)` of another explainer, of the classes that count."""
        valid = np.asarray(targets.valid) > 0
        classes = np.array(targets.classes)
        if not valid.any():
            # For the size of a map; nobody looks at it.
            valid[0, 0] = True
            classes[0, 0] = 0 if self._classes is None else self._classes[0]
        rows, columns = np.nonzero(valid)
        found = explainers.explain(
            self.view,
            tf.gather(images, rows),
            classes[rows, columns],
            self._explainer,
            batch_size=len(images),
            resize=False,
            multi_label=self._multi_label,
        )
        maps = np.zeros((*valid.shape, *found.shape[1:]), "float32")
        maps[rows, columns] = found
        return tf.constant(maps)

    def _class_probability(self, images, classes, valid):
        chances = self.probabilities(self.view(images)[1])
        chosen = tf.gather(chances, classes, axis=1, batch_dims=1)
        return ops.sum(chosen * valid, -1) / ops.maximum(ops.sum(valid, -1), 1.0)

    def _loss_gradient(self, images, labels):
        with tf.GradientTape() as tape:
            tape.watch(images)
            logits = self.view(images)[1]
            loss = attacks.margin_loss(logits, labels, self._multi_label)
            # Only signs matter, and in float16 small gradients are zero. In units of
            # the logits, so that large ones do not make infinite gradients of it.
            unit = tf.reduce_max(tf.abs(tf.cast(logits, tf.float32)), axis=-1)
            scale = tf.minimum(_LOSS_SCALE / unit, _LARGEST_SCALE)
            loss = tf.reduce_sum(tf.stop_gradient(scale) * loss)
        return tf.cast(tape.gradient(loss, images), tf.float32)
