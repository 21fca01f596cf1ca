"""What the training models of this package have in common."""

import contextlib
import threading

import keras
import tensorflow as tf
from keras import ops

from keras_xcons.data import split_sample_ids
from keras_xcons.models import TrainsClassifier
from keras_xcons.training import saving
from keras_xcons.training.inputs import checked, plain_errors, warn_of_logits
from keras_xcons.training.measuring import random_states
from keras_xcons.training.options import XConsOptions

# Name of the states of random number generators in a file of weights.
_RANDOM = "random_state_"
# Of the step that a thread is in: `tf.distribute` runs each replica's in its own.
_step = threading.local()


class ClassifierTrainer(TrainsClassifier, keras.Model):
    """A `keras.Model` that stands for a classifier while it trains it.

    A method is a subclass with a `train_step`. Everything else is Keras': the
    model's outputs, `evaluate` and `predict` are the classifier's.

    Args:
        view: `ClassifierView` of the classifier.
        **kwargs: `keras.Model` arguments.

    Attributes:
        training_view: What a training step calls. A subclass whose loss needs more
            than the classifier's outputs puts another view here.
        in_training_mode: Whether a training step runs the classifier in training
            mode.
        options: `XConsOptions`; they say which labels and ids the data must have.
    """

    _evaluating = False
    in_training_mode = True
    options = XConsOptions()

    def __init__(self, view, **kwargs):
        # Keras decides by the policy of the model that is compiled whether to scale
        # the loss, as mixed float16 needs.
        kwargs.setdefault("dtype", view.model.dtype_policy)
        # The classifier gets the images as they are, not rounded to a half type.
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        self.classifier = view.model
        self.view = view
        self.train_through(view)
        self._trackers = []
        self.built = True
        # Built without `build`, which would not let subclasses add what they need.
        self._build_shapes_dict = {"input_shape": self.input_shape}

    def train_through(self, view):
        """Sets what a training step calls, see `training_view`."""
        self.training_view = view

    @classmethod
    def from_config(cls, config, custom_objects=None):
        classifier = saving.from_config(config["classifier"], custom_objects)
        return cls(**{**config, "classifier": classifier})

    def call(self, inputs, training=None):
        images, _ = split_sample_ids(inputs)
        return self.classifier(images, training=training)

    def build(self, input_shape=None):
        self.built = True

    def get_build_config(self):
        return None  # The classifier says it.

    @property
    def input_shape(self):
        """`(None, H, W, channels)`, the shape of the images that are taken."""
        return None, *self.view.input_shape

    @property
    def output_shape(self):
        """The shape of what the classifier returns."""
        return tuple(self.classifier.output_shape)

    def compute_output_shape(self, input_shape):
        return self.output_shape

    def export(self, filepath, format="tf_saved_model", **kwargs):
        """Exports the classifier, which needs nothing of this package.

        Args:
            filepath: As for `keras.Model.export`.
            format: As there. Defaults to `"tf_saved_model"`.
            **kwargs: As there.
        """
        return self.classifier.export(filepath, format, **kwargs)

    def compile(self, optimizer="rmsprop", loss=None, **kwargs):
        """Configures the training; see `keras.Model.compile`."""
        warn_of_logits(self.view, loss)
        super().compile(optimizer=optimizer, loss=loss, **kwargs)

    def compile_from_config(self, config):
        # Keras' own does nothing for a model with a `compile` method.
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None:
            self.optimizer.build(self.trainable_variables)

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        **kwargs,
    ):
        """Trains the classifier; see `keras.Model.fit`.

        Arrays are checked at once, a `tf.data.Dataset` batch by batch in its
        pipeline: a bad batch ends the run with a `ValueError` before it is learned
        from.
        """
        x = checked(x, y, self.view, self.options)
        callbacks = list(keras.tree.flatten(callbacks)) if callbacks else []
        callbacks = self.fit_callbacks(callbacks, x, y, batch_size)
        if isinstance(x, tf.data.Dataset):
            # Keras warns of its own default, since it cannot shuffle a dataset.
            kwargs.setdefault("shuffle", False)
        with plain_errors():
            return super().fit(
                x, y, batch_size, epochs, verbose, callbacks=callbacks, **kwargs
            )

    def fit_callbacks(self, callbacks, x, y, batch_size):
        """The callbacks of a `fit`: the caller's, and those that the method needs.

        Args:
            callbacks: The caller's, a list.
            x: As for `fit`, checked.
            y: As for `fit`.
            batch_size: As for `fit`.

        Returns:
            The list, in the order in which they run.
        """
        return callbacks

    def evaluate(self, *args, **kwargs):
        """Evaluates the classifier; see `keras.Model.evaluate`."""
        with self._without_trackers():
            return super().evaluate(*args, **kwargs)

    def test_on_batch(self, *args, **kwargs):
        """Evaluates the classifier on a batch; see `keras.Model.test_on_batch`."""
        with self._without_trackers():
            return super().test_on_batch(*args, **kwargs)

    @property
    def metrics(self):
        found = super().metrics
        if not self._evaluating:
            return found
        # What an evaluation does not measure it does not report.
        own = {id(tracker) for tracker in self._trackers}
        return [metric for metric in found if id(metric) not in own]

    @property
    def learned_variables(self):
        """The variables that a training step updates, a list."""
        return list(self.trainable_variables)

    def save_own_variables(self, store):
        super().save_own_variables(store)
        # Keras leaves them out, and dropout would begin anew in a continued run.
        for number, (_, value) in enumerate(random_states(self.classifier)):
            store[f"{_RANDOM}{number}"] = value

    def load_own_variables(self, store):
        own = {key: store[key] for key in store.keys() if not key.startswith(_RANDOM)}
        super().load_own_variables(own)
        for number, (state, _) in enumerate(random_states(self.classifier)):
            if f"{_RANDOM}{number}" in store.keys():
                state.assign(store[f"{_RANDOM}{number}"])

    @contextlib.contextmanager
    def _without_trackers(self):
        self._evaluating = True
        try:
            yield
        finally:
            self._evaluating = False

    @property
    def losses(self):
        # A second pass over the layers clears what they added in the first.
        kept = getattr(_step, "losses", {})
        return kept[id(self)] if id(self) in kept else super().losses

    def keep_losses(self, keep=True):
        """Keeps what layers added to the loss so far, through further passes."""
        _step.losses = {id(self): super().losses} if keep else {}

    def weighted_loss(self, labels, outputs, sample_weight, weights):
        """The caller's loss under the caller's sample weights times the method's.

        Args:
            labels: Labels as the caller's loss takes them.
            outputs: Outputs of the classifier.
            sample_weight: The caller's weights `(B,)`, or `None`.
            weights: The method's weights, float tensor `(B,)`.

        Returns:
            Scalar loss, regularisation included.
        """
        if sample_weight is not None:
            sample_weight = ops.cast(sample_weight, "float32")
            extra = len(sample_weight.shape) - 1
            weights = ops.reshape(weights, (-1,) + (1,) * extra) * sample_weight
        return self.compute_loss(
            y=labels, y_pred=outputs, sample_weight=weights, training=True
        )

    def sample_losses(self, labels, outputs):
        """The caller's loss of each sample, without any sample weights.

        Args:
            labels: Labels as the caller's loss takes them.
            outputs: Outputs of the classifier.

        Returns:
            Float32 tensor `(B,)`, for a loss that averages over the batch; times B
            for one that sums.
        """
        weights = ops.ones_like(outputs[:, 0], dtype="float32")
        with tf.GradientTape() as tape:
            tape.watch(weights)
            loss = self.weighted_loss(labels, outputs, None, weights)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        size = ops.cast(ops.shape(outputs)[0] * replicas, "float32")
        return tape.gradient(loss, weights) * size

    def track_loss(self, loss, size):
        """Adds a step's loss, of `size` samples, to the `loss` that `fit` reports."""
        # Keras divides losses by the number of replicas.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss * replicas, sample_weight=size)
