"""ProtoPNet: training of a classifier that compares images with prototypes."""

import keras
import tensorflow as tf
from keras import ops

from keras_xcons.data import split_sample_ids
from keras_xcons.models import split
from keras_xcons.protopnet.view import prototype_view
from keras_xcons.training import saving
from keras_xcons.training.prototype_training import PrototypeTraining
from keras_xcons.training.xcons import XConsModel


@keras.saving.register_keras_serializable("keras_xcons")
class ProtoPNetModel(PrototypeTraining):
    """Trains a ProtoPNet: a classifier that compares images with prototypes.

    The loss is the caller's plus `cluster` times the mean squared distance of the
    images to the nearest prototype of their class, minus `separation` times that to
    the nearest prototype of another class, plus `sparsity` times the sum of the
    absolute weights between prototypes and other classes. Sample and class weights
    weigh the distances of a sample like its loss.

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
        classifier: A ProtoPNet, as `create("protopnet", ...)` makes it, or pruned or
            loaded. `classifier` gives it back.
        feature_layer: Name of the layer to explain. Defaults to the last 4-D
            activation, `"features"`.
        align: Where maps are laid on images, see `keras_xcons.models.split`: those
            that the boxes of a push are drawn around, and those of `explain`.
        cluster: Factor of the distance to the own class. Defaults to 0.8.
        separation: Factor of the distance to other classes. Defaults to 0.08.
        sparsity: Factor of the last layer's weights to other classes. Defaults to
            1e-4.
        features_rate: Rate of the features as a share of the optimizer's. Defaults
            to 1/30: 1e-4 of 3e-3.
        last_layer_rate: Rate of the last layer as a share of the optimizer's.
            Defaults to 1/30.
        stage: The stage to begin in, without `PrototypeStages` the one to stay in:
            `"warm"`, `"joint"` or `"last"`. Defaults to `"joint"`.
        **kwargs: `keras.Model` arguments.

    Raises:
        TypeError, ValueError: `classifier` is no ProtoPNet, or an argument is out of
            range; from `fit`, if images or labels are not as the classifier takes
            them.

    Example:

    >>> trainer = ProtoPNetModel(classifier)
    >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> trainer.compile(keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
    >>> schedule = StageSchedule()
    >>> stages = PrototypeStages(images_in_order, schedule)
    >>> trainer.fit(train, epochs=schedule.epochs(pushes=2), callbacks=[stages])
    >>> trainer.classifier.save("protopnet.keras")

    Logs of `fit`, beside the caller's: `cluster` and `separation`, the mean distances
    to the nearest prototypes of the own and of other classes, and those of
    `PrototypeStages`.

    Reference:
        [Chen et al., 2019](https://arxiv.org/abs/1806.10574)
    """

    def __init__(self, classifier, feature_layer=None, align=True, **kwargs):
        prototype_view(classifier)
        super().__init__(split(classifier, feature_layer, align=align), **kwargs)

    def train_step(self, data):
        x, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        images, _ = split_sample_ids(x)
        images = ops.cast(images, "float32")
        weights = ops.ones_like(images[:, 0, 0, 0])
        variables = self.learned_variables
        with tf.GradientTape() as tape:
            _, _, outputs = self.training_view(images, self.in_training_mode)
            loss = self.weighted_loss(labels, outputs, sample_weight, weights)
            scaled = self.optimizer.scale_loss(loss)
        self.optimizer.apply(tape.gradient(scaled, variables), variables)
        self.track_loss(loss, ops.shape(images)[0])
        return self.compute_metrics(x, labels, outputs, sample_weight=sample_weight)

    def get_config(self):
        return {
            **super().get_config(),
            "classifier": saving.to_config(self.classifier),
            "feature_layer": self.view.feature_layer,
            "align": self.view.asked.align,
        }


@keras.saving.register_keras_serializable("keras_xcons")
class XConsProtoPNetModel(PrototypeTraining, XConsModel):
    """Trains a ProtoPNet in its stages, with samples weighted by XCons.

    Each step weighs a sample by the explanation consistency of its class logit, as
    `XConsModel` does; the weight multiplies its distances to the prototypes too.
    Attacks climb the whole loss.

    Args:
        classifier: As in `ProtoPNetModel`.
        *args: As in `XConsModel`, from `schedule` on.
        **kwargs: Arguments of `XConsModel` and of `ProtoPNetModel`.

    Raises:
        TypeError, ValueError: As `XConsModel` and `ProtoPNetModel`, or if
            `multi_label` is asked for.

    Example:

    >>> trainer = XConsProtoPNetModel(classifier, epsilon=4.0, cluster=0.8)
    >>> trainer.compile(keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
    >>> trainer.fit(train, epochs=30, callbacks=[PrototypeStages(images_in_order)])

    Logs of `fit`: those of `XConsModel` and of `ProtoPNetModel`.
    """

    def __init__(self, classifier, *args, **kwargs):
        prototype_view(classifier)
        super().__init__(classifier, *args, **kwargs)
        if self.options.multi_label:
            raise ValueError(
                "The prototypes of a ProtoPNet belong to one class each, and so must "
                "its images. Received: multi_label=True"
            )
