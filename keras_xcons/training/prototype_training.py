"""The losses, stages and rates of a ProtoPNet, for any training step."""

import dataclasses
import typing

import keras
import tensorflow as tf
from keras import ops

from keras_xcons import checks
from keras_xcons.explainers import find_targets
from keras_xcons.models import ClassifierView
from keras_xcons.protopnet.stages import STAGES, PrototypeStages
from keras_xcons.protopnet.view import prototype_view
from keras_xcons.training.group_optimizer import GroupOptimizer
from keras_xcons.training.measuring import has_weight
from keras_xcons.training.trainer import ClassifierTrainer


class PrototypeOutputs(typing.NamedTuple):
    """Outputs of a ProtoPNet `(B, C)`, and its smallest distances `(B, m)`."""

    scores: tf.Tensor
    distances: tf.Tensor


class _TrainingView(ClassifierView):
    """A view whose outputs are what the losses of a ProtoPNet need."""

    def __call__(self, images, training=False):
        activations, logits, outputs, distances = self.flat(images, training=training)
        return activations, logits, PrototypeOutputs(outputs, distances)


@dataclasses.dataclass(frozen=True)
class PrototypeOptions:
    """What `ProtoPNetModel` takes beside the classifier; see there for the meaning.

    Raises:
        TypeError: A number is no number.
        ValueError: A number is out of range.
    """

    cluster: float = 0.8
    separation: float = 0.08
    sparsity: float = 1e-4
    features_rate: float = 1 / 30
    last_layer_rate: float = 1 / 30

    def __post_init__(self):
        for field in dataclasses.fields(self):
            checks.within(field.name, getattr(self, field.name), 0.0, None)


class PrototypeTraining(ClassifierTrainer):
    """The losses, stages and rates of a ProtoPNet, for any training step.

    Args:
        *args: What the class that comes after it takes.
        cluster: See `ProtoPNetModel`, as for all that follow.
        separation: See there.
        sparsity: See there.
        features_rate: See there.
        last_layer_rate: See there.
        stage: See there.
        **kwargs: What the class that comes after it takes.
    """

    def __init__(
        self,
        *args,
        cluster=0.8,
        separation=0.08,
        sparsity=1e-4,
        features_rate=1 / 30,
        last_layer_rate=1 / 30,
        stage="joint",
        **kwargs,
    ):
        if stage not in STAGES:
            raise ValueError(checks.unknown("stage", stage, STAGES))
        prototype_options = PrototypeOptions(
            cluster, separation, sparsity, features_rate, last_layer_rate
        )
        super().__init__(*args, **kwargs)
        self.prototype_options = prototype_options
        self.parts = prototype_view(self.classifier)
        self.train_through(self._with_distances())
        self._cluster = keras.metrics.Mean(name="cluster")
        self._separation = keras.metrics.Mean(name="separation")
        self._trackers = [*self._trackers, self._cluster, self._separation]
        self._stage, self._train_functions = stage, {}

    def _with_distances(self):
        view, classifier = self.view, self.classifier
        activations = classifier.get_layer(view.feature_layer).output
        outputs = [activations, classifier.output, classifier.output]
        flat = keras.Model(classifier.input, [*outputs, self.parts.layer.output])
        return _TrainingView(
            classifier, flat, view.feature_layer, view.dense, asked=view.asked
        )

    def compile(self, optimizer="rmsprop", loss=None, **kwargs):
        """Configures the training; see `keras.Model.compile`.

        The optimizer is copied for each group of variables, see `GroupOptimizer`. A
        `keras.optimizers.LossScaleOptimizer` is put around the copies.
        """
        optimizer = keras.optimizers.get(optimizer)
        outer = None
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            outer, optimizer = optimizer, optimizer.inner_optimizer
        if not isinstance(optimizer, GroupOptimizer):
            optimizer = GroupOptimizer(optimizer)
        if not optimizer.built:
            optimizer.set_groups(self._groups())
        if outer is not None:
            config = {**outer.get_config(), "inner_optimizer": optimizer}
            optimizer = keras.optimizers.LossScaleOptimizer(**config)
        super().compile(optimizer=optimizer, loss=loss, **kwargs)
        self.optimizer.build(self.trainable_variables)
        self._train_functions = {}
        self._enter(self._stage)

    def compile_from_config(self, config):
        # `compile` builds the optimizer here, and a second time would be once too many.
        self.compile(**keras.saving.deserialize_keras_object(config))

    def _groups(self):
        """The trainable variables of each group."""
        parts = self.parts
        prototypes = [parts.layer, *parts.add_on]
        groups = {
            "features": [],
            "prototypes": [v for part in prototypes for v in part.trainable_variables],
            "logits": list(parts.dense.trainable_variables),
        }
        known = {id(variable) for group in groups.values() for variable in group}
        groups["features"] = [
            variable
            for variable in self.classifier.trainable_variables
            if id(variable) not in known
        ]
        return groups

    @property
    def stage(self):
        """The stage that a step belongs to: `"warm"`, `"joint"` or `"last"`."""
        return self._stage

    @property
    def learned_variables(self):
        groups = self._groups()
        return [variable for name in STAGES[self._stage] for variable in groups[name]]

    @property
    def in_training_mode(self):
        # What is not trained must not drift either: a prototype is no patch of its
        # image any more once the moving statistics have gone on.
        return self._stage == "joint"

    def set_stage(self, stage, decay=1.0):
        """Enters a stage, which `PrototypeStages` does from epoch to epoch.

        One that trains the prototypes clears their sources.

        Args:
            stage: `"warm"`, `"joint"` or `"last"`.
            decay: Factor of the learning rates. Defaults to 1.

        Raises:
            ValueError: `stage` is none of them, or the model is not compiled.
        """
        if stage not in STAGES:
            raise ValueError(checks.unknown("stage", stage, STAGES))
        if not self.compiled:
            raise ValueError(
                "A stage sets the optimizer's rates: compile the model first. "
                f"Received: stage={stage!r}"
            )
        self._enter(stage, decay)
        self._forget_moved()

    def _enter(self, stage, decay=1.0):
        groups = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        options = self.prototype_options
        groups.factors["features"].assign(decay * options.features_rate)
        groups.factors["prototypes"].assign(decay)
        groups.factors["logits"].assign(decay * options.last_layer_rate)
        if stage != self._stage:
            # Each stage has a graph of its own, traced once, that leaves out the
            # gradients of what the stage does not train.
            self._train_functions[self._stage] = self.train_function
            self._stage = stage
            self.train_function = self._train_functions.get(stage)
            self.make_train_function()

    def _forget_moved(self):
        # Not in the graph of a step: TensorFlow keeps int32 variables on the CPU,
        # where a step that XLA compiles for a GPU cannot reach them.
        if "prototypes" in STAGES[self._stage]:
            self.parts.layer.forget_sources()

    def train_on_batch(self, *args, **kwargs):
        """Trains the classifier on a batch; see `keras.Model.train_on_batch`."""
        self._forget_moved()
        return super().train_on_batch(*args, **kwargs)

    def weighted_loss(self, labels, outputs, sample_weight, weights):
        if not isinstance(outputs, PrototypeOutputs):
            return super().weighted_loss(labels, outputs, sample_weight, weights)
        loss = super().weighted_loss(labels, outputs.scores, sample_weight, weights)
        if sample_weight is not None:
            weights = weights * ops.cast(sample_weight, "float32")
        options = self.prototype_options
        cluster, separation = self._distances(labels, outputs.distances)
        terms = options.cluster * cluster - options.separation * separation
        kernel = ops.convert_to_tensor(self.parts.dense.kernel)
        others = ops.abs(kernel) * (1.0 - self._owners())
        extra = ops.mean(weights * terms) + options.sparsity * ops.sum(others)
        return loss + extra / tf.distribute.get_strategy().num_replicas_in_sync

    def _owners(self):
        """Which class each prototype belongs to, one-hot float32 `(m, C)`."""
        return ops.one_hot(self.parts.classes, self.parts.dense.units, dtype="float32")

    def _distances(self, labels, distances):
        """Smallest distances `(B,)` to the prototypes of the class, and to others."""
        targets = find_targets(labels, self.parts.dense.units)
        own = targets.classes == ops.convert_to_tensor(self.parts.classes)
        infinity = ops.full_like(distances, float("inf"))
        cluster = ops.min(ops.where(own, distances, infinity), axis=-1)
        separation = ops.min(ops.where(own, infinity, distances), axis=-1)
        return cluster, separation

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        if isinstance(y_pred, PrototypeOutputs):
            cluster, separation = self._distances(y, y_pred.distances)
            present = has_weight(sample_weight, ops.ones_like(cluster))
            self._cluster.update_state(cluster, sample_weight=present)
            self._separation.update_state(separation, sample_weight=present)
            y_pred = y_pred.scores
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def fit_callbacks(self, callbacks, x, y, batch_size):
        # Without stages every epoch is of the stage that the model is in.
        callbacks = super().fit_callbacks(callbacks, x, y, batch_size)
        if not any(isinstance(each, PrototypeStages) for each in callbacks):
            self._forget_moved()
        # Before a backup, which then holds the push that ends an epoch.
        return sorted(callbacks, key=lambda one: not isinstance(one, PrototypeStages))

    def get_config(self):
        options = dataclasses.asdict(self.prototype_options)
        return {**super().get_config(), **options, "stage": self._stage}
