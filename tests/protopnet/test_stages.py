import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_xcons.methods import PlainModel, XConsModel
from keras_xcons.protopnet.push import push_prototypes
from keras_xcons.protopnet.stages import PrototypeStages, StageSchedule
from tests.protopnet.protopnets import (
    changed,
    classifier,
    dataset,
    trainer,
    weights_of,
)

SCHEDULE = StageSchedule(
    warm_epochs=1,
    push_start=2,
    push_every=1,
    last_epochs=2,
    decay=0.1,
    decay_every=1,
)


class Stop(Exception):
    """The machine goes away."""


class StopAt(keras.callbacks.Callback):
    def __init__(self, epoch, batch=None):
        super().__init__()
        self.at, self.batch, self.epoch = epoch, batch, None

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (self.at, self.batch):
            raise Stop

    def on_epoch_end(self, epoch, logs=None):
        if self.batch is None and epoch == self.at:
            raise Stop


def fit(training, *callbacks, epochs=None, schedule=SCHEDULE):
    return training.fit(
        dataset(),
        epochs=epochs or schedule.epochs(pushes=2),
        shuffle=False,
        verbose=0,
        callbacks=[*callbacks, PrototypeStages(dataset(), schedule)],
    ).history


def test_the_schedule_of_the_paper():
    schedule = StageSchedule()
    moments = [schedule.at(epoch) for epoch in range(schedule.epochs(pushes=2))]
    stages = [moment.stage for moment in moments]
    assert stages == (
        ["warm"] * 5 + ["joint"] * 5 + ["last"] * 20 + ["joint"] * 10 + ["last"] * 20
    )
    assert [epoch for epoch, moment in enumerate(moments) if moment.push] == [9, 39]
    decays = [moment.decay for moment in moments if moment.stage == "joint"]
    np.testing.assert_allclose(decays, [1] * 5 + [0.1] * 5 + [0.01] * 5)
    assert all(moment.decay == 1 for moment in moments if moment.stage != "joint")


def test_other_schedules():
    none = StageSchedule(warm_epochs=0, push_start=1, push_every=2, last_epochs=0)
    moments = [none.at(epoch) for epoch in range(none.epochs(pushes=3))]
    assert [moment.stage for moment in moments] == ["joint"] * 5
    assert [moment.push for moment in moments] == [True, False, True, False, True]
    only_warm = StageSchedule(warm_epochs=2, push_start=2, last_epochs=1)
    stages = [only_warm.at(epoch).stage for epoch in range(only_warm.epochs(1))]
    assert stages == ["warm", "warm", "last"]
    assert only_warm.at(1).push


def test_one_fit_goes_through_all_stages():
    training = trainer()
    seen, before = [], weights_of(training.classifier)

    def look(epoch, logs):
        nonlocal before
        seen.append(changed(training.classifier, before))
        before = weights_of(training.classifier)

    history = fit(training, keras.callbacks.LambdaCallback(on_epoch_end=look))
    joint = {"features", "prototypes", "moving"}
    assert seen == [{"prototypes"}, joint, {"logits"}, {"logits"}] + [
        joint,
        {"logits"},
        {"logits"},
    ]
    assert history["stage"] == [0, 1, 2, 2, 1, 2, 2]
    assert len(history["push_distance"]) == 2
    assert training.classifier.get_layer("prototypes").pushed
    # The distance to the nearest prototype of the class falls to that of a patch.
    assert history["cluster"][2] == history["cluster"][3]


def test_rates_follow_the_schedule():
    training = trainer()
    factors = []

    def note(epoch):
        found = training.optimizer.factors
        names = ("features", "prototypes", "logits")
        factors.append([float(found[name]) for name in names])

    note_rates = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: note(epoch)
    )
    fit(training, note_rates)
    share = 1 / 30
    np.testing.assert_allclose(factors[0], [share, 1, share], rtol=1e-6)
    np.testing.assert_allclose(factors[1], [share, 1, share], rtol=1e-6)
    np.testing.assert_allclose(factors[4], [share / 10, 0.1, share / 10], rtol=1e-6)
    np.testing.assert_allclose(factors[6], [share, 1, share], rtol=1e-6)


def assert_equal_state(one, other):
    left = [*one.variables, *one.optimizer.variables]
    right = [*other.variables, *other.optimizer.variables]
    for a, b in zip(left, right, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6, err_msg=a.path)


@pytest.fixture(scope="module")
def unstopped():
    """`unstopped(kind)`: a run of all epochs, and its history."""
    runs = {}

    def get(kind):
        if kind not in runs:
            training = trainer(kind=kind)
            runs[kind] = training, fit(training)
        return runs[kind]

    return get


@pytest.mark.parametrize(
    "epoch, batch, kind",
    [
        (0, 1, PlainModel),
        (1, None, PlainModel),
        (4, 1, PlainModel),
        (2, None, XConsModel),
    ],
)
def test_stopped_and_continued_it_is_the_run_that_was_not(
    epoch, batch, kind, unstopped, tmp_path
):
    expected, expected_history = unstopped(kind)

    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path / "backup")

    with pytest.raises(Stop):
        fit(trainer(kind=kind), backup(), StopAt(epoch, batch))
    other = classifier(seed=9)
    continued = trainer(other, kind=kind)
    if epoch == 0:
        # Nothing has been backed up yet, so the run begins anew.
        other.set_weights(classifier().get_weights())
    history = fit(continued, backup())
    assert_equal_state(continued, expected)
    for name in ("loss", "stage", "cluster"):
        values = history[name]
        expected_values = expected_history[name][-len(values) :]
        np.testing.assert_allclose(values, expected_values, rtol=1e-3)


def test_a_backup_holds_the_push_of_its_epoch(tmp_path):
    checkpoint = keras.callbacks.ModelCheckpoint(
        str(tmp_path / "{epoch}.weights.h5"), save_weights_only=True
    )
    training = trainer()
    fit(training, checkpoint, epochs=2)
    loaded = trainer(classifier(seed=5))
    loaded.load_weights(tmp_path / "2.weights.h5")
    layer = loaded.classifier.get_layer("prototypes")
    assert layer.pushed
    pushed = training.classifier.get_layer("prototypes")
    np.testing.assert_array_equal(layer.prototypes, pushed.prototypes)


@pytest.mark.parametrize("kind", [PlainModel, XConsModel])
def test_prototypes_that_move_on_come_from_no_image(kind):
    training = trainer(kind=kind)
    layer = training.classifier.get_layer("prototypes")
    push_prototypes(training, dataset())
    training.evaluate(dataset(), verbose=0)
    trainer(training.classifier)
    assert layer.pushed
    training.fit(dataset(), verbose=0)
    assert not layer.pushed
    push_prototypes(training, dataset())
    training.train_on_batch(*next(iter(dataset())))
    assert not layer.pushed
    push_prototypes(training, dataset())
    training.objective.set_stage("last")
    training.fit(dataset(), verbose=0)
    assert layer.pushed
    training.objective.set_stage("warm")
    assert not layer.pushed


def test_a_stage_is_saved(tmp_path):
    training = trainer()
    training.objective.set_stage("last")
    training.save(tmp_path / "trainer.keras")
    loaded = keras.saving.load_model(tmp_path / "trainer.keras")
    assert loaded.objective.stage == "last"
    before = weights_of(loaded.classifier)
    loaded.fit(dataset(), verbose=0)
    assert changed(loaded.classifier, before) == {"logits"}
    with pytest.raises(ValueError, match="Unknown stage. Did you mean 'warm'"):
        trainer(stage="warn")


def test_joint_epochs_after_a_push_clear_the_sources():
    training = trainer()
    no_last = StageSchedule(warm_epochs=0, push_start=1, push_every=2, last_epochs=0)
    fit(training, epochs=2, schedule=no_last)
    assert not training.classifier.get_layer("prototypes").pushed


def test_steps_of_a_stage_are_traced_once():
    training = trainer(eager=False)
    functions = {}

    def note(epoch, logs):
        functions.setdefault(training.objective.stage, set()).add(
            id(training.train_function)
        )

    fit(training, keras.callbacks.LambdaCallback(on_epoch_end=note))
    assert [len(found) for found in functions.values()] == [1, 1, 1]
    assert len(set.union(*functions.values())) == 3


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"warm_epochs": -1}, ValueError, "`warm_epochs` must be within"),
        ({"push_every": 0}, ValueError, "`push_every` must be within"),
        ({"last_epochs": 2.0}, TypeError, "`last_epochs` must be an int"),
        ({"decay": 0.0}, ValueError, "`decay` must be within"),
        ({"warm_epochs": 11}, ValueError, "before the warm epochs are over"),
    ],
)
def test_bad_schedules_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        StageSchedule(**arguments)


def test_other_bad_input_is_refused():
    with pytest.raises(ValueError, match="`pushes` must be within"):
        StageSchedule().epochs(0)
    with pytest.raises(TypeError, match="`dataset` must be a tf.data.Dataset"):
        PrototypeStages(np.zeros((2, 32, 32, 3)))
    with pytest.raises(ValueError, match="an endless dataset"):
        PrototypeStages(dataset().repeat())
    with pytest.raises(TypeError, match="`schedule` must be a StageSchedule"):
        PrototypeStages(dataset(), 5)
    one_class = dataset().map(lambda x, y: (x, tf.zeros_like(y)))
    training = trainer()
    with pytest.raises(ValueError, match=r"without any image of the classes \[1, 2\]"):
        training.fit(
            dataset(),
            epochs=3,
            verbose=0,
            callbacks=[PrototypeStages(one_class, SCHEDULE)],
        )
    assert not training.classifier.get_layer("prototypes").pushed
