import dataclasses
import json
import math
import os
import pathlib

import keras
import numpy as np
import pytest

from keras_xcons import data, models
from keras_xcons.recipes import pretraining
from keras_xcons.recipes.pretrain_options import PretrainOptions
from keras_xcons.recipes.pretraining import pretrain

FIT = keras.Model.fit
PHASES = ((16, 2), (24, 2))


@pytest.fixture(scope="module")
def options(pictures):
    """`options(seed=1, …)`: small_cnn on 24 tiny pictures, two phases."""

    def make(**values):
        values = {"phases": PHASES, "batch_size": 8, **values}
        return PretrainOptions(str(pictures), "small_cnn", **values)

    return make


@pytest.fixture
def fits(monkeypatch):
    """What each call of `fit` began with, and which epochs it went through."""
    calls = []

    def fit(model, dataset, *, callbacks, **arguments):
        images = next(iter(arguments["validation_data"]))[0]
        call = {
            "weights": model.get_weights(),
            "size": images.shape[1],
            "dtype": model.compute_dtype,
            "epochs": [],
            "rates": [],
            "optimizer": model.optimizer,
        }
        calls.append(call)

        def note(epoch, logs):
            call["epochs"].append(epoch)
            call["rates"].append(float(model.optimizer.learning_rate))

        noting = keras.callbacks.LambdaCallback(on_epoch_end=note)
        return FIT(model, dataset, callbacks=[*callbacks, noting], **arguments)

    monkeypatch.setattr(keras.Model, "fit", fit)
    return calls


@pytest.fixture(scope="module")
def whole(eager, options, tmp_path_factory):
    """An uninterrupted run: its folder, and the model."""
    folder = tmp_path_factory.mktemp("pretraining") / "new" / "run"
    return folder, pretrain(options(), folder, quiet)


def quiet(line):
    del line


def read(path):
    return json.loads(path.read_text())


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def assert_equal(one, other):
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left, right)


def stop_after(epoch, size, patch):
    """Lets `fit` at an image size be stopped once an epoch is done."""

    def fit(model, dataset, *, callbacks, **arguments):
        def stop(done, logs):
            if (done, model.input_shape[1]) == (epoch, size):
                raise KeyboardInterrupt

        stopping = keras.callbacks.LambdaCallback(on_epoch_end=stop)
        return FIT(model, dataset, callbacks=[*callbacks, stopping], **arguments)

    patch.setattr(keras.Model, "fit", fit)


def test_run_leaves_weights_and_the_figures_of_each_epoch(whole, options, pictures):
    folder, model = whole
    assert names(folder) == ["metrics.json", "model.weights.h5", "unfinished"]
    kept = ["keras_xcons.txt", "phase1", "phase2", "settings.json"]
    assert names(folder / "unfinished") == kept
    metrics = read(folder / "metrics.json")
    assert metrics["options"] == {
        "dataset": str(pictures),
        "model": "small_cnn",
        "phases": [[16, 2], [24, 2]],
        "batch_size": 8,
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "weight_decay": 1e-4,
        "zero_residual": False,
        "label_smoothing": 0.1,
        "dtype": "float32",
        "seed": 0,
        "steps_per_epoch": None,
    }
    assert len(metrics["epochs"]) == 4
    measures = ["accuracy", "loss", "top_5_accuracy"]
    for figures in metrics["epochs"]:
        assert sorted(figures) == [*measures, *(f"val_{name}" for name in measures)]
    assert options().image_size == 24
    assert model.input_shape == (None, 24, 24, 3)
    assert not model.compiled
    loaded = models.create("small_cnn", 2, 24)
    loaded.load_weights(folder / "model.weights.h5")
    assert_equal(loaded.get_weights(), model.get_weights())


def test_it_learns(whole):
    losses = [figures["loss"] for figures in read(whole[0] / "metrics.json")["epochs"]]
    # Of two classes, guessing has log(2) = 0.69.
    assert losses[0] > 0.6 and losses[-1] < 0.4
    assert read(whole[0] / "metrics.json")["epochs"][-1]["val_accuracy"] == 1.0


def test_shapes_learn_from_steps_that_are_a_part_of_an_epoch(tmp_path, fits):
    options = PretrainOptions(
        "shapes", "small_cnn", phases=((16, 1), (32, 2)), steps_per_epoch=20
    )
    pretrain(options, tmp_path, quiet)
    epochs = read(tmp_path / "metrics.json")["epochs"]
    assert epochs[-1]["loss"] < epochs[0]["loss"] - 0.2
    # The curve ends where the last of 60 steps does.
    assert fits[-1]["rates"][-1] == pytest.approx(0.0, abs=1e-8)


def test_each_optimizer_has_a_rate_and_a_decay_of_its_own(
    eager, options, tmp_path, fits
):
    for number, (given, name, rate, decay) in enumerate(
        [
            ({}, "SGD", 0.1, 1e-4),
            ({"optimizer": "adamw"}, "AdamW", 1e-3, 0.05),
            ({"optimizer": "adamw", "weight_decay": 0.0}, "AdamW", 1e-3, 0.0),
        ]
    ):
        phases = ((16, 1),)
        pretrain(options(phases=phases, **given), tmp_path / str(number), quiet)
        optimizer = fits[-1]["optimizer"]
        assert type(optimizer).__name__ == name
        config = optimizer.get_config()
        assert config["weight_decay"] == decay
        assert config["learning_rate"]["config"]["peak"] == rate


def test_residual_blocks_can_begin_as_the_identity(eager, pictures, tmp_path, fits):
    def options(model):
        return PretrainOptions(
            str(pictures),
            model,
            phases=((32, 1), (48, 1)),
            steps_per_epoch=3,
            batch_size=4,
            zero_residual=True,
        )

    with pytest.raises(ValueError, match="no residual block.*model='small_cnn'"):
        pretrain(options("small_cnn"), tmp_path / "refused", quiet)
    assert not (tmp_path / "refused").exists()
    pretrain(options("resnet18"), tmp_path / "run", quiet)
    zeros = [
        sum(weight.ndim == 1 and not weight.any() for weight in call["weights"])
        for call in fits
    ]
    # Of 20 batch normalisations each offset, each moving mean, and 8 scales; the bias
    # of the logits. What the first phase has learned is left alone.
    assert zeros[0] == 2 * 20 + 8 + 1
    assert zeros[1] == 0


def test_arguments_of_the_architecture_are_a_run_s_own(eager, options, tmp_path, fits):
    short, narrow = options(phases=((16, 1),)), {"width": 8}
    model = pretrain(short, tmp_path, quiet, narrow)
    expected = models.create("small_cnn", 2, 16, **narrow)
    assert [w.shape for w in model.weights] == [w.shape for w in expected.weights]
    pretrain(short, tmp_path, quiet, narrow)
    assert len(fits) == 1  # finished before
    pretrain(short, tmp_path, quiet)
    assert len(fits) == 2


def test_weights_are_carried_over_from_phase_to_phase(eager, options, tmp_path, fits):
    pretrain(options(phases=((16, 1), (24, 1))), tmp_path, quiet)
    assert [call["size"] for call in fits] == [16, 24]
    first = models.create("small_cnn", 2, 16)
    random = fits[0]["weights"]
    first.load_weights(tmp_path / "unfinished" / "phase1" / "model.weights.h5")
    assert_equal(fits[1]["weights"], first.get_weights())
    assert np.any(random[0] != fits[1]["weights"][0])


def test_learning_rate_spans_all_phases(eager, options, tmp_path, fits):
    """12 steps, 3 an epoch: one of warm-up, then 11 of the cosine."""
    pretrain(options(learning_rate=0.2), tmp_path, quiet)
    found = [rate for call in fits for rate in call["rates"]]
    expected = [
        0.2 * (1 + math.cos(math.pi * (step - 1) / 11)) / 2 for step in (3, 6, 9, 12)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_curve_by_hand():
    curve = pretraining._Curve(0.4, 100, 0)
    steps = {0: 0.0, 5: 0.2, 10: 0.4, 55: 0.2, 100: 0.0}
    for step, rate in steps.items():
        assert float(curve(step)) == pytest.approx(rate, abs=1e-7)
        later = pretraining._Curve(0.4, 100, step)
        assert float(later(0)) == pytest.approx(rate, abs=1e-7)
    restored = pretraining._Curve.from_config(later.get_config())
    assert float(restored(0)) == pytest.approx(0.0, abs=1e-7)


def test_steps_beyond_the_data_do_not_bend_the_curve(eager, options, tmp_path, fits):
    pretrain(options(steps_per_epoch=50), tmp_path, quiet)
    assert fits[-1]["rates"][-1] == pytest.approx(0.0, abs=1e-8)


def test_labels_are_smoothed(eager, options, tmp_path, pictures):
    """The loss by hand: 0.3 of each label is spread over both classes."""
    model = pretrain(options(phases=((16, 1),), label_smoothing=0.3), tmp_path, quiet)
    images, labels = next(
        iter(data.load(pictures, "test", image_size=16, batch_size=6))
    )
    scores = keras.ops.convert_to_numpy(keras.ops.log_softmax(model(images)))
    targets = np.eye(2)[labels] * 0.7 + 0.15
    expected = -(targets * scores).sum(axis=-1).mean()
    found = read(tmp_path / "metrics.json")["epochs"][-1]["val_loss"]
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_stays_inside(dtype, eager, options, tmp_path, fits):
    before = keras.config.dtype_policy().name
    model = pretrain(options(dtype=dtype), tmp_path, quiet)
    assert [call["dtype"] for call in fits] == [dtype.removeprefix("mixed_")] * 2
    assert keras.config.dtype_policy().name == before
    assert model.compute_dtype == "float32"
    losses = [one["loss"] for one in read(tmp_path / "metrics.json")["epochs"]]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("size, epoch", [(16, 0), (24, 0), (24, 1)])
def test_stopped_run_goes_on_and_equals_an_uninterrupted_one(
    size, epoch, whole, eager, options, tmp_path, monkeypatch, fits
):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_after(epoch, size, patch)
        pretrain(options(), tmp_path, quiet)
    assert not (tmp_path / "model.weights.h5").exists()
    lines = []
    model = pretrain(options(), tmp_path, lines.append)
    assert lines[0] == f"Continuing the run in {tmp_path}"
    # The finished phase is not begun again, nor a finished epoch.
    expected = {16: [0, 1], 24: [0, 1]}
    expected[size] = expected[size][epoch + 1 :]
    if size == 24:
        del expected[16]
    assert {call["size"]: call["epochs"] for call in fits} == expected
    assert_equal(model.get_weights(), whole[1].get_weights())
    assert read(tmp_path / "metrics.json") == read(whole[0] / "metrics.json")
    assert tree(tmp_path) == tree(whole[0])


def test_phase_that_was_trained_but_not_saved_is_not_repeated(
    whole, eager, options, tmp_path, monkeypatch, fits
):
    def full(path):
        raise OSError("no space left")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space"):
        patch.setattr(pretraining, "whole_file", full)
        pretrain(options(), tmp_path, quiet)
    model = pretrain(options(), tmp_path, quiet)
    assert [call["epochs"] for call in fits] == [[0, 1], [], [0, 1]]
    assert_equal(model.get_weights(), whole[1].get_weights())
    assert read(tmp_path / "metrics.json") == read(whole[0] / "metrics.json")


def test_finished_run_is_not_repeated(eager, options, tmp_path, fits):
    first = pretrain(options(), tmp_path, quiet)
    (tmp_path / "metrics.json").unlink()
    # The same data by another path.
    other = pathlib.Path(os.path.relpath(options().dataset))
    lines = []
    again = pretrain(
        dataclasses.replace(options(), dataset=other), tmp_path, lines.append
    )
    assert lines[1:3] == [
        "Phase 1 of 2: 2 epochs at 16 px, finished before",
        "Phase 2 of 2: 2 epochs at 24 px, finished before",
    ]
    assert len(fits) == 2
    assert_equal(again.get_weights(), first.get_weights())
    assert len(read(tmp_path / "metrics.json")["epochs"]) == 4


def test_other_options_begin_anew(eager, options, tmp_path, monkeypatch, fits):
    pretrain(options(phases=((16, 1),)), tmp_path, quiet)
    lines = []
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_after(0, 16, patch)
        pretrain(options(phases=((16, 2),)), tmp_path, lines.append)
    # Nothing is left that would be taken for the result of this run.
    assert names(tmp_path) == ["unfinished"]
    assert not any("Continuing" in line for line in lines)
    assert lines[0] == (
        f"What an earlier run left in {tmp_path / 'unfinished'} is removed, as its "
        "settings were others: phases"
    )
    assert not (tmp_path / "unfinished" / "phase1" / "finished.json").exists()


@pytest.mark.parametrize(
    "damaged, repeated",
    [
        # The phase that all goes on from, or what is known of it.
        ("phase2/model.weights.h5", [[]]),
        ("phase2/finished.json", [[]]),
        # A phase that is done with.
        ("phase1/model.weights.h5", []),
        ("phase2/epochs.json", []),
    ],
)
def test_damaged_phase_is_named_and_nothing_good_is_repeated(
    damaged, repeated, whole, eager, options, tmp_path, monkeypatch, fits
):
    def full(path):
        raise OSError("no space left")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space"):
        patch.setattr(pretraining, "files_together", full)
        pretrain(options(), tmp_path, quiet)
    fits.clear()
    path, lines = tmp_path / "unfinished" / damaged, []
    path.write_bytes(path.read_bytes()[:40])
    model = pretrain(options(), tmp_path, lines.append)
    assert len([line for line in lines if str(path.parent) in line]) == 1
    assert [call["epochs"] for call in fits] == repeated
    assert_equal(model.get_weights(), whole[1].get_weights())
    metrics, expected = (read(one / "metrics.json") for one in (tmp_path, whole[0]))
    if damaged == "phase2/epochs.json":
        expected["epochs"][2:] = [None, None]
        assert lines[-1].startswith("Validation accuracy nan")
    assert metrics == expected


@pytest.fixture
def no_training(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a model was trained")

    monkeypatch.setattr(keras.Model, "fit", refuse)


def test_what_will_not_do_is_refused_first(
    options, write_pictures, tmp_path, no_training, monkeypatch, pictures
):
    output = tmp_path / "run"
    folder = write_pictures(tmp_path / "data", {"red": 2, "blue": 2})
    with pytest.raises(ValueError, match="into train/, and class folders of the"):
        pretrain(PretrainOptions(folder, "small_cnn"), output, quiet)
    with pytest.raises(ValueError, match="Did you mean 'shapes'"):
        pretrain(PretrainOptions("shapez", "small_cnn"), output, quiet)
    late = PretrainOptions(str(pictures), "xception", phases=((96, 1), (64, 1)))
    with pytest.raises(ValueError, match="at least 71 x 71 for xception"):
        pretrain(late, output, quiet)
    assert not output.exists()
    output.write_text("kept")
    with pytest.raises(OSError, match="output folder must be .*Received: output="):
        pretrain(options(), output, quiet)
    assert output.read_text() == "kept"


def test_several_labels_an_image_are_refused(options, tmp_path, monkeypatch):
    info = dataclasses.replace(data.info(options().dataset), multi_label=True)
    monkeypatch.setattr(data, "info", lambda name: info)
    with pytest.raises(ValueError, match="one label an image. Received: dataset="):
        pretrain(options(), tmp_path, quiet)
