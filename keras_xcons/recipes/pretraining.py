"""Pretraining of a network from random weights, with nothing but Keras.

It runs on every backend of Keras: `fit` does all of it, and `tf.data` only feeds it.
"""

import dataclasses
import json
import shutil

import keras
import tensorflow as tf

from keras_xcons import data, models
from keras_xcons.models.policy import dtype_policy
from keras_xcons.recipes import files
from keras_xcons.recipes.resuming import Backup, Forward
from keras_xcons.recipes.settings import begin_or_continue, identity
from keras_xcons.writing import whole_file
from keras_xcons.zoo.plain import write_json

_MOMENTUM = 0.9
_WARMUP = 0.1  # of all steps
_WEIGHTS = "model.weights.h5"
_METRICS = "metrics.json"


def pretrain(options, output, report=print):
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

    Returns:
        The trained `keras.Model`, float32, at the image size of the last phase.

    Raises:
        ValueError, TypeError, OSError: The data or the folder will not do.

    Example:

    >>> options = PretrainOptions("shapes", "small_cnn", phases=((32, 1), (64, 1)))
    >>> model = pretrain(options, "runs/small_cnn")
    """
    info = data.info(options.dataset)
    if info.test_split is None or info.multi_label:
        raise ValueError(
            "Pretraining takes a data set of single labels with a split beside "
            f"'train'. Received: dataset={options.dataset!r}, "
            f"splits={sorted(info.splits)}, multi_label={info.multi_label}"
        )
    # The network may not take the smallest images, which a later phase may have.
    trial = _create(options, info, min(size for size, _ in options.phases))
    if options.zero_residual:
        models.zero_residual(trial)
    folder = files.writable_folder(output)
    remains = [folder / _WEIGHTS, folder / _METRICS, *folder.glob("phase*")]
    settings, written = identity(options, info), folder / "options.json"
    if begin_or_continue(written, settings, remains, report):
        report(f"Continuing the run in {folder}")
    steps = -(-info.splits["train"] // options.batch_size)
    steps = min(steps, options.steps_per_epoch or steps)
    total = steps * sum(epochs for _, epochs in options.phases)
    weights, history, done = None, [], 0
    for number, (size, epochs) in enumerate(options.phases, start=1):
        phase = _Phase(options, info, folder / f"phase{number}", size, epochs, steps)
        report(
            f"Phase {number} of {len(options.phases)}: "
            f"{epochs} epochs at {size} px{', finished before' * phase.is_finished}"
        )
        weights, figures = phase.run(
            weights, _Curve(options.learning_rate, total, done)
        )
        history += figures
        done += steps * epochs
    model = _create(options, info, options.image_size)
    model.set_weights(weights)
    with whole_file(folder / _WEIGHTS) as unfinished:
        model.save_weights(unfinished)
    write_json(
        folder / _METRICS,
        {"options": dataclasses.asdict(options), "epochs": history},
    )
    report(
        f"Validation accuracy {history[-1]['val_accuracy']:.3f}. Written to {folder}"
    )
    return model


def _create(options, info, size, dtype="float32"):
    """The network at an image size, under a dtype policy of its own."""
    with dtype_policy(dtype):
        return models.create(options.model, len(info.class_names), size)


class _Phase:
    """Some epochs at one image size, continued where they were stopped."""

    def __init__(self, options, info, folder, size, epochs, steps):
        self._options = options
        self._info = info
        self._folder = folder
        self._size = size
        self._epochs = epochs
        self._steps = steps
        self._finished = folder / "finished.json"

    @property
    def is_finished(self):
        """Whether `run` will only load what the phase has left."""
        return self._finished.exists()

    def run(self, weights, curve):
        """The weights after the phase, and the figures of its epochs."""
        path = self._folder / _WEIGHTS
        keras.utils.set_random_seed(self._options.seed)
        model = _create(self._options, self._info, self._size, self._options.dtype)
        if self.is_finished:
            model.load_weights(path)
            return model.get_weights(), json.loads(self._finished.read_text())
        if weights is not None:
            model.set_weights(weights)
        elif self._options.zero_residual:
            models.zero_residual(model)
        self._folder.mkdir(exist_ok=True)
        log = _Log(self._folder / "epochs.json")
        self._fit(model, curve, log)
        with whole_file(path) as unfinished:
            model.save_weights(unfinished)
        write_json(self._finished, log.rows)
        shutil.rmtree(self._folder / "backup")
        return model.get_weights(), log.rows

    def _fit(self, model, curve, log):
        options = self._options
        decay = options.weight_decay
        optimizer = (
            keras.optimizers.AdamW(curve, weight_decay=decay)
            if options.optimizer == "adamw"
            else keras.optimizers.SGD(
                curve, _MOMENTUM, nesterov=True, weight_decay=decay
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
            epochs=self._epochs,
            # The log first, so that a backup never has an epoch that it lacks.
            callbacks=[log, Backup(self._folder / "backup"), Forward(train)],
            shuffle=False,
            verbose=2,
        )

    def _data(self, split, **arguments):
        dataset = data.load(
            self._options.dataset,
            split,
            image_size=self._size,
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

    def __init__(self, path):
        super().__init__()
        self._path = path
        self.rows = json.loads(path.read_text()) if path.exists() else []

    def on_epoch_end(self, epoch, logs=None):
        figures = {name: float(value) for name, value in (logs or {}).items()}
        del self.rows[epoch:]
        self.rows.append(figures)
        write_json(self._path, self.rows)
