"""Remembered numbers of samples and of classes, part of the checkpoint."""

import keras
import tensorflow as tf
from keras import ops

UNSEEN = -1.0


@keras.saving.register_keras_serializable("keras_xcons")
class SampleTable(keras.layers.Layer):
    """A per-sample table of non-negative values.

    It is a layer so that its one weight, `(num_samples,)` float32, is saved and
    restored with the model that holds it, by `BackupAndRestore` too.

    Args:
        num_samples: Number of samples, ids are `0..num_samples - 1`.
    """

    def __init__(self, num_samples, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32", "trainable": False})
        self.num_samples = num_samples
        self.values = self.add_weight(
            shape=(num_samples,),
            initializer=keras.initializers.Constant(UNSEEN),
            trainable=False,
            # Every replica computes the same table, so one of them suffices.
            aggregation="only_first_replica",
            name="values",
        )
        self.built = True

    def lookup(self, ids):
        """The values of samples, and which of them have been seen.

        Args:
            ids: Integer tensor `(B,)`.

        Returns:
            Float32 values `(B,)`, 0 where unseen, and a float32 mask `(B,)`.
        """
        values = ops.take(ops.convert_to_tensor(self.values), ids, axis=0)
        seen = ops.cast(values >= 0.0, "float32")
        return values * seen, seen

    def store(self, ids, values, momentum=0.0):
        """Sets the values of samples; of a sample that occurs twice, the mean.

        Under `tf.distribute` every replica stores the samples of all replicas.

        Args:
            ids: Integer tensor `(B,)`.
            values: Float tensor `(B,)`; a sample whose value is not finite, as it
                could not be measured, stays as it was.
            momentum: Share of what a sample that was seen before keeps of its value,
                in [0, 1). Defaults to 0.
        """
        # Segment sums, not a scatter: the order of duplicates cannot matter.
        values = ops.cast(values, "float32")
        known = ops.isfinite(values)
        counted = ops.cast(known, "float32")
        stacked = ops.stack([ops.where(known, values, 0.0), counted], axis=-1)
        totals = sum_over_replicas(
            tf.math.unsorted_segment_sum(stacked, ids, self.num_samples)
        )
        total, count = totals[:, 0], totals[:, 1]
        old = ops.convert_to_tensor(self.values)
        new = total / ops.maximum(count, 1.0)
        if momentum:
            new = ops.where(old >= 0.0, momentum * old + (1.0 - momentum) * new, new)
        self.values.assign(ops.where(count > 0.0, new, old))

    def get_config(self):
        return {**super().get_config(), "num_samples": self.num_samples}


@keras.saving.register_keras_serializable("keras_xcons")
class ClassMeans(keras.layers.Layer):
    """Running means of non-negative values, one a class, part of the checkpoint.

    Args:
        num_classes: Number of classes.
        decay: Share of what is kept of a class' past by each batch that has it.
            Defaults to 0.9, our choice.
    """

    def __init__(self, num_classes, decay=0.9, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32", "trainable": False})
        self.num_classes, self.decay = num_classes, decay
        # Sums and numbers of values.
        self.totals = self.add_weight(
            shape=(num_classes, 2),
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
            name="totals",
        )
        self.built = True

    def update(self, classes, values):
        """Takes in the values of a batch, of all replicas.

        Args:
            classes: Integer tensor `(B,)`.
            values: Float tensor `(B,)`; what is not finite is left out.
        """
        known = ops.isfinite(values)
        counted = ops.cast(known, "float32")
        stacked = ops.stack([ops.where(known, values, 0.0), counted], axis=-1)
        new = sum_over_replicas(
            tf.math.unsorted_segment_sum(stacked, classes, self.num_classes)
        )
        old = ops.convert_to_tensor(self.totals)
        present = new[:, 1:] > 0.0
        self.totals.assign(ops.where(present, self.decay * old + new, old))

    def relative(self, classes, values):
        """Values as shares of the mean of their class.

        Args:
            classes: Integer tensor `(B,)`.
            values: Float tensor `(B,)`.

        Returns:
            Float tensor `(B,)`; 1 where the mean is 0 or nothing is known of the class,
            NaN where the value is.
        """
        totals = ops.take(ops.convert_to_tensor(self.totals), classes, axis=0)
        mean = totals[:, 0] / ops.maximum(totals[:, 1], 1e-12)
        some = ops.logical_or(mean > 0.0, ops.logical_not(ops.isfinite(values)))
        return ops.where(some, values / ops.where(mean > 0.0, mean, 1.0), 1.0)

    def get_config(self):
        config = {"num_classes": self.num_classes, "decay": self.decay}
        return {**super().get_config(), **config}


def sum_over_replicas(tensor):
    """Sums a tensor over the replicas of a `tf.distribute` strategy.

    Returns the tensor itself where there is one replica, or none.
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return tensor
    return context.all_reduce(tf.distribute.ReduceOp.SUM, tensor)


def mean_over_replicas(values, weights=None):
    """The mean of a batch that may be spread over replicas.

    Args:
        values: Float tensor `(B,)`.
        weights: Float tensor `(B,)`, how much each value counts, or `None` for all
            alike. Where none counts, the mean is 0.

    Returns:
        Float32 scalar.
    """
    weights = ops.ones_like(values) if weights is None else weights
    pair = ops.stack([ops.sum(values * weights), ops.sum(weights)])
    total, count = ops.unstack(sum_over_replicas(pair), 2)
    return total / ops.maximum(count, 1.0)
