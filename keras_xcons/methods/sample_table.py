"""One remembered number for each training sample, part of the checkpoint."""

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

    def store(self, ids, values):
        """Sets the values of samples; of a sample that occurs twice, the mean.

        Under `tf.distribute` every replica stores the samples of all replicas.

        Args:
            ids: Integer tensor `(B,)`.
            values: Float tensor `(B,)`; a sample whose value is not finite, as it
                could not be measured, stays as it was.
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
        self.values.assign(ops.where(count > 0.0, total / ops.maximum(count, 1.0), old))

    def get_config(self):
        return {**super().get_config(), "num_samples": self.num_samples}


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
