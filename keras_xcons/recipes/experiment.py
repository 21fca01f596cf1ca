"""The runs that are compared: the same start, the same data, another method."""

import math

import keras
import tensorflow as tf

from keras_xcons import data, models
from keras_xcons.callbacks import EpochReweighting
from keras_xcons.methods import PlainModel, XConsModel
from keras_xcons.models.policy import dtype_policy
from keras_xcons.protopnet import (
    PrototypeStages,
    StageSchedule,
    draw_prototypes,
    push_prototypes,
)
from keras_xcons.recipes.data_check import check_data
from keras_xcons.recipes.resuming import SkipSeenEpochs

# The probe sees features of fixed size, so that its settings need no tuning.
_PROBE_EPOCHS = 100
_PROBE_RATE = 1e-3


def check_splits(info):
    """Refuses a data set without a split to train on or one to evaluate on.

    Args:
        info: `keras_xcons.data.DatasetInfo` of it.

    Raises:
        ValueError: It has no split `"train"`, or none beside it.
    """
    if "train" not in info.splits:
        lack = "no split 'train' to train on"
    elif info.test_split is None:
        lack = "no split beside 'train' to evaluate on"
    else:
        return
    raise ValueError(
        f"The data set {info.name!r} has {lack}. In a folder, put class folders of "
        "images to train on into train/, and class folders of the same names with "
        f"other images into test/ beside it. Received: splits {sorted(info.splits)}"
    )


class Experiment:
    """The data and the common start of the runs that are compared.

    Args:
        options: `TrainOptions`.
        architecture: Dict of arguments of the architecture, see
            `keras_xcons.models.create`. Defaults to none.
        stages: Of a ProtoPNet: dict of arguments of
            `keras_xcons.protopnet.StageSchedule`.

    Attributes:
        options: The `TrainOptions`.
        info: `keras_xcons.data.DatasetInfo` of the data.
        test_splits: Names of the splits that are evaluated.

    Raises:
        ValueError, FileNotFoundError, OSError: The data set or the weights cannot be
            loaded, the data set has no split `"train"` or none beside it, or labels
            are to be smoothed of images that have several.
    """

    def __init__(self, options, architecture=None, stages=None):
        self.options = options
        self._stages = StageSchedule(**(stages or {}))
        self.info = data.info(options.dataset)
        self.test_splits = self._test_splits()
        if options.label_smoothing and self.info.multi_label:
            raise ValueError(
                "Labels are smoothed where an image has a single one. Received: "
                f"label_smoothing={options.label_smoothing!r} with the data set "
                f"{self.info.name!r} of several labels an image"
            )
        keras.utils.set_random_seed(options.seed)
        self._architecture = architecture or {}
        self._start = self._create(options.dtype, options.pretrained)
        if options.freezes:
            # Fine-tuning a few epochs, the moving statistics would lag behind.
            models.freeze_batch_norm(self._start)
        self._draws = options.has_prototypes

    def _create(self, dtype, pretrained=None):
        with dtype_policy(dtype):
            return models.create(
                self.options.model,
                len(self.info.class_names),
                self.options.size,
                pretrained=pretrained,
                **self._architecture,
            )

    @property
    def has_probe(self):
        """Whether the last layer is trained first, on what the others know."""
        return self.options.pretrained is not None and not self.options.has_prototypes

    def check_data(self, report):
        """Looks at all of the data, see `keras_xcons.recipes.data_check.check_data`.

        Args:
            report: Function that is told what is left out.
        """
        check_data(
            self.options.dataset,
            self.info,
            ("train", *self.test_splits),
            report,
            self.options.on_bad_record,
        )

    def _test_splits(self):
        if self.options.is_shapes:
            return ("original", "mixed_same", "mixed_rand")
        check_splits(self.info)
        return (self.info.test_split,)

    def start(self):
        """A copy of the classifier that every run starts from."""
        if self._draws:
            # Random vectors are far from every patch of an image. Not before a run
            # starts: it reads all images.
            train = self.options.load("train")
            draw_prototypes(self._start, train, seed=self.options.seed)
            self._draws = False
        return models.copy_model(self._start)

    def in_float32(self, classifier):
        """What is measured and published of a classifier trained in another dtype.

        A ProtoPNet is pushed once more, since its prototypes are patches of features
        that were computed with fewer digits.

        Args:
            classifier: What a run of the experiment has returned.

        Returns:
            A `keras.Model`, float32; the classifier itself if it is.
        """
        if self.options.dtype == "float32":
            return classifier
        weights = classifier.get_weights()
        model = models.copy_model(self._create("float32"), weights=weights)
        if self.options.has_prototypes:
            push_prototypes(model, self.options.load("train"))
        return model

    def train_data(self, **arguments):
        """The training set, shuffled, in batches."""
        # The order depends on the seed of TensorFlow, too, as it is at this moment.
        keras.utils.set_random_seed(self.options.seed)
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

    def probe(self, callbacks=()):
        """Trains the last layer alone, on the features of the frozen backbone.

        Its data is not augmented: the features of each image are computed once.

        Args:
            callbacks: Not used; there is nothing in it that takes long.

        Returns:
            The classifier, and the history of the fit, a dict of lists.
        """
        model = self.start()
        logits = model.get_layer("logits")
        features = keras.Model(model.inputs[0], logits.input)
        train = self.options.load("train")
        labels = tf.concat([labels for _, labels in train], axis=0)
        inputs = features.predict(train.map(lambda x, y: x), verbose=1)
        head = keras.Sequential([keras.Input(inputs.shape[1:]), logits])
        head.compile(keras.optimizers.AdamW(_PROBE_RATE), self._loss())
        fit = head.fit(
            inputs, labels.numpy(), batch_size=64, epochs=_PROBE_EPOCHS, verbose=0
        )
        return model, fit.history

    def plain(self, callbacks=()):
        """Trains the classifier as Keras does.

        Args:
            callbacks: Keras callbacks.

        Returns:
            The classifier, and the history of the fit, a dict of lists.
        """
        if self.options.has_prototypes:
            trainer = PlainModel(self.start())
            history = self._fit(trainer, self.train_data(), callbacks)
            return trainer.classifier, history
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
        ids = trainer.options.needs_sample_ids
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
        if self.options.has_prototypes:
            stages = PrototypeStages(self.options.load("train"), self._stages)
            # Before a backup, which then holds the push that ends an epoch.
            callbacks = [stages, *callbacks]
        keras.utils.set_random_seed(self.options.seed)
        model.compile(
            self._optimizer(len(dataset)),
            self._loss(),
            metrics=["binary_accuracy" if self.info.multi_label else "accuracy"],
        )
        # The dataset shuffles itself; Keras warns if it is asked to do that as well.
        fit = model.fit(
            dataset,
            epochs=self.options.epochs,
            callbacks=[*callbacks, SkipSeenEpochs(dataset)],
            shuffle=False,
        )
        return fit.history

    def _optimizer(self, steps_per_epoch):
        if self.options.has_prototypes:
            # As the paper has it; the stages lower the rate.
            return keras.optimizers.Adam(self.options.rate)
        steps = self.options.epochs * steps_per_epoch
        rate = keras.optimizers.schedules.CosineDecay(
            0.0,
            steps,
            warmup_target=self.options.rate,
            warmup_steps=math.ceil(steps / 20),
        )
        return keras.optimizers.AdamW(rate, weight_decay=self.options.weight_decay)

    def _loss(self):
        if self.info.multi_label:
            return keras.losses.BinaryCrossentropy(from_logits=True)
        if self.options.label_smoothing:
            return _smoothed(len(self.info.class_names), self.options.label_smoothing)
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _smoothed(count, smoothing):
    """Cross-entropy with label smoothing of integer labels, which Keras has not."""

    def smoothed_crossentropy(labels, logits):
        return keras.losses.categorical_crossentropy(
            keras.ops.one_hot(labels, count),
            logits,
            from_logits=True,
            label_smoothing=smoothing,
        )

    return smoothed_crossentropy
