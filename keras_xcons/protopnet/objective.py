"""The losses, stages and rates of a ProtoPNet, for any training method."""

import dataclasses
import typing

import keras
import tensorflow as tf
from keras import ops

from keras_xcons import checks, options
from keras_xcons.explainers import find_targets
from keras_xcons.methods.objective import Objective
from keras_xcons.methods.passes import has_weight
from keras_xcons.models import ClassifierView
from keras_xcons.protopnet.group_optimizer import GroupOptimizer
from keras_xcons.protopnet.push import draw_prototypes, push_prototypes
from keras_xcons.protopnet.stages import STAGES, PrototypeStages, StageSchedule
from keras_xcons.protopnet.view import prototype_view


class PrototypeOutputs(typing.NamedTuple):
    """Outputs of a ProtoPNet `(B, C)`, and its smallest distances `(B, m)`."""

    scores: tf.Tensor
    distances: tf.Tensor


class _TrainingView(ClassifierView):
    """A view whose outputs are what the losses of a ProtoPNet need."""

    def __call__(self, images, training=False):
        activations, logits, outputs, distances = self.flat(images, training=training)
        return activations, logits, PrototypeOutputs(outputs, distances)


@options.table
class ProtoPNetOptions(options.Options):
    """The options of a ProtoPNet's objective.

    Raises:
        TypeError, ValueError: An option is not accepted.
    """

    cluster: float = options.option(
        0.8, "Factor of the distance to the nearest prototype of the class.", low=0.0
    )
    separation: float = options.option(
        0.08, "Factor of the distance to the nearest prototype of others.", low=0.0
    )
    sparsity: float = options.option(
        1e-4, "Factor of the last layer's weights to other classes.", low=0.0
    )
    features_rate: float = options.option(
        1 / 30, "Rate of the features as a share of the optimizer's.", low=0.0
    )
    last_layer_rate: float = options.option(
        1 / 30, "Rate of the last layer as a share of the optimizer's.", low=0.0
    )
    stage: str = options.option(
        "joint",
        "The stage to begin in; without `PrototypeStages`, the one to stay in.",
        choices=tuple(STAGES),
    )


class ProtoPNetObjective(Objective):
    """The objective of a ProtoPNet, which every training method asks for.

    The loss is the caller's plus `cluster` times the mean squared distance of the
    images to the nearest prototype of their class, minus `separation` times that to
    the nearest prototype of another class, plus `sparsity` times the sum of the
    absolute weights between prototypes and other classes. Sample and class weights
    weigh the distances of a sample like its loss, and so do a method's.

    It is trained in stages, by one `fit` with a `PrototypeStages` callback: "warm"
    trains the add-on layers and the prototypes, "joint" the features too, "last" the
    last layer alone, after a push has made each prototype a patch of a training
    image. The last layer stays as it is until then (section 2.2 of the paper), and
    only the joint stage runs the classifier in training mode: what a stage does not
    train stays as it is, moving statistics included. Freeze the batch
    normalisation of a pretrained backbone (`keras_xcons.models.freeze_batch_norm`)
    before `compile`.

    The rate of the compiled optimizer is that of the add-on layers and prototypes;
    the other groups' are shares of it. The paper's: `Adam(3e-3)`. Each group has its
    own copy of the optimizer, see `GroupOptimizer` for why; `learning_rate`,
    schedules and callbacks that set it act on all.

    Args:
        view: `keras_xcons.models.ClassifierView` of a ProtoPNet, as
            `create("protopnet", ...)` makes it, or pruned or loaded.
        **values: Fields of `ProtoPNetOptions`.

    Raises:
        TypeError, ValueError: An option is unknown or not accepted.

    Example:

    >>> trainer = keras_xcons.PlainModel(protopnet, objective={"cluster": 0.8})
    >>> trainer.compile(keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
    >>> schedule = StageSchedule()
    >>> stages = PrototypeStages(images_in_order, schedule)
    >>> trainer.fit(train, epochs=schedule.epochs(pushes=2), callbacks=[stages])
    >>> trainer.classifier.save("protopnet.keras")

    Logs of `fit`, beside the method's: `cluster` and `separation`, the mean distances
    to the nearest prototypes of the own and of other classes, and those of
    `PrototypeStages`.

    Reference:
        [Chen et al., 2019](https://arxiv.org/abs/1806.10574)
    """

    has_probe = False
    in_stages = True
    takes_multi_label = False

    @classmethod
    def check_options(cls, values):
        options.make(ProtoPNetOptions, values, "option of a ProtoPNet")

    @classmethod
    def check_stages(cls, stages, epochs):
        known = [field.name for field in dataclasses.fields(StageSchedule)]
        for name in stages:
            if name not in known:
                raise ValueError(checks.unknown("stage option", name, known))
        schedule = StageSchedule(**stages)
        ends = [schedule.epochs(pushes) for pushes in range(1, epochs + 1)]
        # One whose prototypes were never pushed shows nothing real.
        if epochs not in ends:
            raise ValueError(
                "`epochs` must end with the last layer of a push, as after "
                f"{', '.join(map(str, ends[:3]))} epochs of these stages. Received: "
                f"epochs={epochs}"
            )

    @classmethod
    def prepare(cls, classifier, dataset, seed):
        # Random vectors are far from every patch of an image.
        draw_prototypes(classifier, dataset(), seed=seed)

    @classmethod
    def stage_callbacks(cls, dataset, stages):
        return [PrototypeStages(dataset(), StageSchedule(**stages))]

    @classmethod
    def converted(cls, classifier, dataset):
        # Its prototypes are patches of features that had fewer digits.
        push_prototypes(classifier, dataset())

    @classmethod
    def arguments_of(cls, classifier, arguments):
        # Whoever has pruned it has left classes with fewer.
        counts = prototype_view(classifier).layer.prototypes_per_class
        return {**arguments, "prototypes": list(counts)}

    @classmethod
    def own_optimizer(cls, rate):
        # As the paper has it; the stages lower the rate.
        return keras.optimizers.Adam(rate)

    @classmethod
    def options_taken(cls):
        return options.fields(ProtoPNetOptions)

    def __init__(self, view, **values):
        self.options = options.make(ProtoPNetOptions, values, "option of a ProtoPNet")
        self.parts = prototype_view(view.model)
        super().__init__(self._with_distances(view))
        self._cluster = keras.metrics.Mean(name="cluster")
        self._separation = keras.metrics.Mean(name="separation")
        self.metrics = [self._cluster, self._separation]
        self._stage, self._trainer, self._train_functions = self.options.stage, None, {}

    def _with_distances(self, view):
        classifier = view.model
        activations = classifier.get_layer(view.feature_layer).output
        outputs = [activations, classifier.output, classifier.output]
        flat = keras.Model(classifier.input, [*outputs, self.parts.layer.output])
        return _TrainingView(
            classifier, flat, view.feature_layer, view.dense, asked=view.asked
        )

    def optimizer(self, optimizer):
        optimizer = keras.optimizers.get(optimizer)
        outer = None
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            outer, optimizer = optimizer, optimizer.inner_optimizer
        if not isinstance(optimizer, GroupOptimizer):
            optimizer = GroupOptimizer(optimizer)
        if not optimizer.built:
            optimizer.set_parts(self._groups())
        if outer is not None:
            config = {**outer.get_config(), "inner_optimizer": optimizer}
            optimizer = keras.optimizers.LossScaleOptimizer(**config)
        return optimizer

    def compiled(self, trainer):
        # A group's factors are variables of a built optimizer.
        if not trainer.optimizer.built:
            trainer.optimizer.build(trainer.trainable_variables)
        self._trainer, self._train_functions = trainer, {}
        self._enter(self._stage)

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
            for variable in self.parts.model.trainable_variables
            if id(variable) not in known
        ]
        return groups

    @property
    def stage(self):
        """The stage that a step belongs to: `"warm"`, `"joint"` or `"last"`."""
        return self._stage

    def learned(self, variables):
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
            ValueError: `stage` is none of them, or the trainer is not compiled.
        """
        if stage not in STAGES:
            raise ValueError(checks.unknown("stage", stage, STAGES))
        if self._trainer is None:
            raise ValueError(
                "A stage sets the optimizer's rates: compile the model first. "
                f"Received: stage={stage!r}"
            )
        self._enter(stage, decay)
        self._forget_moved()

    def _enter(self, stage, decay=1.0):
        trainer = self._trainer
        groups = getattr(trainer.optimizer, "inner_optimizer", trainer.optimizer)
        groups.factors["features"].assign(decay * self.options.features_rate)
        groups.factors["prototypes"].assign(decay)
        groups.factors["logits"].assign(decay * self.options.last_layer_rate)
        if stage != self._stage:
            # Each stage has a graph of its own, traced once, that leaves out the
            # gradients of what the stage does not train.
            self._train_functions[self._stage] = trainer.train_function
            self._stage = stage
            trainer.train_function = self._train_functions.get(stage)
            trainer.make_train_function()

    def _forget_moved(self):
        # Not in the graph of a step: TensorFlow keeps int32 variables on the CPU,
        # where a step that XLA compiles for a GPU cannot reach them.
        if "prototypes" in STAGES[self._stage]:
            self.parts.layer.forget_sources()

    def begins(self, callbacks=()):
        # Without stages every epoch is of the stage that the model is in.
        if not any(isinstance(each, PrototypeStages) for each in callbacks):
            self._forget_moved()

    def callbacks(self, callbacks):
        # Before a backup, which then holds the push that ends an epoch.
        return sorted(callbacks, key=lambda one: not isinstance(one, PrototypeStages))

    def scores(self, outputs):
        return outputs.scores

    def loss(self, labels, outputs, weights):
        cluster, separation = self._distances(labels, outputs.distances)
        terms = self.options.cluster * cluster - self.options.separation * separation
        if weights is not None:
            terms = terms * ops.reshape(ops.cast(weights, "float32"), (-1,))
        return ops.mean(terms)

    def regularization(self):
        kernel = ops.convert_to_tensor(self.parts.dense.kernel)
        others = ops.abs(kernel) * (1.0 - self._owners())
        return self.options.sparsity * ops.sum(others)

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

    def update_metrics(self, labels, outputs, sample_weight):
        cluster, separation = self._distances(labels, outputs.distances)
        present = has_weight(sample_weight, ops.ones_like(cluster))
        self._cluster.update_state(cluster, sample_weight=present)
        self._separation.update_state(separation, sample_weight=present)

    def get_config(self):
        return {**dataclasses.asdict(self.options), "stage": self._stage}
