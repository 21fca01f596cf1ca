"""The runs that are compared: the same start, the same data, another method."""

import functools
import math

import keras
import tensorflow as tf

from keras_xcons import data, models
from keras_xcons.methods import method_of, objective_class, trainer
from keras_xcons.methods.specs import too_small
from keras_xcons.models.policy import dtype_policy
from keras_xcons.options import fields
from keras_xcons.recipes.calibrate import calibrate_trained
from keras_xcons.recipes.data_check import check_data
from keras_xcons.recipes.resuming import SkipSeenEpochs

# The probe sees features of fixed size, so that its settings need no tuning.
_PROBE_EPOCHS = 100
_PROBE_RATE = 1e-3
# Options of methods that a job and its data decide, unless they are given.
FOLLOWING = ("num_samples", "multi_label", "seed")


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
        stages: Dict of the stages of a classifier that is trained in some, see
            `keras_xcons.protopnet.StageSchedule`.
        objective: Dict of options of the classifier's objective.

    Attributes:
        options: The `TrainOptions`.
        info: `keras_xcons.data.DatasetInfo` of the data.
        test_splits: Names of the splits that are evaluated.

    Raises:
        ValueError, FileNotFoundError, OSError: The data set or the weights cannot be
            loaded, or the data set has no split `"train"` or none beside it.
    """

    def __init__(self, options, architecture=None, stages=None, objective=None):
        self.options = options
        self._family = objective_class(options.model)
        self._stages, self._objective = stages or {}, objective
        self.info = data.info(options.dataset)
        self.test_splits = self._test_splits()
        keras.utils.set_random_seed(options.seed)
        self._architecture = architecture or {}
        self._start = self._create(
            options.dtype, options.model, self._architecture, options.pretrained
        )
        self._trained = {}
        if options.freezes:
            # Fine-tuning a few epochs, the moving statistics would lag behind.
            models.freeze_batch_norm(self._start)
        self._is_prepared = False

    def _create(self, dtype, architecture, arguments, pretrained=None):
        with dtype_policy(dtype):
            return models.create(
                architecture,
                len(self.info.class_names),
                self.options.size,
                pretrained=pretrained,
                **arguments,
            )

    @property
    def has_probe(self):
        """Whether the last layer is trained first, on what the others know."""
        return self.options.pretrained is not None and self._family.has_probe

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

    def check_methods(self):
        """Makes the trainer of every method, so that nothing is refused too late.

        Raises:
            TypeError, ValueError: A method does not take the classifier, or the size of
                its images or batches.
        """
        size, batch = self.options.size, self.options.batch
        for method in self.options.methods:
            made = self._trainer(method, self._start)
            made.check_image_size((size, size))
            count = min(batch, self.options.num_samples or self.info.splits["train"])
            if count < made.fewest_images:
                raise ValueError(f"{too_small(made)} Received: batches of {count}")

    def _trainer(self, method, classifier, **overrides):
        options = {**self._method_options(method), **overrides}
        return trainer(method, classifier, objective=self._objective, **options)

    def _test_splits(self):
        if self.options.is_shapes:
            return ("original", "mixed_same", "mixed_rand")
        check_splits(self.info)
        return (self.info.test_split,)

    def start(self):
        """A copy of the classifier that every run starts from."""
        if not self._is_prepared:
            # Not before a run starts: it may read all images.
            seed = self.options.seed
            self._family.prepare(self._start, self._training_set, seed)
            self._is_prepared = True
        return models.copy_model(self._start)

    def _training_set(self, **arguments):
        return self.options.load("train", **arguments)

    def in_float32(self, classifier, method="plain"):
        """What is measured and published of a classifier trained in another dtype.

        Args:
            classifier: What a run of the experiment has returned.
            method: The method that it was trained by. Defaults to `"plain"`.

        Returns:
            A `keras.Model`, float32; the classifier itself if it is.
        """
        if self.options.dtype == "float32":
            return classifier
        weights = classifier.get_weights()
        made = method_of(method).trainer.published_as(
            self.options.model, self._architecture, self._method_options(method)
        )
        model = models.copy_model(self._create("float32", *made), weights=weights)
        self._family.converted(model, self._training_set)
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

    def calibrate(self, classifier):
        """Measures where heatmaps lie, so that they are laid there from now on.

        Args:
            classifier: The start, or what a run has returned.

        Returns:
            As `keras_xcons.recipes.calibrate.calibrate_trained`.
        """
        return calibrate_trained(
            classifier,
            self.options.dataset,
            on_bad_record=self.options.on_bad_record,
            **self.options.dataset_options,
        )

    def job(self, run):
        """What trains a run.

        Args:
            run: `"probe"`, or the name of a method.

        Returns:
            Function of Keras callbacks to the classifier and the history of the fit.
        """
        return self.probe if run == "probe" else functools.partial(self.train, run)

    def train(self, method, callbacks=(), **overrides):
        """Trains the classifier by a method.

        Args:
            method: One of `keras_xcons.methods()`.
            callbacks: Keras callbacks.
            **overrides: Options of the method in the place of those of
                `TrainOptions.methods`.

        Returns:
            The classifier, and the history of the fit, a dict of lists.
        """
        start = self._start_of(method)
        if self.has_probe and method_of(method).trainer.needs_maps:
            # What is attacked lies where the probe's maps say it does.
            self.calibrate(start)
        model = self._trainer(method, start, **overrides)
        # First, so that a backup made at the end of the epoch holds what they do.
        callbacks = [
            *self._family.stage_callbacks(self._training_set, self._stages),
            *model.data_callbacks(self._training_set),
            *callbacks,
        ]
        dataset = self.train_data(sample_ids=model.options.needs_sample_ids)
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
        return model.classifier, fit.history

    def remember(self, run, classifier):
        """Keeps what a run has trained, for the runs that start from it.

        Args:
            run: Name of the run.
            classifier: What it has returned.
        """
        self._trained[run] = classifier

    def runs_before(self, method):
        """The runs that one by a method starts from, a tuple of names."""
        probe = ("probe",) if self.has_probe else ()
        before = method_of(method).trainer.starts_from
        return probe if before is None else (*probe, before)

    def _start_of(self, method):
        before = method_of(method).trainer.starts_from
        if before is None:
            return self.start()
        if before not in self._trained:
            self.remember(before, self.train(before)[0])
        return models.copy_model(self._trained[before])

    def _method_options(self, method):
        """What the job and its data say of a method's options, and what was given."""
        found = {
            "num_samples": self.options.num_samples or self.info.splits["train"],
            "multi_label": self.info.multi_label,
            "seed": self.options.seed,
        }
        known = fields(method_of(method).options)
        follow = {name: found[name] for name in FOLLOWING if name in known}
        started = method_of(method).trainer.started
        return {**follow, **started, **self.options.methods.get(method, {})}

    def _optimizer(self, steps_per_epoch):
        own = self._family.own_optimizer(self.options.rate)
        if own is not None:
            return own
        steps = self.options.epochs * steps_per_epoch
        rate = keras.optimizers.schedules.CosineDecay(
            0.0,
            steps,
            warmup_target=self.options.rate,
            warmup_steps=math.ceil(steps / 20),
        )
        return keras.optimizers.AdamW(rate, weight_decay=self.options.weight_decay)

    def _loss(self):
        smoothing = self.options.label_smoothing
        if self.info.multi_label:
            return keras.losses.BinaryCrossentropy(True, label_smoothing=smoothing)
        if smoothing:
            return _smoothed(len(self.info.class_names), smoothing)
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
