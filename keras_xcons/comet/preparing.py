"""What COMET needs before its first step: a trained detector."""

import inspect

import keras

from keras_xcons.comet.view import comet_view
from keras_xcons.methods import PlainModel


class TrainingData:
    """The data of a `fit`, to be trained on before it begins.

    Args:
        x: As for `fit`, checked.
        y: As for `fit`. Defaults to `None`.
        **given: Further arguments of `fit` that tell how the data is read:
            `batch_size`, `steps_per_epoch`, `validation_split`, `class_weight` and
            `sample_weight`.

    Raises:
        ValueError: The data can be read once only.
    """

    def __init__(self, x, y=None, **given):
        if inspect.isgenerator(x):
            raise ValueError(
                "`fit` trains the detector first, and a generator can be read once "
                "only. Pass a tf.data.Dataset or arrays, or a trained `detector`, or "
                "`detector_epochs=0` for a predictor that is trained. Received: x of "
                f"type {type(x).__name__}"
            )
        self.x, self.y = x, y
        self.given = given

    def trained(self, classifier, epochs, like, verbose=0):
        """Trains a classifier plainly on the data, in place.

        Args:
            classifier: `keras.Model`.
            epochs: int.
            like: Compiled `keras_xcons.methods.TrainingMethod`, whose loss and whose
                predictor's optimizer are taken once more.
            verbose: As for `fit`. Defaults to 0.
        """
        with like.distribute_strategy.scope():
            plain = PlainModel(classifier, multi_label=like.options.multi_label)
            plain.compile(
                fresh_optimizer(like.optimizer),
                like.loss,
                run_eagerly=like.run_eagerly,
                jit_compile=like.jit_compile,
            )
        given = {name: v for name, v in self.given.items() if v is not None}
        plain.fit(
            self.x, self.y, epochs=epochs, verbose=verbose, shuffle=False, **given
        )


def fresh_optimizer(optimizer):
    """An optimizer as another one was before it was built: the predictor's own."""
    optimizer = getattr(optimizer, "parts", {}).get("predictor", optimizer)
    return keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))


class COMETPreparation(keras.callbacks.Callback):
    """Trains the detector before the first step of a training.

    `COMETModel` adds this callback by itself, over the data that it is fitted on. That
    it is done is part of a checkpoint, and it is not done again.

    Args:
        data: `TrainingData`.
    """

    def __init__(self, data):
        super().__init__()
        self.data = data

    def on_train_begin(self, logs=None):
        trainer = self.model
        if not trainer.needs_detector:
            return
        parts = comet_view(trainer.classifier)
        epochs = trainer.options.detector_epochs
        verbose = (self.params or {}).get("verbose", 0)
        if verbose:
            print(f"Training the detector, {epochs} epochs on whole images", flush=True)
        self.data.trained(parts.predictor, epochs, trainer, verbose)
        trainer.detector.set_weights(parts.predictor.get_weights())
        begin_as(parts.selection.selector, parts.predictor)
        trainer.prepared.assign(1)


def begin_as(selector, predictor):
    """Gives a selector's copies of a classifier's layers the weights that those have.

    Args:
        selector: What `default_selector` made of the predictor; of another selector a
            layer of the same name and shapes is taken for a copy.
        predictor: `keras.Model`.
    """
    known = {}
    for layer in predictor._flatten_layers(include_self=False):
        if layer.weights and not isinstance(layer, keras.Model):
            known.setdefault(layer.name, layer)
    for layer in selector.layers:
        other = known.get(layer.name)
        if other is not None:
            shapes = [[tuple(w.shape) for w in each.weights] for each in (layer, other)]
            if shapes[0] == shapes[1]:
                layer.set_weights(other.get_weights())
