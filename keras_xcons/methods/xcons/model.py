"""XCons: training that weights each sample by its explanation consistency."""

import warnings

import keras
import tensorflow as tf
from keras import ops

from keras_xcons.consistency import effective_share
from keras_xcons.explainers import explained_pass, find_targets
from keras_xcons.methods.base import TrainingMethod
from keras_xcons.methods.passes import (
    MeanOfKnown,
    has_weight,
    known,
    mean_of_known,
    when,
)
from keras_xcons.methods.random_numbers import steps_of
from keras_xcons.methods.registry import training_method
from keras_xcons.methods.sample_table import (
    UNSEEN,
    ClassMeans,
    SampleTable,
    mean_over_replicas,
)
from keras_xcons.methods.xcons.attacking import attack, attack_loss, no_attack
from keras_xcons.methods.xcons.callbacks import EpochCounter, EpochReweighting
from keras_xcons.methods.xcons.options import XConsOptions
from keras_xcons.methods.xcons.sweeping import SweepsTable, SweptBatches
from keras_xcons.methods.xcons.weighting import batch_weights, consistency_of


@training_method(
    "xcons",
    title="XCons",
    purpose="Explanations and decisions must survive attacks on the background.",
    paper="Wu et al. 2024, arXiv 2408.04600",
    neutral={"attacked_loss": 0.0, "consistency_loss": 0.0},
)
class XConsModel(SweepsTable, TrainingMethod):
    """Trains a classifier so that its explanations survive background attacks.

    In each step the Grad-CAM++ map of the label tells the background, the background
    alone is attacked, and E in 0..1 says how well the map survives. Learned is

        L = mean w · loss(x) + α · mean w · loss(x̂) + λ · mean (1 - E)

    of images x and attacked images x̂, with α `attacked_loss` and λ `consistency_loss`,
    in each `every`-th step.

    The paper is known to us from its abstract and a public summary. In it the weight w
    of a sample is made of `v = 1 - E`, so that samples whose explanation gives way
    count more, and there are no other terms: `preset="paper"`. The weight, the
    background attack and the loop are the paper's; the measure of E, the attack's
    settings, the threshold, scales and schedules are our choice, each an argument.
    Weights alone did not help in our measurements (docs/xcons.md), and beside the terms
    neither, so by default w is 1; `sample_weights="consistency"` brings them back.
    The terms are ours.

    Ours, too, is that the weights are drawn towards 1 until the effective number of
    samples is at least `effective_share` of the batch: v is a noisy figure, of which a
    heavy-tailed weight would make noise in the gradient. `balance="class"` and
    `memory_momentum` take further noise out of it.

    What is attacked is what the map leaves out, so maps have to lie where the network
    looks: measure the offset of a pretrained network by `keras_xcons.calibrate` before
    `compile`.

    It is a `keras.Model`: `compile`, `fit`, `evaluate`, `predict` and `save` work as
    for any other, with the caller's loss, metrics, optimizer, sample and class
    weights. `classifier` is the plain model, trained, and needs nothing of this
    package.

    Logs of `fit`, beside the caller's: `consistency`, the mean E, `zero_gradient`, the
    share of images whose gradient was all zero, so that nothing was attacked (both
    under the `"epoch"` schedule of the last sweep), `mean_weight`, the mean weight
    applied, and `effective_share`, the effective number of samples that the weights
    leave, as a share of the batch. An epoch without an attack has NaN for what is
    measured by one.

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
        for name, why in options.without_effect().items():
            warnings.warn(
                f"`{name}` has no effect with {why}. Received: {name}="
                f"{getattr(options, name)!r}",
                stacklevel=4,
            )
        tabled = options.needs_sample_ids
        self.table = SampleTable(options.num_samples) if tabled else None
        if tabled:
            self.last_sweep = self.add_weight(
                shape=(2,),
                initializer=keras.initializers.Constant(UNSEEN),
                trainable=False,
                name="last_sweep",
            )
        balanced = options.balance == "class"
        self.class_means = ClassMeans(self.view.num_classes) if balanced else None
        self._mean_weight = keras.metrics.Mean(name="mean_weight")
        self._share = keras.metrics.Mean(name="effective_share")
        self.trackers += [self._mean_weight, self._share]
        # Between the sweeps of the "epoch" schedule no consistency is measured.
        if options.attacks_in_step:
            self._mean_consistency = MeanOfKnown(name="consistency")
            self._zero_gradient = MeanOfKnown(name="zero_gradient")
            self.trackers += [self._mean_consistency, self._zero_gradient]

    def compile(self, *args, **kwargs):
        """Configures the training; see `keras.Model.compile`."""
        super().compile(*args, **kwargs)
        self._sweep = None  # It was traced with the loss of another compile.

    def fit_callbacks(self, callbacks, x, y, **given):
        sweeps = any(isinstance(each, EpochReweighting) for each in callbacks)
        if self.options.schedule == "epoch" and not sweeps:
            swept = SweptBatches(x, y, **given)
            sweep = EpochReweighting(swept, self.options.sweep_every)
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
        variables = self.learned_variables
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(batch.images)
            clean = self.learning_pass(
                batch.images, explained_pass, classes=targets.classes
            )
            weights = self._remembered_weights(batch, targets)
            if options.attacks_first:
                loss = attack_loss(clean.logits, targets, options)
            else:
                loss = self._loss(batch, clean.outputs, weights)
            scaled = self.optimizer.scale_loss(loss)

        gradients, slope = None, None
        if not options.attacks_in_step:
            gradients = tape.gradient(scaled, variables)
        elif not options.attacks_first:
            *gradients, slope = tape.gradient(scaled, [*variables, batch.images])
        if options.attacks_in_step:
            active = self._is_attacked()
            attacked = when(
                active,
                # Of an image that is not attacked nothing is asked.
                lambda: self._attacked(
                    *(batch, targets, clean),
                    slope if gradients else tape.gradient(scaled, batch.images),
                ),
                lambda: no_attack(batch.images),
            )
            present = has_weight(batch.sample_weight, weights)
            with tape:
                other, survival = self._judged(
                    batch, attacked, targets, clean, present, active=active
                )
            values = self._values(batch, survival, clean)
            self._remember(batch, targets, values, options.schedule == "memory")
            self._mean_consistency.update_state(survival)
            attempted = present if active is None else ops.logical_and(present, active)
            self._zero_gradient.update_state(known(attacked.zero, attempted))
        if options.attacks_first:
            if self.table is None:
                weights = self._weights(self._balanced(targets, values))
            with tape:
                loss = self._loss_with_terms(
                    *(batch, clean.outputs, other, survival, weights), active
                )
                scaled = self.optimizer.scale_loss(loss)
            gradients = tape.gradient(scaled, variables)

        self.optimizer.apply(gradients, variables)
        present = has_weight(batch.sample_weight, ops.ones_like(weights))
        self._mean_weight.update_state(weights, sample_weight=present)
        self._share.update_state(effective_share(weights, mean_over_replicas))
        self.track_loss(loss, batch.size)
        return clean.outputs

    def _is_attacked(self):
        """Whether this step is one of those that attack; `None` for always."""
        if self.options.every == 1:
            return None
        return steps_of(self.optimizer) % self.options.every == 0

    def _loss(self, batch, outputs, weights):
        return self.weighted_loss(batch.labels, outputs, batch.sample_weight, weights)

    def _loss_with_terms(self, batch, outputs, other, survival, weights, active):
        options = self.options
        share = 1.0 if active is None else ops.cast(active, "float32")
        given = batch.labels, other, batch.sample_weight, weights
        factor = options.attacked_loss
        if options.clean_loss:
            loss = self._loss(batch, outputs, weights)
        else:
            # With regularisation, whose factor is always 1.
            loss, factor = self.weighted_loss(*given), factor - 1.0
        # Only then: a factor of 0 would still cost a backward pass.
        if factor != 0.0:
            loss += share * factor * self.further_loss(*given)
        if options.consistency_loss > 0.0:
            loss += options.consistency_loss * mean_of_known(1.0 - survival)
        return loss

    def _values(self, batch, survival, clean):
        """What the weights of the samples are made of, NaN where it is not known."""
        if self.options.sample_weights != "loss":
            return tf.stop_gradient(1.0 - survival)
        losses = self.sample_losses(batch.labels, clean.outputs)
        present = has_weight(batch.sample_weight, ops.ones_like(losses))
        return tf.stop_gradient(ops.where(present, losses, float("nan")))

    def _remember(self, batch, targets, values, of_samples):
        """Takes values into the means of classes and, if asked to, of samples."""
        if self.class_means is not None:
            self.class_means.update(targets.classes[:, 0], values)
        if of_samples:
            self.table.store(batch.ids, values, self.options.memory_momentum)

    def _attacked(self, batch, targets, clean, gradient, seed=None, training=None):
        options = self.options

        def gradient_fn(attacked):
            def loss(other):
                return attack_loss(other.logits, targets, options)

            return self.image_gradients(batch, attacked, loss, training=training)[0]

        frame = self.training_view.frame
        seed = self.seed("start") if seed is None else seed
        how = gradient, gradient_fn, seed, options, frame
        return attack(batch.images, clean, targets, *how)

    def _judged(
        self, batch, attacked, targets, clean, present, training=None, active=None
    ):
        """Outputs for attacked images, and E, NaN where there is none."""
        how = {"training": training, "classes": targets.classes}

        def judge():
            other = self.still_pass(batch, attacked.images, explained_pass, **how)
            survival = consistency_of(clean, other, targets, self.options)
            return other.outputs, survival

        missing = ops.full_like(attacked.judged, float("nan"), dtype="float32")
        outputs, survival = when(active, judge, lambda: (clean.outputs, missing))
        return outputs, known(survival, attacked.judged, present)

    def _weights(self, values):
        warm = ops.convert_to_tensor(self.epoch) < self.options.warmup_epochs
        return batch_weights(values, warm, self.seed("shuffle"), self.options)

    def _remembered_weights(self, batch, targets):
        """Weights from the table; an unseen sample counts like the average one."""
        if self.table is None:
            return ops.ones_like(batch.images[:, 0, 0, 0])
        values, seen = self.table.lookup(batch.ids)
        values = ops.where(seen > 0.0, values, float("nan"))
        return self._weights(self._balanced(targets, values))

    def _balanced(self, targets, values):
        """Values as shares of their class' mean, where the options balance classes."""
        if self.class_means is None:
            return values
        return self.class_means.relative(targets.classes[:, 0], values)
