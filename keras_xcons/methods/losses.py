"""The losses of a training step: the caller's, and the terms that methods add."""

import threading

import keras
import tensorflow as tf
from keras import ops

from keras_xcons.methods.passes import replicas

# Of the step that a thread is in: `tf.distribute` runs each replica's in its own.
_step = threading.local()


class StepLosses:
    """What `keras_xcons.methods.TrainingMethod` computes losses with."""

    # Whether the compiled loss is known to give one value a sample.
    _weighs_samples = False

    @property
    def losses(self):
        """What layers add to the loss, of the first pass of a step; a list."""
        kept = getattr(_step, "losses", {})
        return kept[id(self)] if id(self) in kept else super().losses

    def keep_losses(self):
        """Keeps what layers added to the loss in the first pass of a step."""
        if id(self) not in getattr(_step, "losses", {}):
            # A second pass over the layers clears what they added in the first.
            _step.losses = {id(self): super().losses}

    def forget_losses(self):
        """Ends a step, see `keep_losses`."""
        _step.losses = {}

    def weighted_loss(self, labels, outputs, sample_weight, weights=None):
        """The caller's loss under the caller's sample weights times the method's.

        Args:
            labels: Labels as the caller's loss takes them.
            outputs: What the view gives as outputs.
            sample_weight: The caller's weights `(B,)`, or `None`.
            weights: The method's weights, float tensor `(B,)`, or `None` for 1.

        Returns:
            Scalar loss, with regularisation and what the classifier's objective adds.
        """
        loss = self._loss_of(labels, outputs, sample_weight, weights)
        extra = self.objective.regularization()
        return loss if extra is None else loss + extra / replicas()

    def further_loss(self, labels, outputs, sample_weight, weights=None):
        """As `weighted_loss`, of a further pass of a step: without regularisation.

        Args:
            labels: As there.
            outputs: As there.
            sample_weight: As there.
            weights: As there.

        Returns:
            Scalar loss.
        """
        before = getattr(_step, "losses", {})
        _step.losses = {id(self): []}
        try:
            return self._loss_of(labels, outputs, sample_weight, weights)
        finally:
            _step.losses = before

    def _loss_of(self, labels, outputs, sample_weight, weights):
        total, scores = product(weights, sample_weight), self.objective.scores(outputs)
        if total is not None and not self._weighs_samples:
            self._check_loss(labels, scores)
        # Of a loss that is not reduced, Keras learns from the sum.
        loss = ops.sum(
            self.compute_loss(
                y=labels, y_pred=scores, sample_weight=total, training=True
            )
        )
        extra = self.objective.loss(labels, outputs, total)
        return loss if extra is None else loss + extra / replicas()

    def _check_loss(self, labels, scores):
        """Refuses a loss that weights of samples could not reach.

        Keras would multiply a mean over the batch by the mean of the weights.
        """
        loss, call = the_loss(self.loss), None
        if isinstance(loss, keras.losses.Loss):
            own = type(loss).__call__ is not keras.losses.Loss.__call__
            call = None if own else loss.call
        elif callable(loss):
            call = loss
        if call is not None:
            labels = ops.cast(labels, "float32")
            if scores.shape[-1] == 1:
                labels = ops.reshape(labels, (-1, 1))
            shape = tuple(ops.convert_to_tensor(call(labels, scores)).shape)
            if len(shape) != 1 and shape[1:] != (1,):
                raise ValueError(
                    "The loss must give one value a sample, shape (batch,), for its "
                    "samples to be weighed: take the mean over the last axis and not "
                    f"over the batch. Received: loss={loss!r}, whose values have "
                    f"shape {shape}"
                )
        self._weighs_samples = True

    def mean_term(self, values, sample_weight=None):
        """A loss term of one value a sample, weighed as the caller's loss is.

        Args:
            values: Float tensor `(B,)`; what is not finite is left out.
            sample_weight: The caller's weights, or `None`.

        Returns:
            Scalar, the mean over the batch.
        """
        known = ops.isfinite(values)
        values = ops.where(known, ops.cast(values, "float32"), 0.0)
        if sample_weight is not None:
            values = values * ops.reshape(ops.cast(sample_weight, "float32"), (-1,))
        return ops.mean(values) / replicas()

    def sample_losses(self, labels, outputs):
        """The caller's loss of each sample, without any sample weights.

        Args:
            labels: Labels as the caller's loss takes them.
            outputs: What the view gives as outputs.

        Returns:
            Float32 tensor `(B,)`, for a loss that averages over the batch; times B
            for one that sums.
        """
        weights = ops.ones_like(self.objective.scores(outputs)[:, 0], dtype="float32")
        with tf.GradientTape() as tape:
            tape.watch(weights)
            loss = self.further_loss(labels, outputs, None, weights)
        size = ops.cast(ops.shape(weights)[0] * replicas(), "float32")
        values = tape.gradient(loss, weights) * size
        if reduction_of(self.loss) == "mean_with_sample_weight":
            # Divided by the sum of the weights, which takes the mean away.
            values += loss * replicas()
        return values

    def track_loss(self, loss, size):
        """Adds a step's loss, of `size` samples, to the `loss` that `fit` reports."""
        for metric in self.metrics:
            if metric.name == "loss":
                if reduction_of(self.loss) in ("none", None):
                    loss = loss / ops.cast(size, loss.dtype)  # Keras shows the mean.
                # Keras divides losses by the number of replicas.
                metric.update_state(loss * replicas(), sample_weight=size)


def the_loss(loss):
    """The only loss in what `compile` takes as `loss`.

    Args:
        loss: A loss, or a list or dict of one; `None` for none.

    Returns:
        `keras.losses.Loss`, function, name, or `None`.
    """
    found = keras.tree.flatten(loss)
    return found[0] if len(found) == 1 else None


def reduction_of(loss):
    """How a loss is reduced over the samples of a batch.

    Args:
        loss: What `compile` got as `loss`.

    Returns:
        One of Keras' names, or `None`, as for `keras.losses.Loss`.
    """
    return getattr(the_loss(loss), "reduction", "sum_over_batch_size")


def product(weights, sample_weight):
    """The method's weights times the caller's, either of which may be `None`."""
    if sample_weight is None:
        return weights
    sample_weight = ops.cast(sample_weight, "float32")
    if weights is None:
        return sample_weight
    extra = len(sample_weight.shape) - 1
    return ops.reshape(weights, (-1,) + (1,) * extra) * sample_weight
