"""CGC's formula, against a slow transcription, its crops, and what it is for."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_xcons as kx
from keras_xcons.methods import CGCModel, cgc
from keras_xcons.methods.cgc import cropped, draw_crops
from tests.protopnet.protopnets import classifier as protopnet

CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
# Top, left, height, width, flipped.
CROPS = np.array(
    [[0.1, 0.2, 0.5, 0.7, 0.0], [0.0, 0.0, 1.0, 1.0, 1.0], [0.4, 0.1, 0.3, 0.25, 1.0]],
    "float32",
)


def crop_by_hand(image, crop):
    """Pixel by pixel: the bilinear value at the place that each pixel shows."""
    top, left, height, width, flip = (float(v) for v in crop)
    rows, columns = image.shape[:2]
    found = np.zeros(image.shape)
    for i in range(rows):
        for j in range(columns):
            across = columns - 1 - j if flip else j
            y = (top + height * (i + 0.5) / rows) * rows - 0.5
            x = (left + width * (across + 0.5) / columns) * columns - 0.5
            y, x = min(max(y, 0.0), rows - 1), min(max(x, 0.0), columns - 1)
            y0, x0 = int(y), int(x)
            y1, x1 = min(y0 + 1, rows - 1), min(x0 + 1, columns - 1)
            up, aside = y - y0, x - x0
            found[i, j] = (
                (1 - up) * (1 - aside) * image[y0, x0]
                + (1 - up) * aside * image[y0, x1]
                + up * (1 - aside) * image[y1, x0]
                + up * aside * image[y1, x1]
            )
    return found


def test_crops_are_those_of_the_transcription():
    images = np.random.default_rng(0).uniform(0, 255, (3, 6, 9, 2)).astype("float32")
    found = cropped(images, CROPS)
    for image, crop, part in zip(images, CROPS, found, strict=True):
        np.testing.assert_allclose(part, crop_by_hand(image, crop), atol=1e-3)
    # A whole image that is flipped is its mirror image.
    np.testing.assert_allclose(found[1], images[1, :, ::-1], atol=1e-3)


def test_the_crop_of_a_map_is_the_map_of_the_drawn_crop():
    """A blob drawn inside the crop's box, in an image and in a map, stays together."""
    rows, columns = np.mgrid[:32, :32]
    blob = np.exp(-((rows - 18.0) ** 2 + (columns - 11.0) ** 2) / 30.0)
    blob = blob[None, :, :, None].astype("float32")
    crop = np.array([[0.3, 0.1, 0.5, 0.5, 1.0]], "float32")
    image = np.array(cropped(np.repeat(255 * blob, 3, -1), crop))[0, :, :, 0]
    there = np.array(cropped(blob, crop))[0, :, :, 0]
    np.testing.assert_allclose(there, image / 255.0, atol=1e-5)
    # Row 18.5 of 32 is (0.578 - 0.3) / 0.5 down the crop, column 11.5 mirrored.
    peak = np.unravel_index(there.argmax(), there.shape)
    expected = 32 * (18.5 / 32 - 0.3) / 0.5, 32 * (1 - (11.5 / 32 - 0.1) / 0.5)
    np.testing.assert_allclose(np.add(peak, 0.5), expected, atol=1.0)


def test_drawn_crops_lie_inside_and_have_the_areas_asked_for():
    crops = np.array(draw_crops((3, 0), (4000, 30, 40, 3), 0.08))
    top, left, height, width, flip = crops.T
    assert np.all(crops >= 0.0)
    assert np.all(top + height <= 1.0 + 1e-6) and np.all(left + width <= 1.0 + 1e-6)
    area, ratio = height * width, width * 40 / (height * 30)
    whole = (height < 1.0) & (width < 1.0)
    assert 0.08 <= area.min() < 0.09 and area.max() <= 1.0
    assert area.mean() == pytest.approx(0.54, abs=0.03)
    assert 0.75 - 1e-3 <= ratio[whole].min() and ratio[whole].max() <= 4 / 3 + 1e-3
    assert flip.mean() == pytest.approx(0.5, abs=0.03)
    assert set(flip) == {0.0, 1.0}
    other = np.array(draw_crops((4, 0), (4000, 30, 40, 3), 0.08))
    assert np.abs(other - crops).max() > 0.5


def map_by_hand(model, image, label):
    """`relu(Σ G ⊙ A)` of a logit, on the image's pixels, divided by its sum."""
    body = model.get_layer("body")
    inner = keras.Model(body.input, body.get_layer("features").output)
    with tf.GradientTape() as tape:
        activations = inner(image[None].astype("float32"))
        tape.watch(activations)
        x = activations
        for part in model.layers[2:]:
            x = part(x)
        score = x[0, label]
    slopes = tape.gradient(score, activations)
    found = np.maximum((slopes * activations).numpy().sum(-1)[0], 0.0)
    side = image.shape[0]
    shown = tf.image.resize(found[None, :, :, None], (side, side))[0, :, :, 0].numpy()
    return shown / (shown.sum() + 1e-8)


def by_hand(model, images, labels, first, second, weight, temperature, variant, views):
    """The loss of a batch, image by image."""

    def loss(batch):
        logits = model(batch.astype("float32")).numpy().astype("float64")
        logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
        return -np.mean([row[label] for row, label in zip(logits, labels, strict=True)])

    moved = np.array([crop_by_hand(*pair) for pair in zip(images, second, strict=True)])
    classes = model(images).numpy().argmax(-1)
    there, expected = [], []
    for image, other, crop, label in zip(images, moved, second, classes, strict=True):
        there.append(map_by_hand(model, other, label))
        shown = map_by_hand(model, image, label)
        expected.append(crop_by_hand(shown[..., None], crop)[..., 0])
    terms = []
    for i in range(len(images)):
        if variant == "mse":
            size = there[i].size  # Maps of mean 1.
            terms.append(np.mean((size * there[i] - size * expected[i]) ** 2))
            continue
        unit = [each / np.linalg.norm(each) for each in there]
        own = expected[i] / np.linalg.norm(expected[i])
        logits = [np.sum(unit[i] * own) / temperature] + [
            np.sum(unit[i] * unit[j]) / temperature
            for j in range(len(images))
            if j != i
        ]
        terms.append(-logits[0] + np.log(np.sum(np.exp(logits))))
    total = loss(images) + weight * np.mean(terms)
    if views == "all":
        drawn = [crop_by_hand(*pair) for pair in zip(images, first, strict=True)]
        total += loss(moved) + loss(np.array(drawn))
    return total, np.mean(terms)


@pytest.mark.parametrize("head", ["closed", "tape"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 0.1, "weight": 3.0, "learned_views": "image"},
        {"variant": "mse", "weight": 2.0},
    ],
    ids=str,
)
def test_the_loss_is_that_of_the_transcription(
    options, head, build, arrays, monkeypatch
):
    model = build(nested=True, head=head)
    images, labels = arrays[0][:6], arrays[1][:6]
    drawn = [np.tile(CROPS, (2, 1)), np.tile(CROPS[::-1], (2, 1))]
    left = list(drawn)
    monkeypatch.setattr(cgc, "draw_crops", lambda *args: left.pop(0))
    trainer = CGCModel(model, **options)
    trainer.compile(keras.optimizers.SGD(0.0), CROSS_ENTROPY, run_eagerly=True)
    logs = trainer.train_on_batch(images, labels, return_dict=True)
    asked = trainer.options
    expected, term = by_hand(
        *(model, images, labels),
        first=drawn[1],
        second=drawn[0],
        weight=asked.weight,
        temperature=asked.temperature,
        variant=asked.variant,
        views=asked.learned_views,
    )
    assert logs["contrast"] == pytest.approx(term, rel=1e-4)
    assert logs["loss"] == pytest.approx(expected, rel=1e-4)


def test_gradients_flow_through_both_maps(build, arrays):
    """Of the term alone, against differences of the loss; second order in the head."""
    model = build(head="tape")
    trainer = CGCModel(model, weight=1.0, learned_views="image")

    def loss(labels, logits):
        return 0.0 * tf.reduce_sum(logits, axis=-1)

    trainer.compile(keras.optimizers.SGD(1.0), loss, run_eagerly=True)
    images, labels = arrays[0][:6], arrays[1][:6]
    before = model.get_weights()

    def term(weights):
        model.set_weights(weights)
        trainer.optimizer.iterations.assign(0)
        trainer.optimizer.learning_rate = 0.0
        return trainer.train_on_batch(images, labels, return_dict=True)["loss"]

    trainer.train_on_batch(images, labels)
    after = model.get_weights()
    gradients = [old - new for old, new in zip(before, after, strict=True)]
    length = np.sqrt(sum(np.sum(g**2) for g in gradients))
    assert length > 1e-4
    step, pairs = 2e-3, list(zip(before, gradients, strict=True))
    ahead = term([w + step * g / length for w, g in pairs])
    behind = term([w - step * g / length for w, g in pairs])
    assert (ahead - behind) / (2 * step) == pytest.approx(length, rel=0.05)


def run(trainer, data, epochs=1, **arguments):
    trainer.compile(keras.optimizers.Adam(1e-3), CROSS_ENTROPY, **arguments)
    return trainer.fit(data, epochs=epochs, verbose=0, shuffle=False).history


def test_images_without_a_label_count_in_the_term_alone(build, arrays, dataset):
    """As -1 among the labels, or under a key of their own: the same step."""
    images, labels = arrays
    hidden = labels[:12].copy()
    hidden[8:] = -1
    mixed = tf.data.Dataset.from_tensor_slices((images[:12], hidden)).batch(12)
    pair = {"image": images[:8], "unlabelled": images[8:12]}
    beside = tf.data.Dataset.from_tensors((pair, labels[:8]))
    models = build(), build(), build()
    options = {"learned_views": "image"}
    histories = [
        run(CGCModel(models[0], **options), mixed),
        run(CGCModel(models[1], **options), beside, metrics=["accuracy"]),
    ]
    for left, right in zip(
        models[0].get_weights(), models[1].get_weights(), strict=True
    ):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-6)
    for log in ("loss", "contrast", "map_similarity"):
        assert histories[0][log] == pytest.approx(histories[1][log], rel=1e-5)
    # The labelled ones alone have another term, and the same loss without it.
    labelled = tf.data.Dataset.from_tensors((images[:8], labels[:8]))
    alone = run(CGCModel(models[2], **options), labelled, metrics=["accuracy"])
    assert alone["contrast"] != pytest.approx(histories[0]["contrast"], rel=1e-3)
    assert alone["accuracy"] == histories[1]["accuracy"]
    without = [h["loss"][0] - 0.5 * h["contrast"][0] for h in (alone, histories[0])]
    assert without[0] == pytest.approx(without[1], rel=1e-4)


def test_a_second_data_set(build, arrays, dataset):
    images, labels = arrays
    more = tf.data.Dataset.from_tensor_slices(images[:10]).batch(5)
    data = kx.data.with_unlabelled(dataset(ids=False), more)
    history = run(CGCModel(build()), data, epochs=2)
    assert np.isfinite(history["contrast"]).all()
    spoiled = kx.data.with_unlabelled(dataset(ids=False), more.map(lambda x: x - 300.0))
    with pytest.raises(ValueError, match="must be finite and within 0..255"):
        run(CGCModel(build()), spoiled)
    pair = {"image": images[:8], "unlabelled": images[8:12]}
    with pytest.raises(ValueError, match="come in a dataset, batch by batch"):
        CGCModel(build()).fit(pair, labels[:8])
    with pytest.raises(ValueError, match="Unknown key of a batch.*'unlabelled'"):
        run(kx.PlainModel(build()), data)


def test_empty_maps_are_left_out(build, arrays):
    model = build()
    model.layers[-2].kernel.assign(tf.zeros_like(model.layers[-2].kernel))
    trainer = CGCModel(model)
    trainer.compile(keras.optimizers.SGD(0.1), CROSS_ENTROPY)
    history = trainer.fit(*arrays, batch_size=36, verbose=0).history
    assert np.isnan(history["contrast"][0]) and np.isnan(history["map_similarity"][0])
    assert np.isfinite(history["loss"][0])
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_an_empty_map_is_no_negative():
    maps = np.random.default_rng(0).uniform(size=(3, 4, 4)).astype("float32")
    maps[2] = 0.0
    alone, _ = cgc.contrast(maps[:2], maps[:2], 0.5)
    values, similarity = cgc.contrast(maps, maps, 0.5)
    np.testing.assert_allclose(np.array(values)[:2], alone, rtol=1e-6)
    assert np.isnan(values[2]) and np.isnan(similarity[2])


def test_images_that_are_too_small(build, arrays):
    trainer = CGCModel(build(), min_scale=0.001)
    trainer.compile("sgd", CROSS_ENTROPY)
    with pytest.raises(ValueError, match="2 pixels or more.*whose smallest crops"):
        trainer.fit(*arrays, verbose=0)


def test_it_makes_maps_follow_crops(build, arrays):
    """What it is for: with the term, a crop's map tells whose crop it is."""
    contrast = {}
    for weight in (0.0, 5.0):
        keras.utils.set_random_seed(0)
        trainer = CGCModel(build(), weight=weight)
        trainer.compile(keras.optimizers.Adam(3e-3), CROSS_ENTROPY)
        history = trainer.fit(
            *arrays, batch_size=12, epochs=15, verbose=0, shuffle=False
        ).history
        contrast[weight] = np.mean(history["contrast"][-3:])
    assert contrast[5.0] < contrast[0.0] - 0.05


@pytest.mark.parametrize("jit", [False, True])
def test_metrics_are_of_the_images_with_a_label(jit, build, arrays):
    """As if those without were not there, with weights of the caller or without."""
    images, labels = arrays[0][:12], arrays[1][:12]
    hidden = np.concatenate([labels[:8], np.full(4, -1, labels.dtype)])
    weights = np.linspace(0.5, 2.0, 12, dtype="float32")
    entropy = keras.metrics.SparseCategoricalCrossentropy(from_logits=True)
    found = {}
    for name, count, given in (("all", 8, labels), ("some", 12, hidden)):
        trainer = CGCModel(build(), weight=0.0, learned_views="image")
        trainer.compile(
            keras.optimizers.SGD(0.0),
            CROSS_ENTROPY,
            metrics=["accuracy", entropy],
            weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="weighted")],
            jit_compile=jit,
        )
        found[name] = trainer.train_on_batch(
            images[:count], given[:count], weights[:count], return_dict=True
        )
    for log in ("accuracy", "weighted", "sparse_categorical_crossentropy", "loss"):
        assert found["some"][log] == pytest.approx(found["all"][log], rel=1e-5), log


def test_a_protopnet_with_unlabelled_images(arrays):
    model = protopnet()
    images = np.random.default_rng(0).uniform(0, 255, (6, 32, 32, 3)).astype("float32")
    trainer = CGCModel(model)
    trainer.compile(keras.optimizers.Adam(1e-3), CROSS_ENTROPY, run_eagerly=True)
    labels = np.array([0, 1, 2, -1, -1, 0])
    logs = trainer.fit(images, labels, batch_size=6, verbose=0).history
    assert all(np.isfinite(values).all() for values in logs.values())
