"""`train` on a folder of pictures: probes, continued runs, refusals."""

import keras
import numpy as np
import pytest

from keras_xcons.methods import XConsModel
from keras_xcons.recipes import TrainOptions, table, train
from keras_xcons.recipes import experiment as experiment_module

TRAIN = experiment_module.Experiment.train

# What is told of images without boxes and masks.
WITHOUT_TRUTH = ["accuracy", "explanation_consistency", "fgsm_background_accuracy"]


class Interruption(keras.callbacks.Callback):
    """Ctrl-C as an epoch begins."""

    def __init__(self, epoch):
        super().__init__()
        self._epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self._epoch:
            raise KeyboardInterrupt


class Epochs(keras.callbacks.Callback):
    def __init__(self, seen):
        super().__init__()
        self._seen = seen

    def on_epoch_begin(self, epoch, logs=None):
        self._seen.append(epoch)


def add_callback(callback, patch):
    """Adds a callback to every fit of an `XConsModel`."""
    fit = XConsModel.fit

    def fit_with_it(model, *arguments, callbacks=(), **options):
        return fit(model, *arguments, callbacks=[*callbacks, callback], **options)

    patch.setattr(XConsModel, "fit", fit_with_it)


@pytest.fixture
def no_training(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a model was trained")

    monkeypatch.setattr(keras.Model, "fit", refuse)
    monkeypatch.setattr(XConsModel, "fit", refuse)


class Started(list):
    """Names of the runs that returned their start; those in `real` were trained."""

    real = ()


@pytest.fixture
def started(monkeypatch):
    """Lets runs return their start; tells their names."""
    seen = Started()

    def train(experiment, method, callbacks=(), **options):
        if method in seen.real:
            return TRAIN(experiment, method, callbacks, **options)
        seen.append(method)
        return experiment.start(), {}

    monkeypatch.setattr(experiment_module.Experiment, "train", train)
    return seen


def quiet(line):
    del line


def test_run_on_a_folder_of_pictures(eager, picture_options, names, tmp_path):
    lines = []
    options = picture_options(
        output=tmp_path / "run",
        epochs=3,
        methods={"xcons": {"sample_weights": "shuffled"}},
    )
    metrics = train(options, lines.append)
    files = ["heatmaps.png", "metrics.json", "plain.keras", "xcons.keras"]
    assert names(tmp_path / "run") == files
    assert metrics["splits"] == ["test"]
    assert metrics["background_gap"] == {}
    assert metrics["headings"]["xcons"] == "XCons"
    for run in ("plain", "xcons"):
        assert list(metrics["runs"][run]["test"]) == WITHOUT_TRUTH
        assert metrics["runs"][run]["test"]["accuracy"]["n"] == 6
    head, *rows, _ = table(metrics)
    assert head.split() == ["plain", "XCons"]
    assert len(rows) == 2 * len(WITHOUT_TRUTH) + 1 and len(rows[0]) == len(head)
    assert rows[len(WITHOUT_TRUTH)].split() == ["XCons", "-", "plain"]
    assert "\nplain: The caller's loss alone, every sample alike." in lines


def test_run_from_pretrained_weights_begins_with_a_probe(
    eager, picture_options, weights, names, tmp_path, monkeypatch
):
    monkeypatch.setattr(experiment_module, "_PROBE_EPOCHS", 25)
    kernels = []
    start = experiment_module.Experiment.start

    def remember(experiment):
        model = start(experiment)
        kernels.append(model.layers[-1].kernel.numpy())
        return model

    monkeypatch.setattr(experiment_module.Experiment, "start", remember)
    lines = []
    metrics = train(picture_options(output=tmp_path, pretrained=weights), lines.append)
    assert names(tmp_path) == [
        "heatmaps.png",
        "metrics.json",
        "plain.keras",
        "probe.keras",
        "xcons.keras",
    ]
    assert list(metrics["runs"]) == ["probe", "plain", "xcons"]
    assert metrics["headings"]["probe"] == "probe"
    assert table(metrics)[0].split() == ["probe", "plain", "XCons"]
    assert "\nprobe: the last layer alone, on frozen features." in lines
    probe = keras.saving.load_model(tmp_path / "probe.keras").layers[-1].kernel.numpy()
    before, *after = kernels
    assert np.abs(before - probe).max() > 5e-3
    assert len(after) >= 2
    for kernel in after:
        np.testing.assert_array_equal(kernel, probe)
    for run in ("plain", "xcons"):
        trained = keras.saving.load_model(tmp_path / f"{run}.keras")
        assert np.any(trained.layers[-1].kernel != probe)


@pytest.mark.parametrize("schedule", ["batch", "epoch"])
def test_interrupted_run_goes_on_and_equals_an_uninterrupted_one(
    schedule, eager, started, picture_options, names, tmp_path, monkeypatch
):
    def options(folder):
        return picture_options(
            output=tmp_path / folder,
            epochs=2,
            methods={"xcons": {"schedule": schedule}},
            augment=True,
        )

    started.real = ("xcons",)
    expected = train(options("whole"), quiet)
    with monkeypatch.context() as patch:
        add_callback(Interruption(epoch=1), patch)
        with pytest.raises(KeyboardInterrupt):
            train(options("stopped"), quiet)
    assert names(tmp_path / "stopped") == ["unfinished"]
    assert started == ["plain", "plain"]

    seen, lines = [], []
    add_callback(Epochs(seen), monkeypatch)
    found = train(options("stopped"), lines.append)
    assert lines[0] == f"Continuing the unfinished run in {tmp_path / 'stopped'}"
    assert started == ["plain", "plain"]
    assert seen == [1]
    assert names(tmp_path / "stopped") == names(tmp_path / "whole")
    whole, stopped = (
        keras.saving.load_model(tmp_path / folder / "xcons.keras").get_weights()
        for folder in ("whole", "stopped")
    )
    for left, right in zip(whole, stopped, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-5)
    assert found["runs"] == expected["runs"]


def stop_in_xcons(options, monkeypatch, report=quiet):
    """A run that Ctrl-C ends once the plain model is there."""

    train_run = experiment_module.Experiment.train

    def stop(experiment, method, callbacks=()):
        if method == "xcons":
            raise KeyboardInterrupt
        return train_run(experiment, method, callbacks)

    with monkeypatch.context() as patch:
        patch.setattr(experiment_module.Experiment, "train", stop)
        with pytest.raises(KeyboardInterrupt):
            train(options, report)


@pytest.mark.parametrize(
    "methods, more, message",
    [
        ({"cgc": {}}, {"batch_size": 1}, "Received: batches of 1"),
        ({"cgc": {"feature_layer": "no"}}, {}, "Unknown feature layer"),
        ({"cgc": {"min_scale": 0.001}}, {}, "2 pixels or more"),
    ],
)
def test_what_a_later_method_refuses_is_told_first(
    methods, more, message, picture_options, tmp_path, no_training
):
    options = picture_options(output=tmp_path / "run", methods=methods, **more)
    with pytest.raises(ValueError, match=message):
        train(options, quiet)
    assert not (tmp_path / "run").exists()


def test_second_call_trains_anew(picture_options, tmp_path, started):
    options = picture_options(output=tmp_path)
    first = train(options, quiet)
    lines = []
    assert train(options, lines.append) == first
    assert started == ["plain", "xcons"] * 2
    assert not any("Continuing" in line for line in lines)


def test_other_options_are_not_continued(
    picture_options, tmp_path, started, monkeypatch
):
    stop_in_xcons(picture_options(output=tmp_path), monkeypatch)
    assert started == ["plain"]
    remains = tmp_path / "unfinished" / "xcons"
    remains.mkdir()
    lines = []
    train(
        picture_options(output=tmp_path, methods={"xcons": {"epsilon": 5.0}}),
        lines.append,
    )
    assert started == ["plain", "plain", "xcons"]
    assert not any("Continuing" in line for line in lines)
    assert not remains.exists()


def test_same_options_in_another_folder_name_are_continued(
    picture_options, tmp_path, started, monkeypatch
):
    """A folder that was moved is still the same run."""
    stop_in_xcons(picture_options(output=tmp_path / "one"), monkeypatch)
    (tmp_path / "one").rename(tmp_path / "two")
    train(picture_options(output=tmp_path / "two"), quiet)
    assert started == ["plain", "xcons"]


def test_damaged_settings_are_named_and_nothing_good_is_lost(
    picture_options, tmp_path, started, monkeypatch
):
    options = picture_options(output=tmp_path)
    settings = tmp_path / "unfinished" / "settings.json"
    for content in ['{"dataset": ', "[" * 100_000, "\0", "{}", None]:
        stop_in_xcons(options, monkeypatch)
        if content is None:
            settings.unlink()
        else:
            settings.write_text(content)
        lines = []
        stop_in_xcons(options, monkeypatch, lines.append)
        assert lines[0].startswith(f"{settings} is damaged; a copy of its digest")
        assert lines[1].startswith("Continuing the unfinished run")
        assert started == ["plain"]
        train(options, quiet)
        started.clear()
    # And where the copy is of others.
    stop_in_xcons(options, monkeypatch)
    settings.write_text("")
    lines = []
    train(
        picture_options(output=tmp_path, methods={"xcons": {"epsilon": 5.0}}),
        lines.append,
    )
    assert "is removed, as it may be of other settings" in lines[0]
    assert started == ["plain", "plain", "xcons"]


@pytest.mark.parametrize("damage", ["truncated", "replaced", "no record"])
def test_a_damaged_model_is_named_and_made_again(
    damage, picture_options, tmp_path, started, monkeypatch
):
    options, lines = picture_options(output=tmp_path), []
    stop_in_xcons(options, monkeypatch)
    path = tmp_path / "unfinished" / "plain.keras"
    content = path.read_bytes()
    if damage == "truncated":
        path.write_bytes(content[:1000])
    elif damage == "replaced":
        path.write_text("mine")
    else:
        (tmp_path / "unfinished" / "plain.finished.json").write_text('{"sha')
    before = path.read_bytes()
    stop_in_xcons(options, monkeypatch, lines.append)
    assert [line for line in lines if " is damaged" in line] == [
        f"{path} is damaged, or no longer what the run has written: it is kept as "
        "plain.keras.damaged, and the run goes on from its last checkpoint"
    ]
    assert started == ["plain", "plain"]
    assert path.with_name("plain.keras.damaged").read_bytes() == before
    train(options, quiet)
    assert started == ["plain", "plain", "xcons"]


def test_output_that_cannot_be_written_is_refused_first(
    picture_options, tmp_path, no_training
):
    (tmp_path / "file").write_text("kept")
    for output in (tmp_path / "file", tmp_path / "file" / "below" / "it"):
        message = f"output folder must be .*Received: output='{output}'"
        with pytest.raises(OSError, match=message):
            train(picture_options(output=output), quiet)
    assert (tmp_path / "file").read_text() == "kept"


def test_data_that_will_not_do_is_refused_first(
    write_pictures, tmp_path, no_training, picture_options
):
    folder = write_pictures(tmp_path / "data", {"red": 2, "blue": 2})
    options = TrainOptions(dataset=folder, image_size=16, output=tmp_path / "run")
    with pytest.raises(ValueError, match="into test/ beside it. Received: splits"):
        train(options, quiet)
    with pytest.raises(FileNotFoundError, match="nowhere.h5"):
        train(picture_options(pretrained="nowhere.h5", output=tmp_path / "run"), quiet)
    (tmp_path / "text.h5").write_text("no weights")
    with pytest.raises(ValueError, match="text.h5 does not fit the model"):
        options = picture_options(pretrained=tmp_path / "text.h5", output=tmp_path)
        train(options, quiet)
    assert not (tmp_path / "run").exists()


def test_a_protopnet_has_stages_that_this_command_does_not_know(tmp_path):
    options = TrainOptions(model="protopnet", image_size=32, output=tmp_path)
    with pytest.raises(ValueError, match="by a recipe and tools/train_zoo.py"):
        train(options, quiet)
