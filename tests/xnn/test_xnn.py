"""XNN as a user has it: fitted, explained, measured, saved, refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_xcons as kx
from keras_xcons.models.copying import copy_model
from keras_xcons.xnn import is_xnn, significant, xnn_view
from tests.xnn.xnns import CLASSES, SIZE, arrays, classifier, dataset, quick


@pytest.fixture(scope="module")
def model():
    """A trained classifier."""
    made = classifier()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile(keras.optimizers.Adam(0.02), loss)
    made.fit(*arrays(), epochs=20, verbose=0)
    return made


@pytest.fixture(scope="module")
def xnn(model):
    made = kx.XNN(
        model, **quick(epochs=250, pretraining_epochs=5, learning_rate=5e-3, seed=3)
    )
    made.fit(dataset(), verbose=0)
    return made


def test_the_classifier_is_not_touched(model, xnn):
    images, _ = arrays()
    np.testing.assert_array_equal(model(images), xnn.model(images))
    assert is_xnn(xnn.model) and not is_xnn(model)
    view = kx.split(xnn.model)
    assert view.closed_form and view.feature_layer == "features"
    np.testing.assert_array_equal(
        kx.explain(xnn.model, images, explainer="gradcam++"),
        kx.explain(model, images, explainer="gradcam++"),
    )


def test_contributions_add_up_to_the_score(model, xnn):
    images, labels = arrays(12)
    found = xnn.explain(images, labels)
    np.testing.assert_array_equal(found.classes, labels)
    total = found.contributions.sum(axis=1) + found.bias
    np.testing.assert_allclose(total, found.scores, rtol=1e-5, atol=1e-5)
    own = np.array(model(images))[np.arange(12), labels]
    np.testing.assert_allclose(found.logits, own, rtol=1e-4, atol=1e-5)
    assert found.heatmaps.shape == (12, 3, SIZE, SIZE)
    assert found.heatmaps.min() >= 0.0 and found.heatmaps.max() <= 1.0
    predicted = xnn.explain(images)
    np.testing.assert_array_equal(predicted.classes, np.array(model(images)).argmax(1))


def test_heatmaps_are_the_gradient_through_the_features(model, xnn):
    images, labels = arrays(3)
    found = xnn.explain(images, labels)
    view, networks = kx.split(model), xnn.networks
    activations = view(images)[0]
    for row in range(3):
        place = networks.classes.index(labels[row])
        for k in range(3):
            features = tf.reduce_mean(activations[row : row + 1], (1, 2))
            with tf.GradientTape() as tape:
                tape.watch(features)
                value = networks.x_features(features)[0, place, k]
            slope = tape.gradient(value, features)
            expected = np.maximum(np.einsum("hwd,d->hw", activations[row], slope[0]), 0)
            if expected.max() > 0:
                expected = expected / expected.max()
            placed = view.frame.aligned(None).place(expected[None], (SIZE, SIZE))
            np.testing.assert_allclose(found.heatmaps[row, k], placed[0], atol=1e-4)


def test_it_learns_the_scores(xnn):
    found = xnn.evaluate(dataset())
    assert found["relative_rmse"] < 0.1
    assert found["correlation"] > 0.95
    assert abs(found["accuracy"] - found["substituted_accuracy"]) <= 0.05
    assert 0.5 <= found["significant_features"] <= 3.0
    assert 0.0 <= found["off_diagonal_correlation"] <= 1.0


def test_what_is_significant():
    given = np.array(
        [
            [5.0, 4.6, 0.4, -3.0],
            [9.0, 0.5, 0.5, 0.0],
            [8.9, 1.1, 0.0, 0.0],
            [-1.0, -2.0, 0.0, 0.0],
            [3.0, 3.0, 3.0, 1.0],
        ]
    )
    expected = [[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 0]]
    np.testing.assert_array_equal(significant(given), np.array(expected, bool))


def test_its_own_explainer(xnn):
    images, labels = arrays(6)
    maps = kx.explain(xnn.model, images, labels)
    assert maps.shape == (6, SIZE, SIZE)
    np.testing.assert_array_equal(
        maps, kx.explain(xnn.model, images, labels, explainer="xnn")
    )
    assert maps.max() <= 1.0 and maps.min() >= 0.0


def test_it_is_saved_created_and_copied(xnn, tmp_path):
    images, labels = arrays(6)
    expected = xnn.explain(images, labels)
    xnn.model.save(tmp_path / "xnn.keras")
    loaded = keras.saving.load_model(tmp_path / "xnn.keras")
    for model in (loaded, copy_model(xnn.model)):
        again = kx.XNN(model)
        assert again.networks.classes == list(range(CLASSES))
        found = again.explain(images, labels)
        np.testing.assert_allclose(
            found.contributions, expected.contributions, rtol=1e-5, atol=1e-6
        )
        np.testing.assert_array_equal(model(images), xnn.model(images))


def test_the_architecture(tmp_path):
    network = kx.models.create("small_cnn", 5, 32, width=4)
    made = kx.XNN(network, [1, 4], num_features=2, hidden=(6,))
    created = kx.models.create(
        "xnn",
        5,
        32,
        backbone="small_cnn",
        backbone_arguments={"width": 4},
        classes=[1, 4],
        num_features=2,
        hidden=[6],
    )
    shapes = [[w.shape for w in each.weights] for each in (made.model, created)]
    assert shapes[0] == shapes[1]
    with pytest.raises(ValueError, match="Unknown backbone"):
        kx.models.create("xnn", 5, 32, backbone="xnn")


def test_a_fit_of_the_same_seed_is_the_same(model):
    found = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        made = kx.XNN(model, [0, 2], **quick())
        history = made.fit(dataset(), verbose=0)
        assert len(history["loss"]) == 4
        found.append(made.explain(arrays(8)[0]).contributions)
    np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-6)


def test_uneven_classes_are_trained_anew(model, monkeypatch):
    """Those alone, with other weights, and no more often than asked."""
    calls, fit = [], kx.xnn.model.fit_networks

    def counted(networks, features, scores, options, attempt=0, verbose=0):
        calls.append((list(networks.classes), attempt))
        return fit(networks, features, scores, options, attempt, verbose)

    monkeypatch.setattr(kx.xnn.model, "fit_networks", counted)
    monkeypatch.setattr(kx.xnn.model, "uneven", lambda *_: [1])
    kx.XNN(model, [0, 2, 3], **quick(retries=2, epochs=1)).fit(dataset(), verbose=0)
    assert calls == [([0, 2, 3], 0), ([2], 1), ([2], 2)]


def test_a_retry_reconstructs_more_and_pulls_apart_less(monkeypatch):
    """By 1.2 and 0.8 each time: of terms that are 1, the loss is their weights."""
    ones = tuple(tf.constant([1.0]) for _ in range(3))
    monkeypatch.setattr(kx.xnn.fitting, "losses", lambda *_: ones)
    data, found = np.random.default_rng(0).uniform(size=(16, 12)).astype("float32"), []
    options = kx.xnn.XNNOptions(**quick(hidden=(8,), epochs=1, pretraining_epochs=0))
    monkeypatch.setattr(
        kx.xnn.fitting._Stage, "train_step", lambda model, both: model._terms(*both)
    )
    for attempt in range(3):
        made = kx.xnn.ExplanationNetworks([0], 12, num_features=3, hidden=(8,))
        history = kx.xnn.fitting.fit_networks(made, data, data[:, :1], options, attempt)
        found.append(history["loss"][0])
    expected = [1.0 + 15.0 * 1.2**n + 5.0 * 0.8**n for n in range(3)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_pictures_of_what_adds_up(xnn, tmp_path):
    images, labels = arrays(8)
    every = kx.xnn.strongest_images(xnn, dataset(), count=2)
    assert list(every) == [0, 1, 2, 3]
    examples = every[1]
    assert len(examples) == 3 and examples[0].shape == (2, SIZE, SIZE, 3)
    strengths = xnn.explain(arrays()[0], np.full(80, 1)).x_features
    for place, found in enumerate(examples):
        # The same, or as strong: the first of several.
        best = np.argsort(-strengths[:, place], kind="stable")[:2]
        np.testing.assert_allclose(found, arrays()[0][best], atol=0.51)
    figure = kx.xnn.what_adds_up(xnn, images[1], 1, examples, ["a", "b", "c", "d"])
    kx.plotting.save(figure, tmp_path / "adds_up.png")
    found = xnn.explain(images[1:2], [1])
    titles = [axis.get_title() for axis in figure.axes]
    kept = int(found.significant.sum())
    assert sum("x-feature" in title for title in titles) == kept >= 1
    told = figure._supxlabel.get_text()
    assert told.endswith(f"the classifier gives {found.logits[0]:.2f}")
    assert f"= {found.scores[0]:.2f};" in told and figure._suptitle.get_text() == "b"
    with pytest.raises(ValueError, match="no images to choose"):
        kx.xnn.strongest_images(xnn, [])
    with pytest.raises(ValueError, match="Received: class 9"):
        kx.xnn.strongest_images(xnn, dataset(), [9])


def test_panels_are_the_largest_contributions(xnn):
    images, labels = arrays(4)
    panels = kx.explainers.panels(kx.split(xnn.model), images, labels)
    assert [panel.title for panel in panels] == [f"x-feature {n}" for n in (1, 2, 3)]
    found = xnn.explain(images, labels)
    order = np.argsort(-found.contributions, axis=1)
    for place, panel in enumerate(panels):
        for row in range(4):
            heatmap = found.heatmaps[row, order[row, place]]
            expected = kx.plotting.overlay(np.rint(images[row]), heatmap)
            words, picture = panel.shown(row)
            np.testing.assert_allclose(
                picture.astype(int), expected.astype(int), atol=2
            )
            number, given = order[row, place], found.contributions[row]
            assert words.startswith(f"x-feature {number + 1}: {given[number]:+.2f}")
    # All there are, so that what is left is the bias.
    words, _ = panels[-1].shown(0)
    score, bias = found.scores[0], found.bias[0]
    assert words.endswith(
        f", others and bias {bias:+.2f}: {score:.2f}; the classifier gives "
        f"{found.logits[0]:.2f}"
    )


def test_images_of_classes_without_a_network_are_skipped(model):
    """Not explained, and not counted among those whose heatmap is empty."""
    made = kx.XNN(model, [1, 3], **quick())
    made.fit(dataset(), verbose=0)
    boxes = tf.constant([[[0.0, 0.0, 0.5, 0.5]]] * 80)
    images, labels = arrays()
    data = tf.data.Dataset.from_tensor_slices((images, labels, boxes)).batch(16)
    names = ["accuracy", "fgsm_accuracy", "pointing_game", "energy_pointing_game"]
    names += ["max_box_acc", "fgsm_background_accuracy", "pgd_background_accuracy"]
    found = kx.evaluate(made.model, data, names, gallery=4).to_dict()["figures"]["xnn"]
    for name in names[:2]:
        assert (found[name]["n"], found[name]["skipped"]) == (80, 0), name
    for name in names[2:]:
        assert (found[name]["n"], found[name]["skipped"]) == (40, 40), name


def test_images_of_no_class_with_a_network(model):
    """Nothing is explained, and what needs no heatmap is measured."""
    made = kx.XNN(model, [1], **quick())
    made.fit(dataset(), verbose=0)
    images, labels = arrays()
    kept = labels != 1
    data = tf.data.Dataset.from_tensor_slices((images[kept], labels[kept])).batch(20)
    found = kx.evaluation.measure(made.model, data, ["accuracy", "insertion"], steps=2)
    assert len(found["accuracy"]) == 60 and np.isnan(found["insertion"]).all()


def test_another_class_than_the_predicted_is_told(model):
    made = kx.XNN(model, [1], **quick())
    made.fit(dataset(), verbose=0)
    images, _ = arrays(8)
    with pytest.warns(UserWarning, match="Of 6 of 8 images.*classes \\[1\\] alone"):
        maps = kx.explain(made.model, images)
    np.testing.assert_array_equal(maps, kx.explain(made.model, images, [1] * 8))


def test_a_classifier_with_one_output():
    """Class 1 has the score; class 0 has none of its own."""
    keras.utils.set_random_seed(2)
    inputs = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Conv2D(6, 5, 4, activation="relu")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    single = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(x))
    made = kx.XNN(single, **quick())
    assert made.networks.classes == [1]
    images, labels = arrays(32)
    data = tf.data.Dataset.from_tensor_slices((images, labels % 2)).batch(16)
    made.fit(data, verbose=0)
    assert all(np.isfinite(value) for value in made.evaluate(data).values())
    with pytest.raises(ValueError, match="score for class 1 alone"):
        kx.XNN(single, [0, 1])


def test_doubts_are_of_an_error_above_five_percent():
    assert kx.XNN.doubts({"relative_rmse": 0.05}) == []
    (told,) = kx.XNN.doubts({"relative_rmse": 0.0712})
    assert "off by 7.1 % of the range" in told


# Bad input.


@pytest.mark.parametrize(
    "classes, error, match",
    [
        ([4], ValueError, "within 0..3.*Received: 4"),
        ([-1], ValueError, "within 0..3"),
        ([1, 1], ValueError, "each once"),
        ([], ValueError, "one class or more"),
        ([0.5], TypeError, "a list of ints"),
        (3, TypeError, "a list of ints"),
    ],
)
def test_classes_that_are_none(model, classes, error, match):
    with pytest.raises(error, match=match):
        kx.XNN(model, classes)


@pytest.mark.parametrize(
    "options, error, match",
    [
        ({"num_features": 0}, ValueError, "`num_features` must be"),
        ({"hidden": 5}, TypeError, "`hidden` must be a tuple"),
        ({"hidden": ()}, TypeError, "`hidden` must be a tuple"),
        ({"sparsity": 0.0}, ValueError, "`sparsity` must be"),
        ({"orthogonal": "both"}, ValueError, "Unknown orthogonal"),
        ({"epoch": 3}, TypeError, "Did you mean 'epochs'"),
    ],
)
def test_options_that_are_none(model, options, error, match):
    with pytest.raises(error, match=match):
        kx.XNN(model, **options)


def test_data_that_will_not_do(model):
    images, labels = arrays()
    data = tf.data.Dataset.from_tensor_slices((images, labels * 0)).batch(16)
    with pytest.raises(
        ValueError, match="needs images of it. Received: none of class 1"
    ):
        kx.XNN(model, **quick()).fit(data, verbose=0)
    with pytest.raises(ValueError, match="as many images as they have x-features"):
        kx.XNN(model, [0], **quick(num_features=5)).fit(dataset(3), verbose=0)


NOT_A_NUMBER = arrays(16)[0]
NOT_A_NUMBER[3, 0, 0, 0] = np.nan


@pytest.mark.parametrize(
    "data, error, match",
    [
        (lambda x, y: [(NOT_A_NUMBER, y)], ValueError, "finite and within 0..255"),
        (lambda x, y: [(x - 128.0, y)], ValueError, "within 0..255"),
        (lambda x, y: [(x[:, :8], y)], ValueError, "as the model takes them"),
        (lambda x, y: [(x, y[:12])], ValueError, "for 16 images"),
        (lambda x, y: [(x, y + 9)], ValueError, "whole numbers within 0..3"),
        (lambda x, y: [(x, y + 0.5)], ValueError, "whole numbers"),
        (lambda x, y: [(x, np.eye(6)[y])], ValueError, r"multi-hot \(images, 4\)"),
        (lambda x, y: [x], ValueError, "batches of images and labels"),
        (lambda x, y: x, TypeError, "must give batches"),
        (lambda x, y: None, TypeError, "Received: None"),
        (lambda x, y: [], ValueError, "an empty data set"),
        (lambda x, y: dataset().repeat(), ValueError, "repeats for ever"),
    ],
)
def test_data_is_refused_before_anything_is_learned(model, xnn, data, error, match):
    given = data(*arrays(16))
    with pytest.raises(error, match=match):
        kx.XNN(model, **quick()).fit(given, verbose=0)
    with pytest.raises(error, match=match):
        xnn.evaluate(given)


def test_labels_of_every_form_give_the_same_figures(xnn):
    images, labels = arrays(32)
    expected = xnn.evaluate([(images, labels)])
    for form in (labels[:, None], np.eye(CLASSES)[labels], labels.astype("float32")):
        assert xnn.evaluate([(images, form)]) == expected
    # Of several classes an image the top one must be among them.
    several = np.maximum(np.eye(CLASSES)[labels], np.eye(CLASSES)[(labels + 1) % 4])
    assert xnn.evaluate([(images, several)])["accuracy"] >= expected["accuracy"]


def test_an_explanation_is_refused_once_the_classifier_has_changed(xnn):
    """Also of a model that was explained before, whose explainer is kept."""
    images, labels = arrays(2)
    changed = copy_model(xnn.model)
    kx.explain(changed, images, labels)
    classifier = kx.XNN(changed).classifier
    classifier.set_weights([each + 0.5 for each in classifier.get_weights()])
    with pytest.raises(ValueError, match="has changed since"):
        kx.explain(changed, images, labels)


def test_pictures_of_what_they_are_not_made_for(xnn):
    images, _ = arrays(2)
    with pytest.raises(TypeError, match="keras_xcons.XNN\\(model\\)"):
        kx.xnn.what_adds_up(xnn.model, images[0])
    with pytest.raises(TypeError, match="keras_xcons.XNN\\(model\\)"):
        kx.xnn.strongest_images(xnn.model, dataset())
    with pytest.raises(ValueError, match="one image"):
        kx.xnn.what_adds_up(xnn, images[:1])
    every = kx.xnn.strongest_images(xnn, dataset())
    with pytest.raises(ValueError, match="a list of 3 arrays.*a dict of 4"):
        kx.xnn.what_adds_up(xnn, images[0], 1, every)
    with pytest.raises(ValueError, match="must be 4 names.*2 names"):
        kx.xnn.what_adds_up(xnn, images[0], 1, every[1], ["a", "b"])


def test_networks_that_explain_no_classifier(model, xnn):
    images, labels = arrays(4)
    with pytest.raises(ValueError, match="are not fitted yet"):
        kx.XNN(model, **quick()).explain(images)
    changed = kx.XNN(copy_model(xnn.model))
    weights = changed.classifier.get_weights()
    changed.classifier.set_weights([*weights[:-1], weights[-1] + 1.0])
    for call in (
        lambda: changed.explain(images),
        lambda: changed.evaluate(dataset()),
        lambda: kx.explain(changed.model, images),
    ):
        with pytest.raises(ValueError, match="has changed since its explanation net"):
            call()
    with pytest.raises(ValueError, match="no explanation networks"):
        kx.explain(model, images, explainer="xnn")


def test_classes_without_a_network(model):
    made = kx.XNN(model, [0, 2], **quick())
    made.fit(dataset(), verbose=0)
    images, labels = arrays(4)
    for call in (
        lambda: made.explain(images, labels),
        lambda: kx.explain(made.model, images, labels),
    ):
        with pytest.raises(ValueError, match="classes \\[0, 2\\] alone.*class 1"):
            call()
    assert set(made.explain(images).classes.tolist()) <= {0, 2}
    with pytest.raises(ValueError, match="networks with classes=\\(0, 2\\)"):
        kx.XNN(made.model, [1])
    with pytest.raises(ValueError, match="with num_features=3"):
        kx.XNN(made.model, num_features=4)
    assert xnn_view(made.model).networks is made.networks
