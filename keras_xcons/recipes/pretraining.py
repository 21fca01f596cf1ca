"""Pretraining of a network from random weights, with nothing but Keras.

It runs on every backend of Keras: `fit` does all of it, and `tf.data` only feeds it.
"""

import dataclasses
import shutil

import keras
import tensorflow as tf

from keras_xcons import data, models
from keras_xcons.files import files_together, sha256_of_file, whole_file, write_json
from keras_xcons.models.policy import dtype_policy
from keras_xcons.recipes import ownership
from keras_xcons.recipes.data_check import check_data
from keras_xcons.recipes.experiment import check_splits
from keras_xcons.recipes.resuming import Backup, SkipSeenEpochs
from keras_xcons.recipes.settings import begin_or_continue, identity

_MOMENTUM = 0.9
_WARMUP = 0.1  # of all steps
_WEIGHTS = "model.weights.h5"
_METRICS = "metrics.json"


def pretrain(options, output, report=print, architecture=None):
    """Trains a classifier from random weights.

    A run that was stopped goes on after its last whole epoch when it is called again
    with the same options and data, wherever the data lie, with the images in the
    order, and augmented, as they would have been. With other options it starts anew,
    and what the folder holds of the earlier run is deleted.

    Written into `output`: `model.weights.h5`, and `metrics.json` with the figures of
    each epoch and the accuracy on the test split.

    Args:
        options: `PretrainOptions`.
        output: The folder.
        report: Function that is told each line for the user. Defaults to `print`.
        architecture: Dict of arguments of the architecture, see
            `keras_xcons.models.create`. Defaults to none.

    Returns:
        The trained `keras.Model`, float32, at the image size of the last phase.

    Raises:
        ValueError, TypeError, OSError: The data or the folder will not do.

    Example:

    >>> options = PretrainOptions("shapes", "small_cnn", phases=((32, 1), (64, 1)))
    >>> model = pretrain(options, "runs/small_cnn")
    """
    info = data.info(options.dataset)
    check_splits(info)
    if info.multi_label:
        raise ValueError(
            "Pretraining takes a data set of one label an image. Received: "
            f"dataset={options.dataset!r}, of several labels an image"
        )
    # The network may not take the smallest images, which a later phase may have.
    create = _Create(options.model, len(info.class_names), architecture or {})
    trial = create(min(size for size, _ in options.phases))
    if options.zero_residual:
        models.zero_residual(trial)
    with ownership.job_folder(output, [_WEIGHTS, _METRICS]) as folder:
        check_data(options.dataset, info, ("train", info.test_split), report)
        return _pretrain(options, info, create, folder, report)


def _pretrain(options, info, create, folder, report):
    kept = ownership.claim(folder)
    settings = {**identity(options, info), "architecture": create.arguments}
    results = [folder / _WEIGHTS, folder / _METRICS]
    if begin_or_continue(kept, settings, report, results):
        report(f"Continuing the run in {folder}")
    phases = _phases(options, info, create, kept, report)
    # A phase that is finished makes those before it dispensable, but for their figures.
    finished = [number for number, phase in enumerate(phases) if phase.is_finished]
    last = max(finished, default=-1)
    weights, history = None, []
    for number, phase in enumerate(phases):
        report(
            f"Phase {number + 1} of {len(phases)}: {phase.epochs} epochs at "
            f"{phase.size} px{', finished before' * (number <= last)}"
        )
        if number >= last:
            weights = phase.load() if number == last else phase.run(weights)
        history += phase.figures
    model = create(options.image_size)
    model.set_weights(weights)
    with files_together(folder) as staging:
        model.save_weights(staging / _WEIGHTS)
        write_json(
            staging / _METRICS,
            {"options": dataclasses.asdict(options), "epochs": history},
        )
    for phase in phases:
        phase.forget_checkpoints()
    accuracy = (history[-1] or {}).get("val_accuracy", float("nan"))
    report(f"Validation accuracy {accuracy:.3f}. Written to {folder}")
    return model


def _phases(options, info, create, folder, report):
    steps = -(-info.splits["train"] // options.batch_size)
    steps = min(steps, options.steps_per_epoch or steps)
    total = steps * sum(epochs for _, epochs in options.phases)
    phases, done = [], 0
    for number, (size, epochs) in enumerate(options.phases, start=1):
        curve = _Curve(options.learning_rate, total, done)
        place = folder / f"phase{number}"
        run = size, epochs, steps, curve, report
        phases.append(_Phase(options, info, create, place, *run))
        done += steps * epochs
    return phases


@dataclasses.dataclass(frozen=True)
class _Create:
    """Builds the network at an image size, under a dtype policy of its own."""

    model: str
    num_classes: int
    arguments: dict

    def __call__(self, size, dtype="float32"):
        with dtype_policy(dtype):
            return models.create(self.model, self.num_classes, size, **self.arguments)


class _Phase:
    """Some epochs at one image size, continued where they were stopped."""

    def __init__(
        self, options, info, create, folder, size, epochs, steps, curve, report
    ):
        self.size, self.epochs = size, epochs
        self._options = options
        self._info = info
        self._create = create
        self._folder = folder
        self._steps = steps
        self._curve = curve
        self._report = report
        self._weights = folder / _WEIGHTS
        self._finished = folder / "finished.json"
        self._log = _Log(folder / "epochs.json", report)
        self.is_finished = self._is_finished()

    def _is_finished(self):
        """Whether `load` gives what the phase has learned, and it is whole."""
        if not self._finished.exists():
            return False
        told = ownership.read_object(self._finished) or {}
        weights = self._weights
        if weights.is_file() and told.get("sha256") == sha256_of_file(weights):
            return True
        self._report(f"{self._weights} is damaged, or {self._finished.name} beside it")
        return False

    @property
    def figures(self):
        """Those of each epoch, `None` for what was lost."""
        rows = self._log.rows
        return rows + [None] * (self.epochs - len(rows))

    def load(self):
        """The weights after the phase."""
        model = self._create(self.size, self._options.dtype)
        model.load_weights(self._weights)
        return model.get_weights()

    def run(self, weights):
        """The weights after the phase, which begins with others."""
        keras.utils.set_random_seed(self._options.seed)
        model = self._create(self.size, self._options.dtype)
        if weights is not None:
            model.set_weights(weights)
        elif self._options.zero_residual:
            models.zero_residual(model)
        self._folder.mkdir(exist_ok=True)
        self._fit(model)
        with whole_file(self._weights) as unfinished:
            model.save_weights(unfinished)
        write_json(self._finished, {"sha256": sha256_of_file(self._weights)})
        return model.get_weights()

    def forget_checkpoints(self):
        """Removes what only an unfinished phase goes on from."""
        shutil.rmtree(self._folder / "backup", ignore_errors=True)

    def _fit(self, model):
        options = self._options
        decay = options.weight_decay
        optimizer = (
            keras.optimizers.AdamW(self._curve, weight_decay=decay)
            if options.optimizer == "adamw"
            else keras.optimizers.SGD(
                self._curve, _MOMENTUM, nesterov=True, weight_decay=decay
            )
        )
        optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
        model.compile(
            optimizer,
            keras.losses.CategoricalCrossentropy(
                from_logits=True, label_smoothing=options.label_smoothing
            ),
            metrics=[
                "accuracy",
                keras.metrics.TopKCategoricalAccuracy(5, name="top_5_accuracy"),
            ],
        )
        train = self._data("train", shuffle=True, augment=True)
        if self._steps < len(train):
            train = train.take(self._steps)
        model.fit(
            train,
            validation_data=self._data(self._info.test_split),
            epochs=self.epochs,
            # The log first, so that a backup never has an epoch that it lacks.
            callbacks=[
                self._log,
                Backup(self._folder / "backup", self._report),
                SkipSeenEpochs(train),
            ],
            shuffle=False,
            verbose=2,
        )

    def _data(self, split, **arguments):
        dataset = data.load(
            self._options.dataset,
            split,
            image_size=self.size,
            batch_size=self._options.batch_size,
            seed=self._options.seed,
            cache=True,
            **arguments,
        )
        count = len(self._info.class_names)
        return dataset.map(lambda x, y: (x, tf.one_hot(y, count)))


@keras.saving.register_keras_serializable("keras_xcons")
class _Curve(keras.optimizers.schedules.LearningRateSchedule):
    """Warm-up and cosine over all phases, from the step at which a phase begins."""

    def __init__(self, peak, total, first):
        warmup = max(1, round(_WARMUP * total))
        self._curve = keras.optimizers.schedules.CosineDecay(
            0.0, max(1, total - warmup), warmup_target=peak, warmup_steps=warmup
        )
        self._config = {"peak": peak, "total": total, "first": first}

    def __call__(self, step):
        return self._curve(keras.ops.cast(step, "float32") + self._config["first"])

    def get_config(self):
        return dict(self._config)


class _Log(keras.callbacks.Callback):
    """Keeps the figures of each epoch in a file, those of a stopped run too."""

    def __init__(self, path, report):
        super().__init__()
        self._path = path
        self.rows = []
        if path.exists():
            self.rows = (ownership.read_object(path) or {}).get("epochs")
            if not isinstance(self.rows, list):
                report(f"{path} is damaged: the figures of the epochs so far are lost")
                self.rows = []

    def on_epoch_end(self, epoch, logs=None):
        figures = {name: float(value) for name, value in (logs or {}).items()}
        del self.rows[epoch:]
        self.rows += [None] * (epoch - len(self.rows))
        self.rows.append(figures)
        write_json(self._path, {"epochs": self.rows})
