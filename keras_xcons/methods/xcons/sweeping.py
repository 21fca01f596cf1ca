"""The sweep over the training set that fills the sample table."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_xcons.data import split_sample_ids
from keras_xcons.explainers import explained_pass, find_targets
from keras_xcons.methods.array_inputs import is_array, trained_count
from keras_xcons.methods.batch import Batch
from keras_xcons.methods.passes import MeanOfKnown, has_weight, known, random_states
from keras_xcons.methods.random_numbers import fold
from keras_xcons.methods.sample_table import UNSEEN
from keras_xcons.methods.xcons.attacking import attack_loss


class SweptBatches:
    """The batches that a `fit` trains on, to be swept over in their order.

    Samples weigh what `fit` weighs them, and those that it holds out for validation
    are left out.

    Args:
        x: What `fit` got as `x`, checked.
        y: What `fit` got as `y`.
        batch_size: What it got as `batch_size`.
        steps_per_epoch: Likewise.
        validation_split: Likewise.
        class_weight: Likewise.
        sample_weight: Likewise.

    Raises:
        ValueError: The data cannot be read from end to end.
    """

    def __init__(
        self,
        x,
        y,
        batch_size=None,
        steps_per_epoch=None,
        validation_split=0.0,
        class_weight=None,
        sample_weight=None,
    ):
        self._class_weight = class_weight
        if isinstance(x, tf.data.Dataset):
            unknown = x.cardinality() == tf.data.UNKNOWN_CARDINALITY
            endless = x.cardinality() == tf.data.INFINITE_CARDINALITY
            if endless or (unknown and steps_per_epoch is not None):
                raise _endless("an endless dataset x, or one of unknown length")
            self._batches = x
        elif isinstance(x, keras.utils.PyDataset):
            if x.num_batches is None:
                raise _endless("a PyDataset x without a length")
            self._batches = x
        elif is_array(x):
            parts = (x, y) if sample_weight is None else (x, y, sample_weight)
            made = tf.data.Dataset.from_tensor_slices(parts)
            count = trained_count(x, validation_split)
            self._batches = made.take(count).batch(batch_size or 32)
        else:
            raise _endless(f"x of type {type(x).__name__}")

    def __iter__(self):
        data = self._batches
        if isinstance(data, keras.utils.PyDataset):
            data = map(data.__getitem__, range(data.num_batches))
        for batch in data:
            x, y, weight = keras.utils.unpack_x_y_sample_weight(batch)
            if self._class_weight is not None:
                of_classes = _weights_of(y, self._class_weight)
                weight = of_classes if weight is None else of_classes * weight
            yield (x, y) if weight is None else (x, y, weight)


def _weights_of(labels, class_weight):
    """The weight of each label by that of its class, as Keras has it; 1 by default."""
    labels = np.asarray(labels)
    one_hot = labels.ndim > 1 and labels.shape[-1] > 1
    classes = labels.argmax(axis=-1) if one_hot else labels.reshape(len(labels))
    found = [float(class_weight.get(int(each), 1.0)) for each in classes]
    return np.asarray(found, "float32")


def _endless(received):
    return ValueError(
        "The 'epoch' schedule sweeps over the training data from end to end. Leave out "
        "`repeat()` and `steps_per_epoch`, or pass the data to sweep over in "
        f"`callbacks=[EpochReweighting(dataset)]`. Received: {received}"
    )


class SweepsTable:
    """What `XConsModel` sweeps with; it attacks and judges as that does.

    Attributes:
        last_sweep: Of the last sweep, the mean consistency and the share of images
            whose gradient was all zero, float32 variable `(2,)`, and so part of a
            checkpoint; `UNSEEN` for what is not known.
    """

    _sweep = None

    def refresh_table(self, dataset):
        """Measures every sample of a dataset and remembers it.

        Args:
            dataset: Iterable of batches `({"image", "sample_id"}, labels)`, such as a
                `tf.data.Dataset`, with sample weights or without. Samples of weight 0
                are left out.

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
        found = ops.stack([mean.result(), zero.result()])
        self.last_sweep.assign(ops.where(ops.isfinite(found), found, UNSEEN))
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
