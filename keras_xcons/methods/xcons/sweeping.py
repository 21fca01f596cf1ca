"""The sweep over the training set that fills the sample table."""

import keras
import tensorflow as tf
from keras import ops

from keras_xcons.data import split_sample_ids
from keras_xcons.explainers import explained_pass, find_targets
from keras_xcons.methods.batch import Batch
from keras_xcons.methods.passes import MeanOfKnown, has_weight, known, random_states
from keras_xcons.methods.random_numbers import fold
from keras_xcons.methods.xcons.attacking import attack_loss


class SweepsTable:
    """What `XConsModel` sweeps with; it attacks and judges as that does.

    Attributes:
        swept_zero_gradient: Of the last sweep, the share of images whose gradient was
            all zero, a float; NaN before the first.
    """

    swept_zero_gradient = float("nan")
    _sweep = None

    def refresh_table(self, dataset):
        """Measures every sample of a dataset and remembers it.

        Args:
            dataset: `tf.data.Dataset` of batches `({"image", "sample_id"}, labels)`,
                with sample weights or without. Samples of weight 0 are left out.

        Returns:
            Float, the mean explanation consistency of the samples that have one; NaN
            if none has.
        """
        if self._sweep is None:
            self._sweep = tf.function(
                self._measure, reduce_retracing=True, autograph=False
            )
        mean, zero = MeanOfKnown(), MeanOfKnown()
        for number, batch in enumerate(dataset):
            x, labels, given = keras.utils.unpack_x_y_sample_weight(batch)
            images, ids = split_sample_ids(x)
            images = ops.cast(images, "float32")
            place = tf.constant(number)
            survival, zeros = self._sweep(images, ids, labels, given, place)
            mean.update_state(survival)
            zero.update_state(zeros)
        self.swept_zero_gradient = float(zero.result())
        return float(mean.result())

    def _measure(self, images, ids, labels, sample_weight, place):
        options = self.options
        targets = find_targets(labels, self.view.num_classes, options.multi_label)
        states = random_states(self.classifier)
        images = self.augment(images, False)
        batch = Batch(images, labels, sample_weight, sample_weight, None, ids, states)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(images)
            clean = explained_pass(self.training_view, images, targets.classes)
            loss = attack_loss(clean.logits, targets, options)
            scaled = self.optimizer.scale_loss(loss)
        image_gradient = tape.gradient(scaled, images)
        present = has_weight(sample_weight, ops.ones_like(images[:, 0, 0, 0]))
        # No step is counted between the batches of a sweep.
        seed = fold(self.seed("sweep"), place)
        attacked = self._attacked(batch, targets, clean, image_gradient, seed, False)
        _, survival = self._judged(batch, attacked, targets, clean, present, False)
        values = self._values(batch, survival, clean)
        self._remember(batch, targets, values, True)
        return survival, known(attacked.zero, present)
