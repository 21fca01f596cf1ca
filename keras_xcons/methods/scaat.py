"""SCAAT: adversarial training within a budget that follows the saliency map."""

import keras
import tensorflow as tf
from keras import ops

from keras_xcons import attacks
from keras_xcons.explainers import find_targets
from keras_xcons.methods.base import TrainingMethod
from keras_xcons.methods.common_options import MethodOptions
from keras_xcons.methods.passes import MeanOfKnown, has_weight, known, replicas
from keras_xcons.methods.registry import training_method
from keras_xcons.options import option, table

TERMS = ("kl", "loss")
BUDGETS = ("linear", "quantile")


@table
class SCAATOptions(MethodOptions):
    """The options of SCAAT.

    Raises:
        TypeError, ValueError: An option is not accepted.
    """

    weight: float = option(0.1, "Factor λ of the term of the attacked images.", low=0.0)
    term: str = option(
        "kl",
        "What is learned of attacked images. kl: to predict what the network predicts "
        "of the clean ones, KL(softmax(z) ‖ softmax(ẑ)). loss: the caller's loss.",
        choices=TERMS,
    )
    epsilon: float = option(
        8.0,
        "Largest change of a value where nothing is salient, in 0..255.",
        low=0.0,
        high=255.0,
    )
    step_size: float = option(2.0, "Step of PGD, in 0..255.", above=0.0, high=255.0)
    attack_steps: int = option(3, "Steps K of PGD.", low=1, high=10_000)
    budget: str = option(
        "linear",
        "How the budget of a pixel follows its saliency s in 0..1. linear: epsilon · "
        "(1 - s). quantile: epsilon below the image's `quantile` of s, else 0.",
        choices=BUDGETS,
    )
    quantile: float = option(
        0.9, "Share of the pixels that the quantile budget attacks.", low=0.0, high=1.0
    )


@training_method(
    "scaat",
    title="SCAAT",
    purpose="Learns from attacks on what is not salient, for sparser saliency maps.",
    paper="Xu et al. 2023, arXiv 2311.05143",
    neutral={"weight": 0.0},
)
class SCAATModel(TrainingMethod):
    """Trains a classifier against attacks that spare what its saliency map shows.

    Saliency-constrained adaptive adversarial training: an image is attacked most where
    the network hardly looks, and the network learns that this changes nothing. What
    is left of its saliency maps is sparser and more faithful. The paper is known to us
    from its abstract, which says that much; all that follows is our choice, each an
    option.

    The saliency is `s = |∂z_y/∂x|`, averaged over the channels and divided by its
    maximum in each image. The budget of a pixel is `epsilon · (1 - s)`, and follows the
    attacked image from step to step. The attack is PGD on the caller's labels with a
    random start within `epsilon`, by a loss whose gradient does not fade
    (`keras_xcons.attacks.margin_loss`). The loss is the caller's of the clean images
    plus `weight` times the mean of `KL(softmax(z) ‖ softmax(ẑ))`, sigmoids for
    multi-hot labels, or plus `weight` times the caller's loss of the attacked images.

    It needs the logits alone: the classifier need not have a feature map.

    Logs of `fit`, beside the caller's: `attacked_term`, the mean KL divergence or loss
    of the attacked images before `weight`; `budget`, the mean budget of a pixel as a
    share of `epsilon`; and `zero_gradient`, the share of images whose gradient was all
    zero, so that nothing was attacked.

    Raises:
        TypeError, ValueError: The classifier cannot be split, or an option is not
            accepted; from `fit`, if images or labels are not as the classifier takes
            them.

    Example:

    >>> trainer = keras_xcons.SCAATModel(classifier, epsilon=8.0)
    >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> trainer.compile(optimizer="adamw", loss=loss, metrics=["accuracy"])
    >>> trainer.fit(train_ds, epochs=10)

    Reference:
        [Xu et al., 2023](https://arxiv.org/abs/2311.05143)
    """

    Options = SCAATOptions

    def setup(self):
        self._term = keras.metrics.Mean(name="attacked_term")
        self._budget = MeanOfKnown(name="budget")
        self._zero_gradient = MeanOfKnown(name="zero_gradient")
        self.trackers += [self._term, self._budget, self._zero_gradient]

    def prepare(self, batch):
        return batch.having(attacked=self._attacked(batch))

    def batch_loss(self, batch):
        options = self.options
        clean = self.learning_pass(batch.images)
        loss = self.weighted_loss(batch.labels, clean.outputs, batch.sample_weight)
        other = self.still_pass(batch, batch.extra["attacked"])
        if options.term == "kl":
            values = divergence(clean.logits, other.logits, options.multi_label)
            term = self.mean_term(values, batch.sample_weight)
        else:
            given = batch.labels, other.outputs, batch.sample_weight
            term = self.further_loss(*given)
        self._term.update_state(term * replicas(), sample_weight=batch.size)
        return loss + options.weight * term, clean.outputs

    def _attacked(self, batch):
        """Images attacked within the budget that their saliency leaves."""
        options, view = self.options, self.view
        targets = find_targets(batch.labels, view.num_classes, options.multi_label)
        labels = targets.valid if options.multi_label else targets.classes[:, 0]
        chosen = targets.valid
        if not options.multi_label:
            chosen = ops.one_hot(labels, view.num_classes)
        if view.binary:
            # Of the logits (0, z) class 0 speaks by -z.
            chosen = chosen - chosen[:, ::-1]

        def score(result):
            return ops.sum(ops.cast(result.logits, "float32") * chosen)

        def loss(result):
            return ops.mean(
                attacks.margin_loss(result.logits, labels, options.multi_label)
            )

        shape, noise = tf.shape(batch.images), options.epsilon
        seed = self.seed("start")
        start = tf.random.stateless_uniform(shape, seed, -noise, noise)
        attacked, moved = ops.clip(batch.images + start, 0.0, 255.0), []
        for _ in range(options.attack_steps):
            slopes = self.image_gradients(batch, attacked, score, loss)
            slope, gradient = (finite_or_zero(each) for each in slopes)
            budget = pixel_budget(saliency(slope), options)
            attacked = budgeted_step(
                *(attacked, batch.images, gradient), budget, options.step_size
            )
            moved.append(ops.any(gradient != 0.0, axis=(1, 2, 3)))
        present = has_weight(batch.sample_weight, ops.ones_like(budget[:, 0, 0, 0]))
        share = ops.mean(budget, axis=(1, 2, 3)) / max(options.epsilon, 1e-12)
        self._budget.update_state(known(share, present))
        still = ops.logical_not(ops.any(ops.stack(moved), axis=0))
        self._zero_gradient.update_state(known(still, present))
        return attacked


def finite_or_zero(gradients):
    """Gradients, 0 where a loss scale that is still too large made them no number."""
    return ops.where(ops.isfinite(gradients), gradients, ops.zeros_like(gradients))


def saliency(gradients):
    """The saliency of the pixels of each image.

    Args:
        gradients: Float tensor `(B, H, W, channels)`, of the label's logit.

    Returns:
        Float tensor `(B, H, W, 1)` in 0..1: the mean magnitude over the channels,
        divided by its maximum in the image; 0 where that is 0.
    """
    size = ops.mean(ops.abs(gradients), axis=-1, keepdims=True)
    peak = ops.max(size, axis=(1, 2), keepdims=True)
    return ops.where(peak > 0.0, size / ops.where(peak > 0.0, peak, 1.0), 0.0)


def pixel_budget(salient, options):
    """How far the values of each pixel may move.

    Args:
        salient: Float tensor `(B, H, W, 1)` in 0..1.
        options: `SCAATOptions`.

    Returns:
        Float tensor `(B, H, W, 1)` in 0..epsilon.
    """
    if options.budget == "linear":
        return options.epsilon * (1.0 - salient)
    flat = ops.reshape(salient, (ops.shape(salient)[0], -1))
    count = ops.cast(ops.shape(flat)[1] - 1, "float32")
    place = ops.cast(ops.floor(options.quantile * count), "int32")
    limit = ops.take(ops.sort(flat, axis=-1), place, axis=-1)
    below = salient <= ops.reshape(limit, (-1, 1, 1, 1))
    return options.epsilon * ops.cast(below, "float32")


def budgeted_step(attacked, images, gradients, budget, step_size):
    """One step of PGD, back to within the budget of every pixel and into 0..255.

    Args:
        attacked: Float tensor `(B, H, W, channels)`.
        images: The images that are attacked, the same shape.
        gradients: Gradients of the loss that is climbed, the same shape.
        budget: Float tensor `(B, H, W, 1)`.
        step_size: Change of a value in one step.

    Returns:
        Float tensor of the same shape.
    """
    change = attacked + step_size * ops.sign(gradients) - images
    return ops.clip(images + ops.clip(change, -budget, budget), 0.0, 255.0)


def divergence(logits, others, multi_label=False):
    """`KL(softmax(z) ‖ softmax(ẑ))` of each image; the sum over sigmoids.

    Args:
        logits: Tensor `(B, C)`, of the clean images.
        others: Tensor `(B, C)`, of the attacked images.
        multi_label: Whether the classes do not exclude each other. Defaults to
            `False`.

    Returns:
        Float32 tensor `(B,)`.
    """
    logits, others = ops.cast(logits, "float32"), ops.cast(others, "float32")
    if multi_label:
        # Each class is a distribution of two.
        pair = ops.stack([logits, ops.zeros_like(logits)], axis=-1)
        other = ops.stack([others, ops.zeros_like(others)], axis=-1)
        return ops.sum(divergence(pair, other), axis=-1)
    ratio = ops.log_softmax(logits, axis=-1) - ops.log_softmax(others, axis=-1)
    return ops.sum(ops.softmax(logits, axis=-1) * ratio, axis=-1)
