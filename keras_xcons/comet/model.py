"""COMET: training of a mask that holds all that a class is told by."""

import keras
import tensorflow as tf
from keras import ops

from keras_xcons import checks
from keras_xcons.comet.network import comet_classifier, takes_images_of
from keras_xcons.comet.optimizers import PartsOptimizer
from keras_xcons.comet.options import COMETOptions
from keras_xcons.comet.preparing import COMETPreparation, TrainingData
from keras_xcons.comet.view import comet_view, is_comet
from keras_xcons.explainers import find_targets
from keras_xcons.methods import Objective, TrainingMethod, training_method
from keras_xcons.methods.objective import objective_of
from keras_xcons.methods.passes import has_weight, replicas
from keras_xcons.models import copy_model, split
from keras_xcons.models.accepting import check_model

_PARTS = ("selector", "predictor")


@training_method(
    "comet",
    title="COMET",
    purpose="A mask must hold all that the class is told by, and nothing else.",
    paper="Zhang et al. 2024, arXiv 2407.19308",
    never_plain="It trains a selector in front of the classifier, and two losses.",
)
class COMETModel(TrainingMethod):
    """Trains a selector and a predictor: the mask shows all that the class is told by.

    A selector S makes a mask of an image x, the predictor classifies what is selected,
    and a frozen detector, trained on whole images, looks at what is left:

        x_s = S ⊙ x + (1 - S) ⊙ q,   x_rest = (1 - S) ⊙ x + S ⊙ q

    with the mean colour q of the images that it has seen. The predictor learns by the
    caller's loss of x_s alone, L. The selector learns by

        L + d · mean max(0, CE_P(x_s) - CE_D(x_rest) + gap) + b · mean max(0, area - m)

    with cross-entropies CE of predictor and detector, d `detector_weight`, b
    `area_weight` and m `max_area`: as its authors ran it. `preset="paper"` is the loss
    of the paper, `L - d · mean CE_D(x_rest) + b · mean area`.

    Ours is that the default selector is a copy of the predictor's backbone with the
    head of LR-ASPP (the authors' is LR-ASPP on MobileNetV3), and that the predictor
    begins as the detector (`detector_epochs`).

    `classifier` is the trained model, images to scores, with the selector as a part of
    it: `keras_xcons.explain` gives its mask, `keras_xcons.comet.comet_view` its parts.

    `compile` takes one optimizer for both parts, or a dict
    `{"selector": ..., "predictor": ...}`, each with its own rate and loss scale. The
    authors took AdamW for each, rate 5e-4, weight decay 0.03, with a linear warm-up.

    Logs of `fit`, beside the caller's: `selector_loss`; `mask_area`, the mean share of
    the image that is selected; and `told_outside`, the share of images whose rest the
    detector still tells the class of.

    Raises:
        TypeError, ValueError: The classifier, selector or detector is none, they do
            not fit each other, or an option is not accepted; from `fit`, if images or
            labels are not as the classifier takes them.

    Example:

    >>> trainer = keras_xcons.COMETModel(classifier)
    >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> rates = {"selector": "adamw", "predictor": "adamw"}
    >>> trainer.compile(optimizer=rates, loss=loss, metrics=["accuracy"])
    >>> trainer.fit(train_ds, epochs=30)
    >>> masks = keras_xcons.explain(trainer, images)

    Reference:
        [Zhang et al., 2024](https://arxiv.org/abs/2407.19308)
    """

    Options = COMETOptions
    takes_objectives = False
    starts_from = "plain"
    started = {"detector_epochs": 0}
    networks = {
        "selector": "A `keras.Model`, images to masks `(B, h, w, 1)` in 0..1. Default: "
        "`keras_xcons.comet.default_selector`. None for a classifier that has one.",
        "detector": "A trained classifier of whole images; copied and frozen. Default: "
        "the predictor after `detector_epochs`.",
    }

    def compose(self, classifier, options, selector=None, detector=None):
        if isinstance(classifier, keras.Model) and is_comet(classifier):
            if selector is not None:
                raise ValueError(
                    "The classifier has a selector already: pass none, or its "
                    "predictor alone, `keras_xcons.comet.comet_view(model).predictor`. "
                    f"Received: selector={checks.shown(selector)}"
                )
        else:
            # A pair, a view or a training model: its classifier.
            view = split(classifier, needs_features=False)
            family = objective_of(view)
            if type(family) is not Objective:
                raise ValueError(
                    "COMET trains a predictor by the caller's loss alone; a classifier "
                    "with an objective, as a ProtoPNet has one, is not for it. "
                    f"Received: a classifier with a {type(family).__name__}"
                )
            classifier = comet_classifier(view.model, selector)
        predictor = comet_view(classifier).predictor
        if detector is not None:
            _check_detector(detector, predictor)
        detector = copy_model(predictor if detector is None else detector)
        # Frozen for good: its batch normalisation, too.
        detector.trainable = False
        return classifier, {"detector": detector}

    @classmethod
    def published_as(cls, architecture, arguments, options):
        del options
        if architecture == "comet":
            return architecture, arguments
        of_backbone = {"backbone_arguments": dict(arguments)} if arguments else {}
        return "comet", {"backbone": architecture, **of_backbone}

    def setup(self):
        self._parts = comet_view(self.classifier)
        self._predictor = split(self._parts.predictor, needs_features=False)
        self._judge = split(self.detector, needs_features=False)
        self.prepared = self.add_weight(
            shape=(),
            dtype="int32",
            initializer="zeros",
            trainable=False,
            name="prepared",
        )
        self._selector_loss = keras.metrics.Mean(name="selector_loss")
        self._area = keras.metrics.Mean(name="mask_area")
        self._told = keras.metrics.Mean(name="told_outside")
        self.trackers += [self._selector_loss, self._area, self._told]

    def compile(self, optimizer="rmsprop", loss=None, **kwargs):
        """Configures the training; see `keras.Model.compile`.

        Args:
            optimizer: One for selector and predictor, or a dict of both by part.
            loss: The predictor's loss, which is part of the selector's.
            **kwargs: As there.

        Raises:
            ValueError: A dict is not of the two parts.
        """
        if isinstance(optimizer, dict):
            if set(optimizer) != set(_PARTS):
                raise ValueError(
                    "`optimizer` must be one optimizer, or a dict with one for each of "
                    f"{' and '.join(map(repr, _PARTS))}. Received: a dict with "
                    f"{list(optimizer)}"
                )
            for part, each in optimizer.items():
                if not isinstance(each, str | dict | keras.optimizers.Optimizer):
                    raise TypeError(
                        "Each part needs an optimizer or the name of one. Received: "
                        f"{part}={checks.shown(each)}"
                    )
            if optimizer["selector"] is optimizer["predictor"] and not isinstance(
                optimizer["selector"], str
            ):
                raise ValueError(
                    "Each part needs an optimizer of its own. Received: the same "
                    f"{type(optimizer['selector']).__name__} for both"
                )
            scales = kwargs.get("auto_scale_loss", True)
            half = self.dtype_policy.name == "mixed_float16"
            optimizer = PartsOptimizer(
                {
                    part: _scaled(keras.optimizers.get(optimizer[part]), half, scales)
                    for part in _PARTS
                }
            )
        if isinstance(optimizer, PartsOptimizer):
            optimizer.set_parts(self.variables_of_parts)
            kwargs["auto_scale_loss"] = False
        super().compile(optimizer=optimizer, loss=loss, **kwargs)

    @property
    def variables_of_parts(self):
        """Dict from `"selector"` and `"predictor"` to their trainable variables."""
        return {
            "selector": self._parts.selection.trainable_variables,
            "predictor": self._parts.predictor.trainable_variables,
        }

    def fit_callbacks(self, callbacks, x, y, **given):
        if not self.needs_detector:
            return callbacks
        # Last, after what was backed up has been restored.
        return [*callbacks, COMETPreparation(TrainingData(x, y, **given))]

    def train_on_batch(self, *args, **kwargs):
        """Trains both parts on a batch; see `keras.Model.train_on_batch`.

        Raises:
            RuntimeError: The detector is not trained yet.
        """
        if self.needs_detector:
            raise RuntimeError(
                "The detector is trained by `fit`, which has not run. Pass a trained "
                "`detector`, or `detector_epochs=0` for a predictor that is trained. "
                f"Received: detector_epochs={self.options.detector_epochs}"
            )
        return super().train_on_batch(*args, **kwargs)

    @property
    def needs_detector(self):
        """Whether the detector has still to be trained."""
        given = "detector" in self.given_networks
        wanted = self.options.detector_epochs > 0 and not given
        return wanted and not ops.convert_to_numpy(self.prepared).any()

    def learn(self, batch):
        parts = self.variables_of_parts
        with tf.GradientTape(persistent=True) as tape:
            loss, selecting, outputs = self._part_losses(batch)
            with tape.stop_recording():
                scale = self._scales()
            scaled = scale["predictor"](loss), scale["selector"](selecting)
        gradients = [
            *tape.gradient(scaled[1], parts["selector"]),
            *tape.gradient(scaled[0], parts["predictor"]),
        ]
        del tape
        self.optimizer.apply(gradients, [*parts["selector"], *parts["predictor"]])
        self.track_loss(loss, batch.labels_given)
        return outputs

    def _scales(self):
        """How the loss of each part is scaled."""
        if isinstance(self.optimizer, PartsOptimizer):
            return {
                part: optimizer.scale_loss
                for part, optimizer in self.optimizer.parts.items()
            }
        return dict.fromkeys(_PARTS, self.optimizer.scale_loss)

    def _part_losses(self, batch):
        """The loss of the predictor, that of the selector, and the outputs."""
        options, selection = self.options, self._parts.selection
        training = self.in_training_mode
        selection.notice(batch.images)
        small = selection.masks(batch.images, training)
        masks = selection.laid_over(small, batch.images)
        selected, rest = selection.selected_and_rest(batch.images, masks)
        _, logits, outputs = self._predictor(selected, training=training)
        self.keep_losses()
        loss = self.weighted_loss(batch.labels, outputs, batch.sample_weight)
        # What its layers would add to the loss is no part of it.
        with keras.StatelessScope():
            _, left, _ = self._judge(rest, training=False)
        targets = find_targets(batch.labels, self.view.num_classes, options.multi_label)
        unseen = cross_entropies(left, targets, options.multi_label)
        if options.gap is None:
            term = -unseen
        else:
            seen = cross_entropies(logits, targets, options.multi_label)
            term = ops.relu(seen - unseen + options.gap)
        area = ops.mean(masks, axis=(1, 2, 3))
        cost = ops.relu(area - options.max_area)
        # What layers of the selector add is in the caller's loss.
        selecting = (
            loss
            + options.detector_weight * self.mean_term(term, batch.sample_weight)
            + options.area_weight * self.mean_term(cost, batch.sample_weight)
        )
        present = has_weight(batch.sample_weight, ops.ones_like(area))
        counts = ops.cast(present, "float32")
        told = are_told(left, targets, options.multi_label)
        self._selector_loss.update_state(
            selecting * replicas(), sample_weight=batch.size
        )
        self._area.update_state(area, sample_weight=counts)
        self._told.update_state(told, sample_weight=counts)
        return loss, selecting, outputs


def _scaled(optimizer, half, scales):
    """An optimizer with the loss scaling that Keras would put around it."""
    own = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    if half and scales and not own:
        return keras.optimizers.LossScaleOptimizer(optimizer, name="loss_scale")
    return optimizer


def cross_entropies(logits, targets, multi_label=False):
    """The cross-entropy of each image.

    Args:
        logits: Tensor `(B, C)`.
        targets: `keras_xcons.explainers.Targets` of the labels.
        multi_label: Whether an image can be of several classes: then the sum of the
            binary cross-entropies. Defaults to `False`.

    Returns:
        Float32 tensor `(B,)`.
    """
    logits = ops.cast(logits, "float32")
    if multi_label:
        values = ops.softplus(logits) - targets.valid * logits
        return ops.sum(values, axis=-1)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(targets.classes[:, 0], logits)


def are_told(logits, targets, multi_label=False):
    """Whether the class of each image is told by its logits.

    Args:
        logits: Tensor `(B, C)`.
        targets: `keras_xcons.explainers.Targets` of the labels.
        multi_label: Whether an image can be of several classes: then the share of its
            classes that are. Defaults to `False`.

    Returns:
        Float32 tensor `(B,)` in 0..1.
    """
    if multi_label:
        told = ops.cast(logits > 0.0, "float32") * targets.valid
        count = ops.maximum(ops.sum(targets.valid, axis=-1), 1.0)
        return ops.sum(told, axis=-1) / count
    same = ops.argmax(logits, axis=-1) == ops.cast(targets.classes[:, 0], "int32")
    return ops.cast(same, "float32")


def _check_detector(detector, predictor):
    check_model(detector)
    wanted, found = predictor.output_shape[-1], detector.output_shape[-1]
    if wanted != found:
        raise ValueError(
            "The detector must tell the same classes as the predictor. Received: a "
            f"detector of {found} and a predictor of {wanted} outputs"
        )
    if not takes_images_of(detector, predictor):
        taken, given = detector.input_shape[1:], predictor.input_shape[1:]
        raise ValueError(
            "The detector must take the same images as the predictor. Received: a "
            f"detector of images {tuple(taken)} and a predictor of {tuple(given)}; "
            f"{checks.shown(detector.name)}"
        )
