"""The runs that are compared: the same start, the same data, another method."""

import math

import keras
import tensorflow as tf

from keras_xcons import data, models
from keras_xcons.callbacks import EpochReweighting
from keras_xcons.training import XConsModel

# The probe sees features of fixed size, so that its settings need no tuning.
_PROBE_EPOCHS = 100
_PROBE_RATE = 1e-3
_WEIGHT_DECAY = 1e-4

# `fit` makes an iterator as an epoch begins and, unused, another one as it ends.
_ITERATORS_AN_EPOCH = 2


class Experiment:
    """The data and the common start of the runs that are compared.

    Args:
        options: `TrainOptions`.

    Raises:
        ValueError, FileNotFoundError, OSError: The data set or the weights cannot be
            loaded.
    """

    def __init__(self, options):
        self.options = options
        self.info = data.info(options.dataset)
        keras.utils.set_random_seed(options.seed)
        self._start = models.create(
            options.model,
            len(self.info.class_names),
            options.size,
            weights=options.weights,
        )
        if options.weights:
            # Fine-tuning a few epochs, the moving statistics would lag behind.
            models.freeze_batch_norm(self._start)

    @property
    def test_splits(self):
        """Names of the splits that are evaluated."""
        if self.options.is_shapes:
            return ("original", "mixed_same", "mixed_rand")
        if self.info.test_split is None:
            raise ValueError(
                f"The data set {self.info.name!r} has no split beside 'train' to "
                f"evaluate on. Received: splits {sorted(self.info.splits)}"
            )
        return (self.info.test_split,)

    def start(self):
        """A copy of the classifier that every run starts from."""
        copy = keras.models.clone_model(self._start)
        copy.set_weights(self._start.get_weights())
        return copy

    def train_data(self, **arguments):
        """The training set, shuffled, in batches."""
        return self.options.load(
            "train",
            shuffle=True,
            augment=self.options.augments,
            cache=True,
            **arguments,
        )

    def test_data(self, split):
        """An evaluation set with its boxes or masks."""
        return self.options.load(split, annotations=self.info.annotations is not None)

    def start_from(self, classifier):
        """Makes the weights of a classifier the start of the runs that follow."""
        self._start.set_weights(classifier.get_weights())

    def probe(self):
        """Trains the last layer alone, on the features of the frozen backbone.

        Its data is not augmented: the features
        of each image are computed once.

        Returns:
            The classifier.
        """
        model = self.start()
        logits = model.get_layer("logits")
        features = keras.Model(model.inputs[0], logits.input)
        train = self.options.load("train")
        labels = tf.concat([labels for _, labels in train], axis=0)
        inputs = features.predict(train.map(lambda x, y: x), verbose=1)
        head = keras.Sequential([keras.Input(inputs.shape[1:]), logits])
        head.compile(keras.optimizers.AdamW(_PROBE_RATE), self._loss())
        head.fit(inputs, labels.numpy(), batch_size=64, epochs=_PROBE_EPOCHS, verbose=0)
        return model

    def plain(self, callbacks=()):
        """Trains the classifier as Keras does.

        Args:
            callbacks: Keras callbacks.

        Returns:
            The classifier, and the history of the fit, a dict of lists.
        """
        model, trained = self.start(), self.start()
        history = self._fit(model, self.train_data(), callbacks)
        # Without the optimizer, whose state would triple the saved file.
        trained.set_weights(model.get_weights())
        return trained, history

    def xcons(self, callbacks=(), **overrides):
        """Trains the classifier by XCons, or by one of its controls.

        Args:
            callbacks: Keras callbacks.
            **overrides: Arguments of `XConsModel` in the place of the options'.

        Returns:
            The classifier, and the history of the fit, a dict of lists.
        """
        count = self.options.num_samples or self.info.splits["train"]
        arguments = self.options.method(count, self.info.multi_label)
        trainer = XConsModel(self.start(), **{**arguments, **overrides})
        ids = trainer.options.uses_table
        if trainer.options.schedule == "epoch":
            # Data of its own: a sweep over the training set would draw its order
            # anew, and the runs would no longer see the same.
            swept = self.options.load("train", sample_ids=True, cache=True)
            sweep = EpochReweighting(swept, trainer.options.sweep_every)
            # First, so that a backup made at the end of the epoch holds the sweep.
            callbacks = [sweep, *callbacks]
        history = self._fit(trainer, self.train_data(sample_ids=ids), callbacks)
        return trainer.classifier, history

    def _fit(self, model, dataset, callbacks):
        steps = self.options.epochs * len(dataset)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0,
            steps,
            warmup_target=self.options.rate,
            warmup_steps=math.ceil(steps / 20),
        )
        keras.utils.set_random_seed(self.options.seed)
        model.compile(
            keras.optimizers.AdamW(rate, weight_decay=_WEIGHT_DECAY),
            self._loss(),
            metrics=["binary_accuracy" if self.info.multi_label else "accuracy"],
        )
        # The dataset shuffles itself; Keras warns if it is asked to do that as well.
        fit = model.fit(
            dataset,
            epochs=self.options.epochs,
            callbacks=[*callbacks, _Forward(dataset)],
            shuffle=False,
        )
        return fit.history

    def _loss(self):
        if self.info.multi_label:
            return keras.losses.BinaryCrossentropy(from_logits=True)
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


class _Forward(keras.callbacks.Callback):
    """Moves the data of a continued run on to the epoch that it goes on with.

    Each iterator over a shuffled data set draws another order, and augmentation; a
    continued run would begin with those of the first epoch again.
    """

    def __init__(self, dataset):
        super().__init__()
        self._dataset = dataset
        self._epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        for _ in range(_ITERATORS_AN_EPOCH * (epoch - self._epoch)):
            iter(self._dataset)  # reads nothing yet
        self._epoch = epoch + 1
