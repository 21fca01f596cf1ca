"""XCons: training that weights each sample by its explanation consistency."""

import dataclasses

import keras
import tensorflow as tf
from keras import ops

from keras_xcons.data import split_sample_ids
from keras_xcons.explainers import explained_pass, find_targets
from keras_xcons.models import split
from keras_xcons.training import saving
from keras_xcons.training.attacking import attack, attack_gradients, attack_loss
from keras_xcons.training.augmenting import split_augmentation
from keras_xcons.training.draws import seed_of
from keras_xcons.training.inputs import as_dataset
from keras_xcons.training.measuring import (
    MeanOfKnown,
    batch_weights,
    consistency_of,
    has_weight,
    known,
    lost_consistency,
    random_states,
    still_pass,
)
from keras_xcons.training.options import XConsOptions
from keras_xcons.training.reweighting import EpochCounter, EpochReweighting
from keras_xcons.training.sample_table import SampleTable
from keras_xcons.training.sweeping import SweepsTable
from keras_xcons.training.trainer import ClassifierTrainer


@keras.saving.register_keras_serializable("keras_xcons")
class XConsModel(SweepsTable, ClassifierTrainer):
    """Trains a classifier so that its explanations survive background attacks.

    In each step the Grad-CAM++ map of the label tells the background, the background
    alone is attacked, and `v = 1 - E` weights the sample's loss, where E in 0..1 says
    how well the map survives: samples whose explanation gives way count more. The
    paper is known to us from its abstract and a public summary. The weight, the
    background attack and the loop are the paper's; the measure of E, the attack's
    settings, the threshold, scales and schedules are our choice, each an argument.

    It is a `keras.Model`: `compile`, `fit`, `evaluate`, `predict` and `save` work as
    for any other, with the caller's loss, metrics, optimizer, sample and class
    weights. `classifier` is the plain model, trained, and needs nothing of this
    package.

    Args:
        classifier: What `keras_xcons.models.split` takes: a functional or Sequential
            Keras classifier, nested or not, or a pair `(backbone, head)`.
        schedule: When a sample's weight is measured. `"batch"`: in this step, before
            its weight update. `"memory"`: when the sample was last seen; cheapest of
            the two, needs sample ids. `"epoch"`: in a sweep over the training set
            every `sweep_every` epochs; steps cost what plain steps cost, needs
            sample ids. Defaults to `"batch"`.
        num_samples: Number of training samples, needed with sample ids.
        control: Replaces the weighting, to see what it is worth. `"uniform"`: all
            weights 1. `"shuffled"`: the weights, permuted within the batch.
            `"loss"`: weights from the loss, hard samples count more.
            `"adversarial"`: weights 1, trained on the attacked images.
            `"whole_image"`: the attack is not limited to the background.
        feature_layer: Name of the layer to explain. Defaults to the last 4-D
            activation before pooling.
        token_grid: `(h, w)`, the rows and columns that the tokens of `feature_layer`
            form, see `keras_xcons.models.split`.
        multi_label: Whether labels are multi-hot `(B, C)`. Each positive label then
            has its map, E is their mean, and the background is what no map claims.
            Without effect on a classifier with one output z, whether there or not:
            that is two classes with the logits (0, z), labels 0 and 1 of shape `(B,)`
            or `(B, 1)`, and each image is explained for its own class, by z or -z.
        align: Where maps are laid on images, see `keras_xcons.models.split`.
        threshold: The background is where the map is below this share of its
            maximum. Defaults to 0.5.
        attack: `"fgsm"` or `"pgd"` with a random start. Defaults to `"fgsm"`.
        epsilon: Strength of the attack in 0..255. Defaults to 4.
        step_size: Step of PGD in 0..255. Defaults to 1.
        attack_steps: Steps of PGD. Defaults to 5.
        measure: How alike two maps are, see `keras_xcons.consistency`. Defaults to
            `"cosine"`.
        agreement: `None` for E from maps alone, or `"hard"` or `"soft"` to multiply
            it by how well the prediction survives. Defaults to `None`.
        weight_scale: `"mean"`, `"raw"` or `"one_plus"`, see
            `keras_xcons.consistency.sample_weights`. Defaults to `"mean"`.
        weight_floor: Smallest weight, after scaling. Under `"memory"` keep it above 0:
            a sample of weight 0 has no gradient to be attacked with, and stays there.
            Defaults to 0.1.
        warmup_epochs: Epochs with all weights 1. Defaults to 0.
        consistency_loss: Factor λ of an explicit loss term, the mean of
            `λ · (1 - E)`, beside the weights. Not the paper's. Defaults to 0.
        sweep_every: Epochs between sweeps of the `"epoch"` schedule. Defaults to 1.
        seed: Seed of PGD's random start and of `control="shuffled"`, an int in
            0..2**31 - 1. Each step draws anew, by the steps that the optimizer has
            counted, so that a run that is stopped and continued draws the same.
            Defaults to 0.
        **kwargs: `keras.Model` arguments.

    Raises:
        TypeError, ValueError: The classifier cannot be split, or an argument is out
            of range; from `fit`, if images, labels or sample ids are not as
            described.

    Example:

    >>> trainer = keras_xcons.XConsModel(classifier)
    >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> trainer.compile(optimizer="adamw", loss=loss, metrics=["accuracy"])
    >>> trainer.fit(train_ds, epochs=10)
    >>> trainer.classifier.save("classifier.keras")

    Logs of `fit`, beside the caller's: `consistency`, the mean E, `zero_gradient`, the
    share of images whose gradient was all zero, so that nothing was attacked (both
    under the `"epoch"` schedule of the last sweep), and `mean_weight`, the mean weight
    applied.

    Images are attacked by a loss whose gradient does not fade as the logits grow
    (`keras_xcons.attacks.margin_loss`, our choice), except with FGSM under the
    `"memory"` schedule, where the gradient of the caller's loss comes for free: that of
    cross-entropy is 0 once the label is some 17 ahead in float32.

    What cannot be measured counts neither as good nor as bad: a sample without a
    positive label, with an empty map, with gradients that overflow float16 or are all
    zero, or with sample weight 0 has no E. It weighs what a sample of mean `v` weighs,
    is left out of the means (NaN where nothing is left), and the sample table keeps
    what it knew.

    Reference:
        [Wu et al., 2024](https://arxiv.org/abs/2408.04600)
    """

    def __init__(
        self,
        classifier,
        schedule="batch",
        num_samples=None,
        control=None,
        feature_layer=None,
        token_grid=None,
        multi_label=False,
        align=True,
        threshold=0.5,
        attack="fgsm",
        epsilon=4.0,
        step_size=1.0,
        attack_steps=5,
        measure="cosine",
        agreement=None,
        weight_scale="mean",
        weight_floor=0.1,
        warmup_epochs=0,
        consistency_loss=0.0,
        sweep_every=1,
        seed=0,
        **kwargs,
    ):
        values = locals()
        names = [field.name for field in dataclasses.fields(XConsOptions)]
        options = XConsOptions(**{name: values[name] for name in names})
        view = split(classifier, feature_layer, token_grid=token_grid, align=align)
        super().__init__(view, **kwargs)
        self.options = dataclasses.replace(
            options,
            feature_layer=view.feature_layer,
            align=view.asked.align,
            multi_label=options.multi_label and not view.binary,
        )
        self.epoch = self.add_weight(
            shape=(), dtype="int32", initializer="zeros", trainable=False, name="epoch"
        )
        self.table = SampleTable(num_samples) if options.uses_table else None
        self._mean_weight = keras.metrics.Mean(name="mean_weight")
        self._trackers = [self._mean_weight]
        # Between the sweeps of the "epoch" schedule no consistency is measured.
        if options.attacks_in_step:
            self._mean_consistency = MeanOfKnown(name="consistency")
            self._zero_gradient = MeanOfKnown(name="zero_gradient")
            self._trackers += [self._mean_consistency, self._zero_gradient]

    def train_through(self, view):
        self._augment, inner = split_augmentation(view)
        inner.frame.check()
        super().train_through(inner)

    def compile(self, *args, **kwargs):
        """Configures the training; see `keras.Model.compile`."""
        super().compile(*args, **kwargs)
        self._sweep = None  # It was traced with the loss of another compile.

    def get_config(self):
        config = dataclasses.asdict(self.options)
        config["classifier"] = saving.to_config(self.classifier)
        config["token_grid"] = self.view.asked.token_grid
        return {**super().get_config(), **config}

    def fit_callbacks(self, callbacks, x, y, batch_size):
        callbacks = super().fit_callbacks(callbacks, x, y, batch_size)
        sweeps = any(isinstance(each, EpochReweighting) for each in callbacks)
        if self.options.schedule == "epoch" and not sweeps:
            sweep = EpochReweighting(
                as_dataset(x, y, batch_size), self.options.sweep_every
            )
            # First, so that a backup made at the end of the epoch holds the sweep.
            callbacks = [sweep, *callbacks]
        return [EpochCounter(), *callbacks]

    def train_step(self, data):
        x, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        images, ids = split_sample_ids(x)
        images = self._augment(ops.cast(images, "float32"), self.in_training_mode)
        try:
            outputs = self._learn(images, ids, labels, sample_weight)
        finally:
            self.keep_losses(False)
        return self.compute_metrics(x, labels, outputs, sample_weight=sample_weight)

    def _learn(self, images, ids, labels, sample_weight):
        targets = find_targets(labels, self.view.num_classes, self.options.multi_label)
        states = random_states(self.classifier)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(images)
            clean = explained_pass(
                self.training_view, images, targets.classes, self.in_training_mode
            )
            self.keep_losses()
            weights = self._remembered_weights(ids, images)
            if self.options.attacks_first:
                loss = attack_loss(clean.logits, targets, self.options)
            else:
                loss = self.weighted_loss(labels, clean.outputs, sample_weight, weights)
            scaled = self.optimizer.scale_loss(loss)

        variables = self.learned_variables
        if not self.options.attacks_in_step:
            gradients = tape.gradient(scaled, variables)
        else:
            sources = [images] if self.options.attacks_first else [*variables, images]
            *gradients, image_gradient = tape.gradient(scaled, sources)
            training = self.in_training_mode
            seed, present = self._seed("start"), has_weight(sample_weight, weights)
            how = states, training
            attacked = self._attacked(
                images, targets, clean, image_gradient, *how, seed
            )
            with tape:
                other, survival = self._judged(attacked, targets, clean, *how, present)
            values = self._values(survival, labels, clean, sample_weight)
            if self.options.schedule == "memory":
                self.table.store(ids, values)
            self._mean_consistency.update_state(survival)
            self._zero_gradient.update_state(known(attacked.zero, present))
        if self.options.attacks_first:
            if self.table is None:
                weights = self._weights(tf.stop_gradient(values))
            learned = other if self.options.control == "adversarial" else clean
            with tape:
                loss = self.weighted_loss(
                    labels, learned.outputs, sample_weight, weights
                )
                if self.options.consistency_loss > 0.0:
                    # Only then: a factor of 0 would still cost a backward pass.
                    loss += self.options.consistency_loss * lost_consistency(survival)
                scaled = self.optimizer.scale_loss(loss)
            gradients = tape.gradient(scaled, variables)
        del tape

        self.optimizer.apply(gradients, variables)
        present = has_weight(sample_weight, ops.ones_like(weights))
        self._mean_weight.update_state(weights, sample_weight=present)
        self.track_loss(loss, ops.shape(images)[0])
        return clean.outputs

    def _values(self, survival, labels, clean, sample_weight):
        """What the weights of the samples are made of, NaN where it is not known."""
        if self.options.control != "loss":
            return 1.0 - survival
        losses = self.sample_losses(labels, clean.outputs)
        present = has_weight(sample_weight, ops.ones_like(losses))
        return ops.where(present, losses, float("nan"))

    def _attacked(self, images, targets, clean, gradient, states, training, seed):
        view, options = self.training_view, self.options
        about = targets, states, training, options, self.optimizer
        gradient_fn = attack_gradients(view, *about)
        how = gradient, gradient_fn, seed, options
        return attack(images, clean, targets, *how, view.frame)

    def _judged(self, attacked, targets, clean, states, training, present):
        """The pass over attacked images, and E, NaN where there is none."""
        view, classes = self.training_view, targets.classes
        other = still_pass(view, attacked.images, classes, training, states)
        survival = consistency_of(clean, other, targets, self.options)
        return other, known(survival, attacked.judged, present)

    def _seed(self, purpose):
        return seed_of(self.options.seed, self.optimizer, purpose)

    def _weights(self, values):
        warm = ops.convert_to_tensor(self.epoch) < self.options.warmup_epochs
        return batch_weights(values, warm, self._seed("shuffle"), self.options)

    def _remembered_weights(self, ids, images):
        """Weights from the table; an unseen sample counts like the average one."""
        if self.table is None:
            return ops.ones_like(images[:, 0, 0, 0])
        values, seen = self.table.lookup(ids)
        return self._weights(ops.where(seen > 0.0, values, float("nan")))
