"""How explanation networks are fitted: terms, stages, retries, cached features."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_xcons.models import split
from keras_xcons.xnn import ExplanationNetworks, XNNOptions, fitting, losses, pull_away
from keras_xcons.xnn import features as feature_cache
from tests.xnn.xnns import CLASSES, arrays, by_hand, classifier, dataset, quick


def networks(classes=(0, 1, 3), seed=0, width=12):
    keras.utils.set_random_seed(seed)
    return ExplanationNetworks(list(classes), width, num_features=3, hidden=(8, 6))


@pytest.mark.parametrize("along", ["features", "images"])
def test_losses_equal_a_transcription(along):
    options = XNNOptions(orthogonal=along, sparsity=7.0)
    made, random = networks(), np.random.default_rng(0)
    decoder = fitting.decoder_of(made)
    features = random.uniform(0, 2, (10, 12)).astype("float32")
    scores = random.normal(size=(10, 3)).astype("float32")
    found = losses(made, decoder, tf.constant(features), tf.constant(scores), options)
    expected = by_hand(made, decoder, features, scores, options)
    np.testing.assert_allclose(np.array(found), expected, rtol=1e-5, atol=1e-7)
    assert expected[2].min() > 0.0


def test_pull_away_by_hand():
    apart = np.array([[[1.0, 0.0]], [[0.0, 1.0]]], "float32")
    same = np.array([[[1.0, 2.0]], [[2.0, 4.0]]], "float32")
    for along in ("features", "images"):
        assert float(pull_away(apart, along)[0]) == 0.0
        assert float(pull_away(same, along)[0]) == pytest.approx(1.0)
    # One alone, or nothing at all, has nothing to be orthogonal to.
    assert float(pull_away(apart[:, :, :1])[0]) == 0.0
    assert float(pull_away(0.0 * same)[0]) == 0.0


def test_the_options_of_the_paper():
    usual, images = XNNOptions(), XNNOptions(preset="images")
    found = [
        (each.sparsity, each.prediction_weight, each.reconstruction_weight)
        for each in (usual, images)
    ]
    assert found == [(100.0, 1.0, 15.0), (100.0, 1.0, 10.0)]
    assert (usual.pull_away_weight, images.pull_away_weight) == (5.0, 10.0)
    assert (usual.orthogonal, images.orthogonal) == ("features", "images")
    assert usual.hidden == (100, 30) and usual.num_features == 5


def test_features_are_the_mean_of_the_map_and_scores_the_logits():
    model, (images, labels) = classifier(), arrays()
    view = split(model)
    features, scores, told = feature_cache.collected(view, [2, 0], dataset())
    activations, logits, _ = view(images)
    np.testing.assert_allclose(features, np.mean(activations, (1, 2)), rtol=1e-5)
    np.testing.assert_allclose(scores, np.array(logits)[:, [2, 0]], rtol=1e-5)
    np.testing.assert_array_equal(told, labels[:, None] == np.arange(CLASSES))


def test_features_that_do_not_fit_in_memory_lie_on_disk(monkeypatch):
    expected = feature_cache.collected(split(classifier()), [0], dataset())
    monkeypatch.setattr(feature_cache, "_IN_MEMORY", 1000)
    found = feature_cache.collected(split(classifier()), [0], dataset())
    assert isinstance(found[0], np.memmap) and not isinstance(expected[0], np.memmap)
    np.testing.assert_array_equal(found[0], expected[0])
    batches = feature_cache.Features(*found[:2], batch_size=16, seed=0)
    again = feature_cache.Features(*expected[:2], batch_size=16, seed=0)
    for one, two in zip(batches[3], again[3], strict=True):
        np.testing.assert_array_equal(one, two)
    assert len(batches) == 5


def test_every_image_is_learned_once_an_epoch():
    features = np.arange(40, dtype="float32")[:, None]
    data = feature_cache.Features(features, features, batch_size=10, seed=0)
    orders = []
    for _ in range(2):
        seen = np.concatenate([data[number][0][:, 0] for number in range(len(data))])
        np.testing.assert_array_equal(np.sort(seen), features[:, 0])
        orders.append(seen)
        data.on_epoch_end()
    assert not np.array_equal(*orders)


def test_a_class_learns_as_alone():
    """All classes at once, and one by itself: the same seed gives it the same."""
    random = np.random.default_rng(0)
    features = random.uniform(0, 2, (48, 12)).astype("float32")
    scores = random.normal(size=(48, 3)).astype("float32")
    options = XNNOptions(**quick(hidden=(8, 6), weight_decay=0.0))
    several, alone = networks(), networks([1], seed=9)
    fitting.fit_networks(several, features, scores, options)
    fitting.fit_networks(alone, features, scores[:, 1:2], options)
    again = networks([1])
    fitting.fit_networks(again, features, scores[:, 1:2], options, attempt=1)
    same = []
    for one, two, three in zip(
        alone.weights, several.weights, again.weights, strict=True
    ):
        if len(one.shape) > 1:
            mine = np.array(two)[1:2]
            np.testing.assert_allclose(one, mine, rtol=1e-3, atol=1e-4)
            same.append(np.allclose(three, mine, rtol=1e-3, atol=1e-4))
    assert not all(same)


def test_uneven_classes_are_found():
    made, features = networks((0, 1)), np.ones((6, 12), "float32")
    for layer in made.encoder:
        layer.kernel.assign(np.ones(layer.kernel.shape) / layer.kernel.shape[1])
    weights = np.zeros((2, 3, 1))
    weights[0, :, 0] = [1.0, 0.29, 0.0]
    weights[1, :, 0] = [1.0, 0.31, -5.0]
    made.output_layer.kernel.assign(weights)
    belongs = np.ones((6, 2), bool)
    assert fitting.uneven(made, features, belongs) == [0]
    # Where all have died, too.
    made.encoder[-1].bias.assign([[0.0] * 3, [-9.0] * 3])
    assert fitting.uneven(made, features, belongs) == [0, 1]


def test_pretraining_reconstructs():
    """Better than layers of random weights."""
    features, scores, _ = feature_cache.collected(
        split(classifier()), list(range(CLASSES)), dataset()
    )
    options = XNNOptions(**quick(hidden=(16, 8), pretraining_epochs=40))
    keras.utils.set_random_seed(0)
    made = ExplanationNetworks(list(range(CLASSES)), 12, 3, (16, 8))
    decoder = fitting.decoder_of(made)

    def error():
        found = losses(made, decoder, features, scores, options)
        return float(np.mean(found[1]))

    before = error()
    fitting.pretrain(
        made, decoder, feature_cache.Features(features, scores, 16, 0), options
    )
    assert error() < 0.8 * before
