"""XCons: training that weights each sample by its explanation consistency."""

import keras
import tensorflow as tf
from keras import ops

from keras_xcons.explainers import explained_pass, find_targets
from keras_xcons.methods.base import TrainingMethod
from keras_xcons.methods.passes import MeanOfKnown, has_weight, known, mean_of_known
from keras_xcons.methods.registry import training_method
from keras_xcons.methods.sample_table import SampleTable
from keras_xcons.methods.xcons.attacking import attack, attack_loss
from keras_xcons.methods.xcons.callbacks import (
    EpochCounter,
    EpochReweighting,
    as_dataset,
)
from keras_xcons.methods.xcons.options import XConsOptions
from keras_xcons.methods.xcons.sweeping import SweepsTable
from keras_xcons.methods.xcons.weighting import batch_weights, consistency_of


@training_method(
    "xcons",
    title="XCons",
    purpose="Samples whose explanation gives way to background attacks count more.",
    paper="Wu et al. 2024, arXiv 2408.04600",
    neutral={"control": "uniform"},
)
class XConsModel(SweepsTable, TrainingMethod):
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

    Logs of `fit`, beside the caller's: `consistency`, the mean E, `zero_gradient`, the
    share of images whose gradient was all zero, so that nothing was attacked (both
    under the `"epoch"` schedule of the last sweep), and `mean_weight`, the mean weight
    applied.

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

    Options = XConsOptions
    needs_maps = True

    def setup(self):
        self.epoch = self.add_weight(
            shape=(), dtype="int32", initializer="zeros", trainable=False, name="epoch"
        )
        options = self.options
        tabled = options.needs_sample_ids
        self.table = SampleTable(options.num_samples) if tabled else None
        self._mean_weight = keras.metrics.Mean(name="mean_weight")
        self.trackers.append(self._mean_weight)
        # Between the sweeps of the "epoch" schedule no consistency is measured.
        if options.attacks_in_step:
            self._mean_consistency = MeanOfKnown(name="consistency")
            self._zero_gradient = MeanOfKnown(name="zero_gradient")
            self.trackers += [self._mean_consistency, self._zero_gradient]

    def compile(self, *args, **kwargs):
        """Configures the training; see `keras.Model.compile`."""
        super().compile(*args, **kwargs)
        self._sweep = None  # It was traced with the loss of another compile.

    def fit_callbacks(self, callbacks, x, y, batch_size):
        sweeps = any(isinstance(each, EpochReweighting) for each in callbacks)
        if self.options.schedule == "epoch" and not sweeps:
            sweep = EpochReweighting(
                as_dataset(x, y, batch_size), self.options.sweep_every
            )
            # First, so that a backup made at the end of the epoch holds the sweep.
            callbacks = [sweep, *callbacks]
        return [EpochCounter(), *callbacks]

    def data_callbacks(self, load):
        if self.options.schedule != "epoch":
            return []
        # Data of its own: a sweep over the training set would draw its order anew.
        swept = load(sample_ids=True, cache=True)
        return [EpochReweighting(swept, self.options.sweep_every)]

    def learn(self, batch):
        options = self.options
        targets = find_targets(batch.labels, self.view.num_classes, options.multi_label)
        given = batch.labels, batch.sample_weight
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(batch.images)
            clean = self.learning_pass(
                batch.images, explained_pass, classes=targets.classes
            )
            weights = self._remembered_weights(batch)
            if options.attacks_first:
                loss = attack_loss(clean.logits, targets, options)
            else:
                loss = self._loss(given, clean, weights)
            scaled = self.optimizer.scale_loss(loss)

        variables = self.learned_variables
        if not options.attacks_in_step:
            gradients = tape.gradient(scaled, variables)
        else:
            first = options.attacks_first
            sources = [batch.images] if first else [*variables, batch.images]
            *gradients, image_gradient = tape.gradient(scaled, sources)
            seed, present = self.seed("start"), has_weight(given[1], weights)
            attacked = self._attacked(batch, targets, clean, image_gradient, seed)
            with tape:
                other, survival = self._judged(batch, attacked, targets, clean, present)
            values = self._values(batch, survival, clean)
            if options.schedule == "memory":
                self.table.store(batch.ids, values)
            self._mean_consistency.update_state(survival)
            self._zero_gradient.update_state(known(attacked.zero, present))
        if options.attacks_first:
            if self.table is None:
                weights = self._weights(tf.stop_gradient(values))
            learned = other if options.control == "adversarial" else clean
            with tape:
                loss = self._loss(given, learned, weights)
                if options.consistency_loss > 0.0:
                    # Only then: a factor of 0 would still cost a backward pass.
                    lost = mean_of_known(1.0 - survival)
                    loss += options.consistency_loss * lost
                scaled = self.optimizer.scale_loss(loss)
            gradients = tape.gradient(scaled, variables)
        del tape

        self.optimizer.apply(gradients, variables)
        present = has_weight(given[1], ops.ones_like(weights))
        self._mean_weight.update_state(weights, sample_weight=present)
        self.track_loss(loss, batch.size)
        return clean.outputs

    def _loss(self, given, learned, weights):
        labels, sample_weight = given
        return self.weighted_loss(labels, learned.outputs, sample_weight, weights)

    def _values(self, batch, survival, clean):
        """What the weights of the samples are made of, NaN where it is not known."""
        if self.options.control != "loss":
            return 1.0 - survival
        losses = self.sample_losses(batch.labels, clean.outputs)
        present = has_weight(batch.sample_weight, ops.ones_like(losses))
        return ops.where(present, losses, float("nan"))

    def _attacked(self, batch, targets, clean, gradient, seed, training=None):
        options = self.options

        def gradient_fn(attacked):
            def loss(other):
                return attack_loss(other.logits, targets, options)

            return self.image_gradients(batch, attacked, loss, training=training)[0]

        frame = self.training_view.frame
        how = gradient, gradient_fn, seed, options, frame
        return attack(batch.images, clean, targets, *how)

    def _judged(self, batch, attacked, targets, clean, present, training=None):
        """The pass over attacked images, and E, NaN where there is none."""
        how = {"training": training, "classes": targets.classes}
        other = self.still_pass(batch, attacked.images, explained_pass, **how)
        survival = consistency_of(clean, other, targets, self.options)
        return other, known(survival, attacked.judged, present)

    def _weights(self, values):
        warm = ops.convert_to_tensor(self.epoch) < self.options.warmup_epochs
        return batch_weights(values, warm, self.seed("shuffle"), self.options)

    def _remembered_weights(self, batch):
        """Weights from the table; an unseen sample counts like the average one."""
        if self.table is None:
            return ops.ones_like(batch.images[:, 0, 0, 0])
        values, seen = self.table.lookup(batch.ids)
        return self._weights(ops.where(seen > 0.0, values, float("nan")))
