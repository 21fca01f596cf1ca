import dataclasses
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_xcons import data, models
from keras_xcons.methods import method_of
from keras_xcons.models import split
from keras_xcons.models.offset import Offset, known_offset, remember_offset
from keras_xcons.recipes import Experiment, TrainOptions
from keras_xcons.recipes import experiment as experiment_module
from tests.same_weights import assert_same_weights

pytestmark = pytest.mark.usefixtures("eager")


def shapes_options(xcons=None, **values):
    small = {"num_samples": 24, "image_size": 16, "batch_size": 8, "epochs": 1}
    return TrainOptions(**{**small, "methods": {"xcons": xcons or {}}, **values})


def norms(model):
    kind = keras.layers.BatchNormalization
    return [layer for layer in model.layers if isinstance(layer, kind)]


def accuracy(model, dataset):
    hits = [np.argmax(model(x), axis=-1) == labels for x, labels in dataset]
    return np.mean(np.concatenate(hits))


@pytest.fixture(scope="module")
def experiment():
    return Experiment(shapes_options())


@pytest.fixture(scope="module")
def plain(experiment):
    return experiment.train("plain")


def test_every_run_starts_from_the_same_weights(experiment, plain):
    one, other = experiment.start(), experiment.start()
    assert one is not other
    assert_same_weights(one, other, 0, 0)
    one.layers[-1].bias.assign(np.ones(10))
    assert_same_weights(experiment.start(), other, 0, 0)
    assert_same_weights(Experiment(shapes_options()).start(), other, 0, 0)
    kernel = Experiment(shapes_options(seed=1)).start().layers[-1].kernel
    assert np.abs(kernel.numpy() - other.layers[-1].kernel.numpy()).max() > 0.01
    # Neither has the training of a run moved the start.
    moved = plain[0].layers[-1].kernel.numpy() - other.layers[-1].kernel.numpy()
    assert np.abs(moved).max() > 1e-3


def test_order_of_the_data_is_that_of_the_seed_alone(experiment):
    def order():
        return np.concatenate([labels for _, labels in experiment.train_data()])

    expected = order()
    for seed in (1, 2):
        tf.random.set_seed(seed)
        np.testing.assert_array_equal(order(), expected)


@pytest.mark.parametrize("augment", [False, True])
def test_runs_see_the_same_images_in_the_same_order(augment):
    experiment = Experiment(shapes_options(augment=augment))
    plain, xcons = experiment.train_data(), experiment.train_data(sample_ids=True)
    epochs, orders = [], []
    for _ in range(2):
        batches = list(zip(plain, xcons, strict=True))
        assert len(batches) == 3
        for (images, labels), (x, others) in batches:
            np.testing.assert_array_equal(images, x["image"])
            np.testing.assert_array_equal(labels, others)
        orders.append(np.concatenate([x["sample_id"] for _, (x, _) in batches]))
        epochs.append({image.tobytes() for (x, _), _ in batches for image in x.numpy()})
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(24))
    # The order is another one in the next epoch, and so is what augmentation does.
    assert list(orders[0]) != list(orders[1])
    assert (epochs[0] == epochs[1]) == (not augment)


@pytest.mark.parametrize("schedule", ["batch", "memory"])
def test_uniform_weights_equal_the_plain_run(schedule, experiment, plain):
    neutral = method_of("xcons").neutral
    trained, history = experiment.train("xcons", schedule=schedule, **neutral)
    assert_same_weights(trained, plain[0], 1e-4, 1e-5)
    assert history["loss"] == pytest.approx(plain[1]["loss"], rel=1e-5)
    assert history["accuracy"] == plain[1]["accuracy"]


def test_sweeps_leave_the_order_of_the_data_alone():
    neutral = method_of("xcons").neutral
    options = shapes_options({"schedule": "epoch", **neutral}, epochs=2)
    plain, history = Experiment(options).train("plain")
    trained, swept = Experiment(options).train("xcons")
    assert swept["accuracy"] == history["accuracy"]
    assert_same_weights(trained, plain, 1e-4, 1e-5)
    assert len(swept["consistency"]) == 2
    _, rarely = Experiment(options).train("xcons", sweep_every=2)
    told = np.isfinite(rarely["consistency"])
    assert told.tolist() == [False, True]


def test_xcons_differs_from_the_plain_run_and_repeats(experiment, plain):
    trained, history = experiment.train("xcons", epsilon=64.0)
    other = trained.layers[-1].kernel.numpy()
    assert np.abs(plain[0].layers[-1].kernel.numpy() - other).max() > 1e-5
    assert 0.0 <= history["consistency"][0] < 1.0
    # Plain Keras, without an optimizer, whose state would triple the saved file.
    for model in (plain[0], trained):
        assert type(model).__module__.startswith("keras.")
        assert not model.compiled
    again, repeated = Experiment(shapes_options({"epsilon": 64.0})).train("xcons")
    np.testing.assert_allclose(again.layers[-1].kernel, other, rtol=1e-5, atol=1e-6)
    assert repeated["consistency"] == pytest.approx(history["consistency"])


def test_plain_run_repeats_by_seed(plain):
    again, history = Experiment(shapes_options()).train("plain")
    assert_same_weights(again, plain[0])
    assert history["loss"] == pytest.approx(plain[1]["loss"])


@pytest.fixture
def spied(monkeypatch):
    """The options of each trainer, and what it would have been fitted on."""
    calls, make = [], experiment_module.trainer

    def spy(method, classifier, **options):
        def fit(x, **_):
            calls.append(x.element_spec[0])
            return types.SimpleNamespace(history={})

        made = make(method, classifier, **options)
        made.fit = fit
        calls.append(options)
        return made

    monkeypatch.setattr(experiment_module, "trainer", spy)
    return calls


def test_options_and_overrides_reach_the_trainer(spied):
    given = {"epsilon": 2.0, "threshold": 0.25, "attack": "pgd", "every": 2}
    experiment = Experiment(shapes_options(given, seed=3))
    experiment.train("xcons")
    arguments, spec = spied
    follow = {"num_samples": 24, "multi_label": False, "seed": 3, "objective": None}
    assert arguments == {**given, **follow}
    assert spec.shape == (None, 16, 16, 3)

    experiment.train("xcons", schedule="memory", epsilon=9.0, measure="ssim")
    arguments, spec = spied[2:]
    assert (arguments["epsilon"], arguments["threshold"]) == (9.0, 0.25)
    assert (arguments["schedule"], arguments["measure"]) == ("memory", "ssim")
    assert arguments["num_samples"] == 24
    assert set(spec) == {"image", "sample_id"}
    # Another method is told nothing of it.
    experiment.train("plain")
    assert set(spied[4]) == {"multi_label", "seed", "objective"}


def test_number_of_samples_is_that_of_the_data(spied, picture_options):
    Experiment(picture_options(methods={"xcons": {"schedule": "epoch"}})).train("xcons")
    assert spied[0]["num_samples"] == 24
    Experiment(shapes_options(num_samples=None)).train("xcons")
    assert spied[2]["num_samples"] == 4000


def test_labels_are_smoothed(plain):
    smoothed, history = Experiment(shapes_options(label_smoothing=0.5)).train("plain")
    assert abs(history["loss"][0] - plain[1]["loss"][0]) > 1e-3
    moved = smoothed.layers[-1].kernel.numpy() - plain[0].layers[-1].kernel.numpy()
    assert np.abs(moved).max() > 1e-4


def test_several_labels_an_image_are_smoothed_one_by_one(picture_options, monkeypatch):
    options = picture_options(label_smoothing=0.2)
    info = dataclasses.replace(data.info(options.dataset), multi_label=True)
    monkeypatch.setattr(data, "info", lambda name: info)
    loss = Experiment(options)._loss()
    hard = keras.losses.BinaryCrossentropy(from_logits=True)
    logits = np.array([[1.0, -2.0]], "float32")
    found = loss(np.array([[1.0, 0.0]]), logits)
    assert float(found) == pytest.approx(
        float(hard(np.array([[0.9, 0.1]]), logits)), rel=1e-5
    )


def test_probe_trains_the_last_layer_alone(weights, monkeypatch):
    monkeypatch.setattr(experiment_module, "_PROBE_EPOCHS", 25)
    monkeypatch.setattr(experiment_module, "_PROBE_RATE", 1e-2)
    experiment = Experiment(shapes_options(pretrained=weights))
    start, (probe, _) = experiment.start(), experiment.probe()
    for before, after in zip(start.layers[:-1], probe.layers[:-1], strict=True):
        for left, right in zip(before.get_weights(), after.get_weights(), strict=True):
            np.testing.assert_array_equal(left, right)
    assert not probe.compiled
    train = experiment.options.load("train")
    assert accuracy(probe, train) > accuracy(start, train) + 0.2

    assert np.any(experiment.start().layers[-1].kernel != probe.layers[-1].kernel)
    experiment.start_from(probe)
    np.testing.assert_array_equal(
        experiment.start().layers[-1].kernel, probe.layers[-1].kernel
    )


def test_batch_norm_is_frozen_with_pretrained_weights(picture_options, weights):
    experiment = Experiment(picture_options(pretrained=weights, learning_rate=1e-2))
    assert [norm.trainable for norm in norms(experiment.start())] == [False] * 4
    trained, _ = experiment.train("plain")
    start = experiment.start()
    assert np.abs(start.layers[-1].kernel - trained.layers[-1].kernel).max() > 1e-3
    for before, after in zip(norms(start), norms(trained), strict=True):
        for left, right in zip(before.get_weights(), after.get_weights(), strict=True):
            np.testing.assert_array_equal(left, right)


def test_batch_norm_learns_from_random_weights(experiment, plain):
    start = experiment.start()
    assert [norm.trainable for norm in norms(start)] == [True] * 4
    for before, after in zip(norms(start), norms(plain[0]), strict=True):
        assert np.abs(before.moving_mean - after.moving_mean).max() > 1e-3


def test_pretrained_weights_are_the_start(picture_options, weights):
    start = Experiment(picture_options(pretrained=weights)).start()
    pretrained = models.create("small_cnn", 3, 16)
    pretrained.load_weights(weights)
    for layer in pretrained.layers[:-1]:
        found = start.get_layer(layer.name).get_weights()
        for left, right in zip(layer.get_weights(), found, strict=True):
            np.testing.assert_array_equal(left, right)
    assert start.output_shape == (None, 2)


def test_start_scales_images_as_the_pretrained_network_does(picture_options, tmp_path):
    """A `Normalization` layer computes with more than its weights."""
    network = models.create("efficientnet_b0", 2, 32)
    kind = keras.layers.Normalization
    layer = next(layer for layer in network.layers if isinstance(layer, kind))
    layer.adapt_mean.assign([0.3, 0.4, 0.5])
    layer.adapt_variance.assign([0.1, 0.2, 0.3])
    network.save_weights(tmp_path / "network.weights.h5")
    start = Experiment(
        picture_options(
            model="efficientnet_b0",
            image_size=32,
            pretrained=tmp_path / "network.weights.h5",
        )
    ).start()
    scaled = next(layer for layer in start.layers if isinstance(layer, kind))
    pixels = np.full((1, 1, 1, 3), 1.0, "float32")
    expected = (1.0 - np.array([0.3, 0.4, 0.5])) / np.sqrt([0.1, 0.2, 0.3])
    np.testing.assert_allclose(scaled(pixels)[0, 0, 0], expected, rtol=1e-5)


def test_splits_to_evaluate_on(experiment, write_pictures, picture_options, tmp_path):
    assert experiment.test_splits == ("original", "mixed_same", "mixed_rand")
    assert Experiment(picture_options()).test_splits == ("test",)

    def splits(**counts):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        counts = {f"{split}/red": count for split, count in counts.items()}
        write_pictures(folder, counts)
        return Experiment(TrainOptions(dataset=str(folder), image_size=16)).test_splits

    assert splits(train=2, val=1) == ("validation",)
    assert splits(train=2, val=1, test=1) == ("test",)
    with pytest.raises(ValueError, match="no split beside 'train'.*splits .'train'."):
        splits(train=2)
    with pytest.raises(ValueError, match="no split 'train' to train on.*'test'"):
        splits(test=2)


def test_test_data_has_masks_where_there_are_any(experiment, picture_options):
    images, labels, masks = next(iter(experiment.test_data("mixed_rand")))
    assert images.shape == (8, 16, 16, 3) and masks.shape == (8, 16, 16, 1)
    assert labels.shape == (8,)
    pictures = Experiment(picture_options())
    assert [len(batch) for batch in pictures.test_data("test")] == [2]


@pytest.mark.parametrize(
    "values, error, message",
    [
        ({"dataset": "shapez"}, ValueError, "Did you mean 'shapes'"),
        ({"dataset": "./nowhere"}, FileNotFoundError, "no such folder"),
        ({"pretrained": "nowhere.h5"}, FileNotFoundError, "pretrained='nowhere.h5'"),
    ],
)
def test_missing_files_are_refused(values, error, message):
    with pytest.raises(error, match=message):
        Experiment(TrainOptions(**values))


def test_fine_tuning_attacks_where_the_maps_of_the_start_lie(
    monkeypatch, picture_options, weights
):
    """The network of a probe looks somewhere; one that starts from nothing does not."""
    shift = Offset(0.25, -0.5)
    measured = []

    def measure(model, dataset, **arguments):
        measured.append((dataset, arguments))
        remember_offset(model, split(model).feature_layer, shift)

    monkeypatch.setattr(experiment_module, "calibrate_trained", measure)
    experiment = Experiment(
        picture_options(
            pretrained=weights, on_bad_record="skip", methods={"xcons": {"every": 2}}
        )
    )
    model, _ = experiment.train("xcons")
    assert known_offset(model, split(model).feature_layer) == shift
    assert measured == [(experiment.options.dataset, {"on_bad_record": "skip"})]
    experiment.train("plain")
    Experiment(picture_options()).train("xcons")
    assert len(measured) == 1
