"""The stages of a ProtoPNet's training, told from the epoch."""

import dataclasses
import typing

import keras

from keras_xcons import checks
from keras_xcons.protopnet.data import check_dataset
from keras_xcons.protopnet.push import push_prototypes

# What each stage trains, and whether it decays its rates.
STAGES = {
    "warm": ("prototypes",),
    "joint": ("features", "prototypes"),
    "last": ("logits",),
}


class EpochPlan(typing.NamedTuple):
    """What an epoch is: its stage, its rates' decay, and whether a push ends it."""

    stage: str
    decay: float
    push: bool


@dataclasses.dataclass(frozen=True)
class StageSchedule:
    """Which stage each epoch of a `fit` belongs to.

    `warm_epochs` of the add-on layers and prototypes alone, then joint epochs; after
    `push_start` epochs of warm and joint training, and after every `push_every` such
    epochs from then on, a push and `last_epochs` of the last layer alone. The paper's
    epochs are those of warm and joint training; a `fit` counts the passes of the
    last layer too.

    Args:
        warm_epochs: Defaults to 5.
        push_start: Warm and joint epochs before the first push, more than
            `warm_epochs`. Defaults to 10.
        push_every: Joint epochs between two pushes. Defaults to 10.
        last_epochs: Epochs of the last layer after a push. Defaults to 20.
        decay: Factor of the learning rates, applied every `decay_every` joint
            epochs. Defaults to 0.1.
        decay_every: Defaults to 5.

    Raises:
        TypeError: A number is of the wrong type.
        ValueError: A number is out of range.

    Example:

    >>> schedule = StageSchedule(warm_epochs=1, push_start=2, last_epochs=3)
    >>> [schedule.at(epoch).stage for epoch in range(schedule.epochs(pushes=1))]
    ['warm', 'joint', 'last', 'last', 'last']

    Reference:
        [Chen et al., 2019](https://arxiv.org/abs/1806.10574), section 2.2
    """

    warm_epochs: int = 5
    push_start: int = 10
    push_every: int = 10
    last_epochs: int = 20
    decay: float = 0.1
    decay_every: int = 5

    def __post_init__(self):
        for name, low in (
            ("warm_epochs", 0),
            ("push_start", 1),
            ("push_every", 1),
            ("last_epochs", 0),
            ("decay_every", 1),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"`{name}` must be an int. Received: {name}={value!r}")
            checks.within(name, value, low, None)
        checks.within("decay", self.decay, 0.0, 1.0, inclusive=False)
        if self.push_start < self.warm_epochs:
            raise ValueError(
                "The first push cannot come before the warm epochs are over. Received: "
                f"push_start={self.push_start} with warm_epochs={self.warm_epochs}"
            )

    def at(self, epoch):
        """What an epoch is.

        Args:
            epoch: int, counted from 0 as `fit` counts.

        Returns:
            `EpochPlan(stage, decay, push)`.
        """
        # Epochs of warm and joint training before this one, or up to it.
        trained, last = epoch, 0
        cycle = self.push_start + self.last_epochs
        if epoch >= cycle:
            later = self.push_every + self.last_epochs
            pushes, place = divmod(epoch - cycle, later)
            trained = self.push_start + pushes * self.push_every
            trained += min(place, self.push_every)
            last = place >= self.push_every
        elif epoch >= self.push_start:
            trained, last = self.push_start, True
        if last:
            return EpochPlan("last", 1.0, False)
        if trained < self.warm_epochs:
            stage, decay = "warm", 1.0
        else:
            steps = (trained - self.warm_epochs) // self.decay_every
            stage, decay = "joint", self.decay**steps
        beyond = trained + 1 - self.push_start
        push = beyond >= 0 and beyond % self.push_every == 0
        return EpochPlan(stage, decay, push)

    def epochs(self, pushes):
        """The `epochs` of a `fit` that ends with the last layer of the last push.

        Args:
            pushes: int, at least 1.

        Returns:
            int.
        """
        checks.within("pushes", pushes, 1, None)
        joint = self.push_start + (pushes - 1) * self.push_every
        return joint + pushes * self.last_epochs


class PrototypeStages(keras.callbacks.Callback):
    """Leads the `fit` of a ProtoPNet through its stages.

    The stage follows from the number of the epoch alone, so a run that is continued
    by `BackupAndRestore` or `initial_epoch` is in the right one. `fit` puts this
    callback first, so that a backup, a checkpoint or a log made at the end of an
    epoch holds the push that ends it.

    Logs: `stage`, 0 for warm, 1 for joint, 2 for the last layer alone; and
    `push_distance` in epochs that end with a push, the mean squared distance that
    prototypes moved to their patches.

    Args:
        dataset: `tf.data.Dataset` of batches `(images, labels)`, the training set
            without augmentation and in order: what prototypes are pushed to. With
            sample ids these are the source image's ids, in any order.
        schedule: `StageSchedule`. Defaults to the paper's.

    Raises:
        TypeError: `dataset` or `schedule` is of another type.
        ValueError: `dataset` is endless or has no labels; from `fit`, at a push, if it
            has no image of a class.

    Example:

    >>> schedule = StageSchedule(warm_epochs=5, push_start=10, last_epochs=20)
    >>> stages = PrototypeStages(images_in_order, schedule)
    >>> trainer.fit(train, epochs=schedule.epochs(pushes=2), callbacks=[stages])
    """

    def __init__(self, dataset, schedule=None):
        super().__init__()
        schedule = StageSchedule() if schedule is None else schedule
        check_dataset(dataset)
        if not isinstance(schedule, StageSchedule):
            raise TypeError(
                f"`schedule` must be a StageSchedule. Received: schedule={schedule!r}"
            )
        self.dataset = dataset
        self.schedule = schedule

    def on_epoch_begin(self, epoch, logs=None):
        moment = self.schedule.at(epoch)
        self.model.objective.set_stage(moment.stage, moment.decay)

    def on_epoch_end(self, epoch, logs=None):
        moment = self.schedule.at(epoch)
        figures = {"stage": tuple(STAGES).index(moment.stage)}
        if moment.push:
            distances = push_prototypes(self.model, self.dataset)
            figures["push_distance"] = float(distances.mean())
        if logs is not None:
            logs.update(figures)
