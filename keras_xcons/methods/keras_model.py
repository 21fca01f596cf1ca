"""A Keras model that stands for a classifier: what Keras calls of a training method."""

import contextlib
import dataclasses

import keras
import tensorflow as tf

from keras_xcons.data import split_sample_ids
from keras_xcons.methods import saving
from keras_xcons.methods.array_inputs import alone, check_batch, check_evaluated
from keras_xcons.methods.inputs import (
    checked,
    checked_evaluation,
    plain_errors,
    warn_of_logits,
)
from keras_xcons.methods.passes import random_states
from keras_xcons.models import TrainsClassifier

# Name of the states of random number generators in a file of weights.
_RANDOM = "random_state_"


class ClassifierModel(TrainsClassifier, keras.Model):
    """Stands for a classifier in all that Keras does but the training step.

    Args:
        view: `ClassifierView` of the classifier.
        **kwargs: `keras.Model` arguments.
    """

    _evaluating = False

    def __init__(self, view, **kwargs):
        # Keras decides by the policy of the model that is compiled whether to scale
        # the loss, as mixed float16 needs.
        kwargs.setdefault("dtype", view.model.dtype_policy)
        # The classifier gets the images as they are, not rounded to a half type.
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        self.classifier = view.model
        self.view = view
        self.built = True
        # Built without `build`, which would not let subclasses add what they need.
        self._build_shapes_dict = {"input_shape": self.input_shape}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        models = {
            name: saving.from_config(config[name], custom_objects)
            for name in ("classifier", *cls.networks)
            if name in config
        }
        return cls(**{**config, **models})

    def get_config(self):
        return {
            **super().get_config(),
            **dataclasses.asdict(self.options),
            "classifier": saving.to_config(self.classifier),
            **{
                name: saving.to_config(getattr(self, name))
                for name in self.given_networks
            },
            "objective": self.objective.get_config() or None,
        }

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
    def output_names(self):
        """Names of the classifier's outputs, by which a dict of losses is given."""
        return getattr(self.classifier, "output_names", None)

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
        optimizer = self.objective.optimizer(optimizer)
        self._weighs_samples = False
        super().compile(optimizer=optimizer, loss=loss, **kwargs)
        self.objective.compiled(self)

    def compile_from_config(self, config):
        # Keras' own does nothing for a model with a `compile` method.
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None and not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        class_weight=None,
        sample_weight=None,
        **kwargs,
    ):
        """Trains the classifier; see `keras.Model.fit`.

        Arrays are checked at once; what is read batch by batch is checked as it is
        read: a bad batch ends the run with a `ValueError` before it is learned from.
        """
        given = {
            "validation_split": validation_split,
            "class_weight": class_weight or None,  # An empty dict weighs nothing.
            "sample_weight": alone(sample_weight),
        }
        x, y = checked(x, y, self, batch_size, **given)
        held_out = self._checked_validation(validation_data)
        callbacks = list(keras.tree.flatten(callbacks)) if callbacks else []
        callbacks = self.fit_callbacks(
            *(callbacks, x, y),
            batch_size=batch_size,
            steps_per_epoch=kwargs.get("steps_per_epoch"),
            **given,
        )
        callbacks = self.objective.callbacks(callbacks)
        self.objective.begins(callbacks)
        if isinstance(x, tf.data.Dataset):
            # Keras warns of its own default, since it cannot shuffle a dataset.
            shuffle = False
        with plain_errors():
            return super().fit(
                *(x, y, batch_size, epochs, verbose, callbacks),
                **{"shuffle": shuffle, "validation_data": held_out, **given, **kwargs},
            )

    def _checked_validation(self, held_out):
        """The validation data of `fit`, checked."""
        if isinstance(held_out, tuple | list) and len(held_out) >= 2:
            x, y, *rest = held_out
            return (*checked_evaluation(x, y, self), *rest)
        return checked_evaluation(held_out, None, self)[0]

    def fit_callbacks(self, callbacks, x, y, **given):
        """The callbacks of a `fit`: the caller's, and those that the method needs.

        Args:
            callbacks: The caller's, a list.
            x: As for `fit`, checked.
            y: As for `fit`.
            **given: Of the further arguments of `fit` those that tell how the data is
                read: `batch_size`, `steps_per_epoch`, `validation_split`,
                `class_weight` and `sample_weight`.

        Returns:
            The list, in the order in which they run.
        """
        return callbacks

    def train_on_batch(
        self, x, y=None, sample_weight=None, class_weight=None, return_dict=False
    ):
        """Trains the classifier on a batch; see `keras.Model.train_on_batch`."""
        unlabelled = self.takes_unlabelled and not class_weight
        x, y, sample_weight = map(alone, (x, y, sample_weight))
        check_batch((x, y, sample_weight), self, unlabelled)
        self.objective.begins()
        return super().train_on_batch(x, y, sample_weight, class_weight, return_dict)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """Evaluates the classifier; see `keras.Model.evaluate`."""
        # `fit` evaluates too, on what it has checked.
        if not kwargs.get("_use_cached_eval_dataset"):
            x, y = checked_evaluation(x, y, self)
        with self._without_trackers(), plain_errors():
            return super().evaluate(x, y, *args, **kwargs)

    def test_on_batch(self, x, y=None, *args, **kwargs):
        """Evaluates the classifier on a batch; see `keras.Model.test_on_batch`."""
        x, y = alone(x), alone(y)
        check_evaluated((x, y), self)
        with self._without_trackers():
            return super().test_on_batch(x, y, *args, **kwargs)

    @property
    def metrics(self):
        found = super().metrics
        if not self._evaluating:
            return found
        # What an evaluation does not measure it does not report.
        own = {id(tracker) for tracker in self.trackers}
        return [metric for metric in found if id(metric) not in own]

    @contextlib.contextmanager
    def _without_trackers(self):
        self._evaluating = True
        try:
            yield
        finally:
            self._evaluating = False

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
