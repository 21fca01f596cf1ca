"""Plain training, the method that the others are compared with."""

from keras_xcons.methods.base import TrainingMethod
from keras_xcons.methods.registry import training_method


@training_method(
    "plain",
    title="plain",
    purpose="The caller's loss alone, every sample alike.",
)
class PlainModel(TrainingMethod):
    """Trains a classifier as Keras does, by the caller's loss alone.

    What the classifier's own objective asks for, as that of a ProtoPNet, is done as
    with every method.

    Raises:
        TypeError, ValueError: The classifier is none, or an argument is not accepted;
            from `fit`, if images or labels are not as the classifier takes them.

    Example:

    >>> trainer = keras_xcons.PlainModel(classifier)
    >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> trainer.compile(optimizer="adamw", loss=loss, metrics=["accuracy"])
    >>> trainer.fit(train_ds, epochs=10)
    """

    def batch_loss(self, batch):
        result = self.learning_pass(batch.images)
        loss = self.weighted_loss(batch.labels, result.outputs, batch.sample_weight)
        return loss, result.outputs
