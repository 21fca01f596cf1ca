import random
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_xcons import evaluation
from keras_xcons.callbacks import ExplanationMonitor
from keras_xcons.data import with_sample_ids
from keras_xcons.methods import XConsModel

FIGURES = [
    *("explanation_consistency", "pointing_game", "energy_pointing_game", "flat"),
]


def fit(model, dataset, callbacks, epochs=2, **options):
    return model.fit(
        dataset, epochs=epochs, verbose=0, callbacks=callbacks, shuffle=False, **options
    ).history


def xcons(classifier, **options):
    trainer = XConsModel(classifier, **options)
    trainer.compile("adam", keras.losses.SparseCategoricalCrossentropy(True))
    return trainer


def outlined(picture):
    """Number of pixels near the colour in which the truth is outlined."""
    off = np.abs(picture.astype(int) - (59, 232, 255)).max(axis=-1)
    return np.sum(off < 60)


def test_figures_are_those_of_the_evaluation(build, shapes):
    model = build()
    monitor = ExplanationMonitor(shapes(30), prefix="val_", tolerance=1)
    history = fit(model, shapes(20, annotations=False), [monitor])
    expected = evaluation.measure(model, shapes(30), FIGURES, tolerance=1)
    for name in FIGURES:
        values = history[f"val_{name}"]
        assert len(values) == 2
        assert values[-1] == pytest.approx(np.nanmean(expected[name]), abs=1e-6)
    first, last = history["val_explanation_consistency"]
    assert first != last
    assert set(history) == {"loss", "accuracy", *(f"val_{name}" for name in FIGURES)}


def test_figures_that_are_no_mean_over_images(build, shapes):
    model = build()
    names = ["max_box_acc", "pxap", "gini"]
    monitor = ExplanationMonitor(shapes(20), metrics=names)
    history = fit(model, shapes(20, annotations=False), [monitor], epochs=1)
    report = evaluation.evaluate(model, shapes(20), names, gallery=0, verbose=0)
    (figures,) = report.to_dict()["figures"].values()
    for name in names:
        assert history[name][0] == pytest.approx(figures[name]["value"], abs=1e-6)


def test_other_callbacks_see_the_figures(build, shapes, tmp_path):
    model = build()
    path = tmp_path / "best.keras"
    stop = keras.callbacks.EarlyStopping("gap", mode="max", patience=1)
    best = keras.callbacks.ModelCheckpoint(
        path, "pointing_game", mode="max", save_best_only=True
    )
    log = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    monitor = ExplanationMonitor(shapes(20), metrics="pointing_game")
    stop.monitor = "pointing_game"
    stop.min_delta = 2.0  # nothing ever improves by so much
    history = fit(
        model, shapes(20, annotations=False), [monitor, stop, best, log], epochs=9
    )
    assert len(history["pointing_game"]) == 2
    assert path.exists()
    assert "pointing_game" in (tmp_path / "log.csv").read_text()


def test_every_few_epochs(build, shapes):
    monitor = ExplanationMonitor(shapes(10), every=2)
    history = fit(build(), shapes(10, annotations=False), [monitor], epochs=5)
    assert len(history["loss"]) == 5 and len(history["pointing_game"]) == 2


def test_without_annotations_only_the_consistency_is_measured(build, arrays):
    monitor = ExplanationMonitor(arrays[:2])
    dataset = tf.data.Dataset.from_tensor_slices(arrays[:2]).batch(10)
    history = fit(build(), dataset, [monitor], epochs=1)
    assert set(history) == {"loss", "accuracy", "explanation_consistency", "flat"}
    assert 0.0 < history["explanation_consistency"][0] <= 1.0


@pytest.mark.parametrize(
    ("kind", "policy"),
    [("plain", "float32"), ("nested", "mixed_float16"), ("xcons", "mixed_float16")],
)
def test_the_training_is_the_same_with_and_without_it(
    kind, policy, build, shapes, tmp_path
):
    def trained(*callbacks):
        model = build(kind == "nested", policy)
        model = xcons(model) if kind == "xcons" else model
        keras.utils.set_random_seed(3)
        fit(model, shapes(20, annotations=False).shuffle(20), callbacks)
        state = [
            keras.random.uniform((3,)),
            np.random.uniform(),
            random.random(),
            tf.random.uniform((3,)),
        ]
        return [np.asarray(value) for value in model.get_weights() + state]

    alone = trained()
    monitored = trained(ExplanationMonitor(shapes(10), tmp_path, pictures=2))
    assert len(alone) > 8
    for value, other in zip(alone, monitored, strict=True):
        np.testing.assert_array_equal(value, other)


def test_a_training_model_is_explained_at_the_layer_it_trains(build, shapes):
    trainer = xcons(build(), feature_layer="stem")
    monitor = ExplanationMonitor(shapes(10))
    dataset = shapes(10, annotations=False)
    history = fit(trainer, dataset, [monitor], epochs=1)
    expected = evaluation.measure(
        trainer.classifier, shapes(10), FIGURES, feature_layer="stem"
    )
    for name in FIGURES:
        assert history[name][0] == pytest.approx(np.nanmean(expected[name]), abs=1e-6)


def test_the_data_are_inspected_once(build, shapes, monkeypatch, tmp_path):
    from keras_xcons.callbacks import monitor as module

    calls = []
    split, suite = module.split, module.Suite
    monkeypatch.setattr(
        module, "split", lambda *a, **k: calls.append(1) or split(*a, **k)
    )
    monkeypatch.setattr(
        module, "Suite", lambda *a, **k: calls.append(2) or suite(*a, **k)
    )
    samples = suite.samples
    monkeypatch.setattr(suite, "samples", lambda *a: calls.append(3) or samples(*a))
    callback = ExplanationMonitor(shapes(10), tmp_path, pictures=1)
    model = build()
    for _ in range(2):
        fit(model, shapes(10, annotations=False), [callback])
    # Split again, as its offset may have been measured since, and nothing else.
    assert calls == [1, 2, 3, 1]
    history = fit(build(), shapes(10, annotations=False), [callback])
    assert calls == [1, 2, 3, 1, 1, 2, 3] and len(history["pointing_game"]) == 2


def test_what_tensorboard_gets(build, shapes, tmp_path, events):
    monitor = ExplanationMonitor(shapes(20), tmp_path, pictures=3, prefix="val_")
    history = fit(build(), shapes(20, annotations=False), [monitor])
    found = events(tmp_path)
    names = [f"val_{name}" for name in FIGURES]
    histogram = "val_explanation_consistency_histogram"
    assert set(found) == {*names, histogram, "val_heatmaps"}
    for name in names:
        assert list(found[name]) == [0, 1]
        np.testing.assert_allclose(list(found[name].values()), history[name], 1e-6)
    for buckets in found[histogram].values():
        assert buckets.shape[1] == 3 and buckets[:, 2].sum() == 20
        assert 0.0 <= buckets[:, :2].min() and buckets[:, :2].max() <= 1.0 + 1e-6
    pictures = []
    for width, height, *encoded in found["val_heatmaps"].values():
        (picture,) = (tf.io.decode_png(one).numpy() for one in encoded)
        # Three images of 2.1 inches in a row at 100 dots an inch, with titles.
        assert picture.shape == (232, 630, 3) == (int(height), int(width), 3)
        pictures.append(picture)
    assert (pictures[0] != pictures[1]).any()
    assert outlined(pictures[0]) > 100


def test_boxes_are_outlined_and_fixed_images_stay_the_same(
    build, arrays, tmp_path, events
):
    images, labels, _ = arrays
    boxes = np.zeros((20, 2, 4), "float32")
    boxes[:, 0] = (0.25, 0.25, 0.75, 0.75)
    monitor = ExplanationMonitor((images, labels, boxes), tmp_path, pictures=5)
    model = build()
    model.optimizer.learning_rate = 0.0
    dataset = tf.data.Dataset.from_tensor_slices((images, labels)).batch(10)
    fit(model, dataset, [monitor])
    first, second = events(tmp_path)["heatmaps"].values()
    np.testing.assert_array_equal(first, second)  # nothing was learned
    picture = tf.io.decode_png(first[2]).numpy()
    assert picture.shape[1] == 840  # four in a row
    assert outlined(picture) > 400


def test_each_epoch_is_on_the_disk_when_it_ends(build, shapes, tmp_path, events):
    seen = []
    reader = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(list(events(tmp_path)["gini"]))
    )
    monitor = ExplanationMonitor(shapes(10), tmp_path, pictures=0, metrics="gini")
    fit(build(), shapes(10, annotations=False), [monitor, reader])
    assert seen == [[0], [0, 1]]


def test_labels_can_be_said_to_be_several(build, arrays):
    images, labels, _ = arrays
    hot = np.eye(10, dtype="float32")[labels]  # one each, as it happens
    model = build(compiled=False)
    model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
    dataset = tf.data.Dataset.from_tensor_slices((images, hot)).batch(10)
    name = "mean_average_precision"
    monitor = ExplanationMonitor((images, hot), metrics=name, multi_label=True)
    history = fit(model, dataset, [monitor], epochs=1)
    assert 0.0 < history[name][0] <= 1.0


def test_without_pictures(build, shapes, tmp_path, events):
    monitor = ExplanationMonitor(shapes(10), tmp_path, pictures=0, metrics="gini")
    fit(build(), shapes(10, annotations=False), [monitor], epochs=1)
    assert set(events(tmp_path)) == {"gini"}


class Breaks(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise RuntimeError("power cut")


def test_a_resumed_run_goes_on_at_its_step(build, shapes, tmp_path, events):
    dataset = with_sample_ids(shapes(20, annotations=False))

    def resumed(*more):
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        monitor = ExplanationMonitor(shapes(10), tmp_path / "logs", pictures=1)
        trainer = xcons(build(compiled=False), schedule="memory", num_samples=20)
        fit(trainer, dataset, [monitor, backup, *more], epochs=4)

    with pytest.raises(RuntimeError, match="power cut"):
        resumed(Breaks())
    assert list(events(tmp_path / "logs")["pointing_game"]) == [0, 1]
    resumed()
    found = events(tmp_path / "logs")
    for tag in ("pointing_game", "heatmaps"):
        assert sorted(found[tag]) == [0, 1, 2, 3]


def test_the_writer_is_closed_and_opened_again(build, shapes, tmp_path, events):
    monitor = ExplanationMonitor(shapes(10), tmp_path, pictures=0)
    model, dataset = build(), shapes(10, annotations=False)
    fit(model, dataset, [monitor], epochs=1)
    assert monitor._tensorboard._writer is None
    fit(model, dataset, [monitor], epochs=3, initial_epoch=2)
    assert sorted(events(tmp_path)["pointing_game"]) == [0, 2]
    assert len(list(tmp_path.iterdir())) == 2


def test_tensorboard_is_an_extra(monkeypatch, arrays, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    ExplanationMonitor(arrays)
    with pytest.raises(ImportError, match=r'pip install "keras-xcons\[tensorboard\]"'):
        ExplanationMonitor(arrays, log_dir=tmp_path)


def test_bad_arguments_are_refused(arrays):
    for name, value in (("every", 0), ("pictures", -1)):
        with pytest.raises(ValueError, match=f"at least 1. Received: {name}={value}"):
            ExplanationMonitor(arrays, **{name: value})
    with pytest.raises(ValueError, match="epsilon"):
        ExplanationMonitor(arrays, epsilon=-1.0)


@pytest.mark.parametrize(
    ("parts", "options", "message"),
    [
        (3, {"metrics": "point"}, "Unknown metric.*pointing_game"),
        (2, {"metrics": ["gini", "pxap"]}, "cannot be measured.*with pxap"),
        (
            *(2, {"metrics": ["gini", "localisation"]}),
            "neither boxes nor masks. Received: metrics with localisation$",
        ),
        (2, {"metrics": ["backgrounds", "gini"]}, "no masks.*with backgrounds$"),
        (2, {"metrics": ["all", "localisation"]}, "neither.*with localisation$"),
        (3, {"feature_layer": "none"}, "none"),
        (3, {"class_names": ["a"]}, "`class_names` must be 10 names"),
    ],
)
def test_what_does_not_fit_is_refused_before_training(
    parts, options, message, build, arrays, shapes
):
    model = build()
    before = model.get_weights()
    monitor = ExplanationMonitor(arrays[:parts], **options)
    with pytest.raises(ValueError, match=message):
        fit(model, shapes(10, annotations=False), [monitor])
    for value, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(value, other)


def test_a_group_is_measured_as_far_as_the_data_allow(build, arrays):
    images, labels, _ = arrays
    boxes = np.tile(np.float32((0.2, 0.2, 0.8, 0.8)), (20, 1, 1))
    monitor = ExplanationMonitor((images, labels, boxes), metrics="localisation")
    dataset = tf.data.Dataset.from_tensor_slices((images, labels)).batch(10)
    history = fit(build(), dataset, [monitor], epochs=1)
    assert "max_box_acc_v2" in history and "pxap" not in history


def test_all_is_what_the_data_allow(build, arrays):
    few = tuple(array[:4] for array in arrays[:2])
    options = {"steps": 1, "pgd_steps": 1, "noise_samples": 1}
    monitor = ExplanationMonitor(few, prefix="val_", metrics=["all"], **options)
    dataset = tf.data.Dataset.from_tensor_slices(few).batch(4)
    history = fit(build(), dataset, [monitor], epochs=1)
    assert "val_gini" in history and "val_pointing_game" not in history


def test_figures_of_the_same_name_are_refused(build, shapes):
    monitor = ExplanationMonitor(shapes(10), metrics="accuracy")
    with pytest.raises(ValueError, match="another `prefix`.*with accuracy in the logs"):
        fit(build(), shapes(10, annotations=False), [monitor])


def test_figures_without_an_image_that_counts_are_left_out(
    build, arrays, tmp_path, events
):
    images, labels, masks = arrays
    nowhere = np.zeros_like(masks)
    monitor = ExplanationMonitor((images, labels, nowhere), tmp_path, pictures=2)
    dataset = tf.data.Dataset.from_tensor_slices((images, labels)).batch(10)
    history = fit(build(), dataset, [monitor], epochs=1)
    assert "explanation_consistency" in history and "pointing_game" not in history
    assert "pointing_game" not in events(tmp_path)
