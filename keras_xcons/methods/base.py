"""The frame of a training method: all that is not the method's own."""

import dataclasses
import threading

import keras
import tensorflow as tf
from keras import ops

from keras_xcons.methods.augmenting import split_augmentation
from keras_xcons.methods.batch import batch_of, own_rows
from keras_xcons.methods.common_options import MethodOptions
from keras_xcons.methods.keras_model import ClassifierModel
from keras_xcons.methods.objective import objective_of
from keras_xcons.methods.passes import logits_pass, replicas
from keras_xcons.methods.random_numbers import seed_of
from keras_xcons.models import split

# Of the step that a thread is in: `tf.distribute` runs each replica's in its own.
_step = threading.local()


class TrainingMethod(ClassifierModel):
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
    keys = ("sample_id",)

    def __init__(self, classifier, objective=None, options=None, **kwargs):
        options = self.Options(**(options or {}))
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
        raise NotImplementedError

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
        self.track_loss(loss, batch.size)
        return outputs

    def train_step(self, data):
        x, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        batch = batch_of(x, labels, sample_weight, self)
        try:
            outputs = self.learn(batch)
        finally:
            self.forget_losses()
        outputs = own_rows(outputs, labels)
        self.objective.update_metrics(labels, outputs, sample_weight)
        scores = self.objective.scores(outputs)
        return self.compute_metrics(x, labels, scores, sample_weight=sample_weight)

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
        if id(self) not in getattr(_step, "losses", {}):
            # A second pass over the layers clears what they added in the first.
            _step.losses = {id(self): super().losses}
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

    # Losses.

    @property
    def losses(self):
        kept = getattr(_step, "losses", {})
        return kept[id(self)] if id(self) in kept else super().losses

    def forget_losses(self):
        """Ends a step, see `learning_pass`."""
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
        total = _product(weights, sample_weight)
        loss = self.compute_loss(
            y=labels,
            y_pred=self.objective.scores(outputs),
            sample_weight=total,
            training=True,
        )
        extra = self.objective.loss(labels, outputs, total)
        return loss if extra is None else loss + extra / replicas()

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
            loss = self.weighted_loss(labels, outputs, None, weights)
        size = ops.cast(ops.shape(weights)[0] * replicas(), "float32")
        return tape.gradient(loss, weights) * size

    def track_loss(self, loss, size):
        """Adds a step's loss, of `size` samples, to the `loss` that `fit` reports."""
        for metric in self.metrics:
            if metric.name == "loss":
                # Keras divides losses by the number of replicas.
                metric.update_state(loss * replicas(), sample_weight=size)


def _product(weights, sample_weight):
    """The method's weights times the caller's, either of which may be `None`."""
    if sample_weight is None:
        return weights
    sample_weight = ops.cast(sample_weight, "float32")
    if weights is None:
        return sample_weight
    extra = len(sample_weight.shape) - 1
    return ops.reshape(weights, (-1,) + (1,) * extra) * sample_weight
