"""The frame of a training method: all that is not the method's own."""

import dataclasses
import types

import keras
import tensorflow as tf
from keras import ops

from keras_xcons.methods.augmenting import split_augmentation
from keras_xcons.methods.batch import batch_of, own_rows
from keras_xcons.methods.common_options import MethodOptions
from keras_xcons.methods.keras_model import ClassifierModel
from keras_xcons.methods.losses import StepLosses, product
from keras_xcons.methods.objective import objective_of
from keras_xcons.methods.passes import logits_pass
from keras_xcons.methods.random_numbers import seed_of
from keras_xcons.models import split


class TrainingMethod(StepLosses, ClassifierModel):
    """A `keras.Model` that stands for a classifier while it trains it.

    A method is a subclass under `keras_xcons.methods.training_method`, with its
    `Options` and either `batch_loss`, or, where it needs several backward passes,
    `learn`. Everything else is Keras': the model's outputs, `evaluate` and `predict`
    are the classifier's.

    Args:
        classifier: What `keras_xcons.models.split` takes.
        objective: Dict of options of the classifier's objective, or `None`.
        options: Dict of the method's options, by name.
        **kwargs: `keras.Model` arguments.

    Attributes:
        Options: Table of the method's options, a `MethodOptions`.
        needs_maps: Whether the method looks at heatmaps, so that a classifier without
            a feature map is refused.
        takes_unlabelled: Whether a label may be -1, for an image that has none.
        fewest_images: Smallest size of a batch; the last one of an epoch may be
            smaller.
        takes_objectives: Whether a classifier may have an objective of its own, as a
            ProtoPNet has.
        networks: Dict from the name of a further network that the method takes, an
            argument of its own, to what it is, a sentence or two.
        starts_from: The method whose run is the start of one by this method in a job
            that compares methods, or `None` for the common start.
        started: Dict of options for a run that starts from another one.
        keys: What a batch's dict may hold beside `"image"`.
        classifier: The plain model, trained, which needs nothing of this package.
        options: The options, an `Options`.
        objective: The classifier's `Objective`.
        trackers: List of metrics that the method's steps update, for the logs of
            `fit`.
    """

    Options = MethodOptions
    needs_maps = False
    takes_unlabelled = False
    fewest_images = 1
    takes_objectives = True
    networks = types.MappingProxyType({})
    starts_from = None
    started = types.MappingProxyType({})
    keys = ("sample_id",)

    def __init__(
        self, classifier, objective=None, options=None, networks=None, **kwargs
    ):
        options = self.Options(**(options or {}))
        given = {name: n for name, n in (networks or {}).items() if n is not None}
        classifier, kept = self.compose(classifier, options, **given)
        view = split(
            classifier,
            options.feature_layer,
            token_grid=options.token_grid,
            align=options.align,
            needs_features=self.needs_maps or options.feature_layer is not None,
        )
        objective = objective_of(view, objective)
        if options.multi_label and not objective.takes_multi_label:
            raise ValueError(
                "This classifier takes images of one class each. Received: "
                "multi_label=True"
            )
        super().__init__(view, **kwargs)
        self.objective = objective
        self.given_networks = tuple(name for name in given if name in kept)
        for name, network in kept.items():
            setattr(self, name, network)
        self.options = dataclasses.replace(
            options,
            feature_layer=view.feature_layer,
            token_grid=view.asked.token_grid,
            align=view.asked.align,
            multi_label=options.multi_label and not view.binary,
        )
        self.augment, self.training_view = split_augmentation(objective.view)
        if self.needs_maps:
            self.training_view.frame.check()
        self.trackers = [*objective.metrics]
        self.setup()

    def compose(self, classifier, options, **networks):
        """Makes the classifier that is trained of the one that is passed.

        Args:
            classifier: What was passed.
            options: The options, an `Options`.
            **networks: Those of `networks` that were passed.

        Returns:
            `(classifier, kept)`: what `keras_xcons.models.split` takes, and a dict of
            the networks that the method keeps beside it, each an attribute of its name.

        Raises:
            TypeError, ValueError: They do not fit each other.
        """
        return classifier, {}

    @classmethod
    def published_as(cls, architecture, arguments, options):
        """The architecture of the classifiers that the method makes.

        Args:
            architecture: Name of that of the classifier which was passed.
            arguments: Dict of its arguments.
            options: Dict of the options of the method that were given.

        Returns:
            `(architecture, arguments)`, as `keras_xcons.models.create` takes them.
        """
        return architecture, arguments

    def setup(self):
        """Makes what a method keeps from step to step: variables, tables, trackers."""

    def data_callbacks(self, load):
        """The callbacks that need data of their own, for a job that knows how to load.

        Args:
            load: Function of the arguments of `keras_xcons.data.load` that gives the
                training set, neither shuffled nor augmented unless they say so.

        Returns:
            List of Keras callbacks.
        """
        return []

    def check_image_size(self, size):
        """Refuses images that are too small for the method, before any work.

        Args:
            size: `(H, W)` in pixels, either `None` where it is not known.

        Raises:
            ValueError: They are.
        """

    def prepare(self, batch):
        """Makes of a batch what is needed for its loss, beyond the reach of its tape.

        Args:
            batch: `Batch`.

        Returns:
            The `Batch`, or another with more in its `extra`, see `Batch.having`.
        """
        return batch

    def batch_loss(self, batch):
        """The loss of a batch, which is recorded by a gradient tape.

        Args:
            batch: What `prepare` returned.

        Returns:
            `(loss, outputs)`: a scalar, for which `weighted_loss` has the caller's
            part, and what the view gives as outputs for the images.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no `batch_loss`: a training method writes it, "
            "or `learn`"
        )

    def learn(self, batch):
        """Makes one step of the optimizer.

        Args:
            batch: `Batch`.

        Returns:
            What the view gives as outputs for the images.
        """
        variables = self.learned_variables
        batch = self.prepare(batch)
        with tf.GradientTape() as tape:
            loss, outputs = self.batch_loss(batch)
            scaled = self.optimizer.scale_loss(loss)
        self.optimizer.apply(tape.gradient(scaled, variables), variables)
        self.track_loss(loss, batch.labels_given)
        return outputs

    def train_step(self, data):
        x, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        batch = batch_of(x, labels, sample_weight, self)
        try:
            outputs = self.learn(batch)
        finally:
            self.forget_losses()
        outputs = own_rows(outputs, labels)
        scores = self.objective.scores(outputs)
        if batch.labelled is None:
            self.objective.update_metrics(labels, outputs, sample_weight)
            return self.compute_metrics(x, labels, scores, sample_weight=sample_weight)
        known, present = own_rows((batch.labels, batch.labelled), labels)
        weights = product(ops.cast(present, "float32"), sample_weight)
        self.objective.update_metrics(known, outputs, weights)
        return self._metrics_of_labelled(known, scores, present, weights)

    def _metrics_of_labelled(self, labels, scores, present, weights):
        """The caller's metrics of the images with a label alone.

        By weights of 0 and 1, as XLA can leave out no rows; what Keras gives no
        weights gets these.
        """
        compiled = self._compile_metrics
        if compiled is not None:
            if not compiled.built:
                compiled.build(labels, scores)
            for groups, given in (
                (compiled._flat_metrics, ops.cast(present, "float32")),
                (compiled._flat_weighted_metrics, weights),
            ):
                for group in groups:
                    for metric in group.metrics if group else ():
                        metric.update_state(labels, scores, sample_weight=given)
        return self.get_metrics_result()

    # The passes of a step.

    def learning_pass(self, images, run=logits_pass, **arguments):
        """One forward pass as Keras would make it: statistics move, dropout draws.

        Args:
            images: Float tensor `(B, H, W, channels)` in 0..255.
            run: Function of a view, images, `training` and the arguments. Defaults to
                `logits_pass`.
            **arguments: As `run` takes them.

        Returns:
            What `run` returns.
        """
        training = self.in_training_mode
        result = run(self.training_view, images, training=training, **arguments)
        self.keep_losses()
        return result

    def still_pass(self, batch, images, run=logits_pass, training=None, **arguments):
        """One forward pass that leaves no trace, with the dropout of the learning pass.

        Args:
            batch: `Batch`.
            images: Float tensor `(B, H, W, channels)` in 0..255.
            run: As for `learning_pass`.
            training: Whether the classifier runs in training mode. Defaults to that of
                the step.
            **arguments: As `run` takes them.

        Returns:
            What `run` returns.
        """
        training = self.in_training_mode if training is None else training
        with keras.StatelessScope(state_mapping=batch.states):
            return run(self.training_view, images, training=training, **arguments)

    def image_gradients(self, batch, images, *losses, **arguments):
        """Gradients of losses of one still pass with respect to its images.

        Args:
            batch: `Batch`.
            images: Float tensor `(B, H, W, channels)` in 0..255.
            *losses: Functions from what the pass returns to a scalar.
            **arguments: As for `still_pass`.

        Returns:
            List of tensors of the shape of `images`, one a loss, times the loss scale
            that half precision needs; not finite where it overflows.
        """
        with tf.GradientTape(persistent=len(losses) > 1) as tape:
            tape.watch(images)
            result = self.still_pass(batch, images, **arguments)
            scaled = [self.optimizer.scale_loss(loss(result)) for loss in losses]
        return [tape.gradient(each, images) for each in scaled]

    def seed(self, purpose):
        """The seed of a draw of this step, see `random_numbers.seed_of`."""
        return seed_of(self.options.seed, self.optimizer, purpose)

    @property
    def in_training_mode(self):
        """Whether a step runs the classifier in training mode."""
        return self.objective.in_training_mode

    @property
    def learned_variables(self):
        """The variables that a training step updates, a list."""
        return self.objective.learned(self.trainable_variables)
