"""The offset of heatmaps, measured by flips."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_xcons as kx
from keras_xcons.explainers.flips import Axis
from keras_xcons.models.offset import Offset, known_offset, remember_offset
from keras_xcons.models.windows import Span

SIDE = 96


def blobs(count=60, seed=0):
    """Images of a bright blob each, somewhere inside."""
    random = np.random.default_rng(seed)
    places = random.uniform(0.25, 0.75, (count, 2, 1, 1)) * SIDE
    rows, columns = np.mgrid[:SIDE, :SIDE]
    away = (rows - places[:, 0]) ** 2 + (columns - places[:, 1]) ** 2
    images = 220.0 * np.exp(-away / (2 * 9.0**2)) + 2.0
    images = images[..., None] + random.uniform(0, 3, (count, SIDE, SIDE, 3))
    return images.astype("float32")


def network(*pads, stride=8, side=9):
    """A classifier whose only strided layer is padded as given, so shifted."""
    images = keras.Input((SIDE, SIDE, 3))
    x = layers.ZeroPadding2D((pads, pads[::-1]))(images)
    x = layers.Conv2D(
        2, side, stride, kernel_initializer="ones", use_bias=False, name="map"
    )(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, layers.Dense(2, kernel_initializer="ones")(x))


@pytest.mark.parametrize("front", range(9))
def test_measured_is_what_strides_and_paddings_make(front):
    # Every share of a cell is found as well, not whole and half ones alone.
    model = network(front, 8 - front)
    expected = kx.split(model, align="geometric").frame.offset((SIDE, SIDE))
    assert expected == (0.5 - front, front - 7.5)
    found = kx.calibrate(model, blobs())
    assert (found.rows, found.columns) == pytest.approx(expected, abs=0.5)
    for value, (low, high) in (
        (found.rows, found.rows_interval),
        (found.columns, found.columns_interval),
    ):
        assert low <= value <= high and high - low < 1.0


def test_the_model_keeps_its_offset():
    model = network(1, 7)
    images = blobs(20)
    view, before = kx.split(model), kx.explain(model, images)
    found = kx.calibrate(model, images, remember=False)
    np.testing.assert_array_equal(kx.explain(model, images), before)
    assert kx.calibrate(model, images) == found
    after = kx.explain(model, images)
    pixels = (found.rows, found.columns)
    np.testing.assert_allclose(
        after, kx.explain(model, images, align=pixels), atol=1e-5
    )
    # Views and explainers made before see it as well.
    np.testing.assert_array_equal(kx.explain(view, images), after)
    for explainer in ("gradcam", "layercam"):
        moved = kx.explain(model, images, explainer=explainer)
        still = kx.explain(model, images, explainer=explainer, align=False)
        assert np.abs(moved - still).max() > 0.1
    np.testing.assert_array_equal(kx.explain(model, images, align=False), before)
    # Measured from the nominal place, however often.
    assert kx.calibrate(model, images) == found
    assert kx.XConsModel(model).view.frame.offset((SIDE, SIDE)) == pixels


def test_shares_of_a_cell_are_no_pixels():
    model, images = network(1, 7), blobs(12)
    remember_offset(model, "map", Offset(0.25, 0.25))
    frame = kx.split(model).frame
    assert frame.offset((SIDE, SIDE)) == pytest.approx((2.0, 2.0))
    assert frame.aligned((0.25, 0.25)).offset((SIDE, SIDE)) == pytest.approx(
        (0.25, 0.25)
    )
    for explainer in ("scorecam", "gradcam++"):
        maps = kx.explain(model, images[:2], explainer=explainer)
        other = kx.explain(model, images[:2], explainer=explainer, align=(0.25, 0.25))
        assert np.abs(maps - other).max() > 0.01


def test_maps_of_pixels_are_not_moved():
    model, images = network(1, 7), blobs(12)
    before = kx.explain(model, images, explainer="saliency")
    kx.calibrate(model, images)
    np.testing.assert_array_equal(
        kx.explain(model, images, explainer="saliency"), before
    )
    with pytest.raises(ValueError, match="Maps of pixels lie where they are"):
        kx.calibrate(model, images, explainer="smoothgrad")


def test_masks_of_scorecam_are_moved():
    model, images = network(1, 7), blobs(12)[:2]
    before = kx.explain(model, images, explainer="scorecam")
    kx.calibrate(model, blobs(12))
    assert np.abs(kx.explain(model, images, explainer="scorecam") - before).max() > 0.1
    still = kx.explain(model, images, explainer="scorecam", align=False)
    np.testing.assert_array_equal(still, before)


def test_a_shift_of_more_than_a_cell_is_found_where_the_graph_tells_of_it():
    images = keras.Input((SIDE, SIDE, 3))
    x = images
    for _ in range(4):
        x = layers.Conv2D(2, 3, 2, "same", kernel_initializer="ones")(x)
    x = layers.UpSampling2D(4, interpolation="bilinear")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(images, layers.Dense(2, kernel_initializer="ones")(x))
    expected = kx.split(model, align="geometric").frame.offset((SIDE, SIDE))
    assert expected == (7.5, 7.5)  # Of cells of 4 px.
    found = kx.calibrate(model, blobs(20), remember=False)
    assert (found.rows, found.columns) == pytest.approx(expected, abs=0.5)


@pytest.mark.parametrize(
    "before",
    [
        layers.Cropping2D(((0, 16), (16, 0))),
        layers.ZeroPadding2D(((24, 0), (0, 24))),
        layers.Lambda(lambda images: images[:, 8:, :72]),
    ],
)
def test_mirror_images_of_a_model_that_crops_or_pads_on_one_side(before):
    images = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(2, 9, 8, "same", kernel_initializer="ones", name="map")(
        before(images)
    )
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(images, layers.Dense(2, kernel_initializer="ones")(x))
    expected = kx.split(model, align="geometric").frame.offset((SIDE, SIDE))
    found = kx.calibrate(model, blobs(), remember=False)
    assert (found.rows, found.columns) == pytest.approx(expected, abs=0.5)


def test_one_side_of_the_images_has_no_mirror_image():
    images = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(2, 9, 8, "same")(layers.Cropping2D(((0, 48), (0, 0)))(images))
    x = layers.GlobalAveragePooling2D()(x)
    with pytest.raises(ValueError, match=r"rows that span 0\.\.0\.5 of the image"):
        kx.calibrate(keras.Model(images, layers.Dense(2)(x)), blobs(10))


def test_rows_and_columns_may_be_of_other_numbers():
    images = keras.Input((24, SIDE, 3))
    x = layers.Conv2D(2, 9, 8, "same", kernel_initializer="ones")(images)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(images, layers.Dense(2, kernel_initializer="ones")(x))
    found = kx.calibrate(model, blobs()[:, 36:60], remember=False)
    expected = kx.split(model, align="geometric").frame.offset((24, SIDE))
    assert found.columns == pytest.approx(expected[1], abs=0.5)
    assert found.image_size == (24, SIDE)


def test_what_the_images_do_not_tell_is_not_remembered():
    # Noise, and a network that sees something else in its mirror image.
    keras.utils.set_random_seed(1)
    images = keras.Input((48, 48, 3))
    x = layers.Conv2D(8, 5, 2, "same", activation="relu")(images)
    x = layers.Conv2D(8, 5, 4, "same", activation="relu", name="map")(x)
    x = layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(images, x)
    noise = np.random.default_rng(0).uniform(0, 255, (12, 48, 48, 3))
    with pytest.warns(UserWarning, match="not known, and not remembered"):
        found = kx.calibrate(model, noise)
    assert found.images == 12 and known_offset(model, "map") is None


class Fixed(layers.Layer):
    """Maps that are bright at one place, whatever the image."""

    def call(self, x):
        place = np.arange(12.0) - 7.3
        bump = np.exp(-(place[:, None] ** 2 + (place + 4.0) ** 2) / 4.0)
        return 1e-7 * x + bump[None, :, :, None].astype("float32")


@pytest.mark.parametrize("images", [blobs(20), blobs(20)[:, ::-1, ::-1]])
def test_maps_that_do_not_follow_the_images_have_no_offset(images):
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(2, 8, 8, kernel_initializer="ones")(inputs)
    x = layers.GlobalAveragePooling2D()(Fixed(name="map")(x))
    model = keras.Model(inputs, layers.Dense(2, kernel_initializer="ones")(x))
    with pytest.warns(UserWarning, match="rows do not follow the images"):
        found = kx.calibrate(model, images)
    assert len(found.doubts) == 2 and known_offset(model, "map") is None


def test_the_end_of_what_is_tried_is_told():
    axis = Axis("rows", Span(), 12)
    rows = np.arange(12.0)[None, :, None] - np.linspace(3.0, 7.0, 9)[:, None, None]
    maps = np.exp(-(rows**2)) * np.ones((1, 1, 4))
    still = axis.best(axis.differences(maps, maps[:, ::-1]), np.ones((1, 9)))
    assert still == pytest.approx(0.0, abs=1e-9)
    assert axis.doubt(*still, -0.5, 0.5, 0.1) is None
    assert "1.3 cells wide" in axis.doubt(*still, -0.5, 0.8, 0.1)
    # Two cells further down than the others, of mirror images.
    far = axis.best(
        axis.differences(maps, np.roll(maps[:, ::-1], 4, axis=1)), np.ones((1, 9))
    )
    assert "rows fit best at the end" in axis.doubt(*far, *far, *far, 0.1)
    assert "rows fit best at the end" in axis.doubt(*still, -0.99, 0.0, 0.1)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"batch_size": 2.5}, "`batch_size` must be"),
        ({"seed": -1}, "`seed` must be"),
        ({"remember": "no"}, "`remember` must be True or False"),
        ({"images": tf.data.Dataset.from_tensors({"a": 0})}, "under 'image'"),
        ({"images": tf.data.Dataset.from_tensors(0).repeat()}, "has to end"),
    ],
)
def test_wrong_arguments_are_refused(wrong, message):
    arguments = {"images": blobs(10), **wrong}
    with pytest.raises((TypeError, ValueError), match=message):
        kx.calibrate(network(4, 4), **arguments)


def test_datasets_and_arrays_say_the_same():
    model, images = network(2, 6), blobs(24)
    found = kx.calibrate(model, images)
    labels = np.zeros(24, "int32")
    for given in ((images,), (images, labels), ({"image": images}, labels)):
        dataset = tf.data.Dataset.from_tensor_slices(given).batch(8)
        assert kx.calibrate(model, dataset) == found
    assert kx.calibrate(kx.XConsModel(model), images.astype("uint8")).rows == (
        pytest.approx(found.rows, abs=0.1)
    )
    assert known_offset(model, "map") is not None


def test_what_says_nothing_is_left_out_or_refused():
    model, images = network(2, 6), blobs(24)
    found = kx.calibrate(model, images)
    black = np.zeros_like(images)
    with_black = kx.calibrate(model, np.concatenate([images, black]))
    assert with_black.images == 24
    assert with_black.rows == pytest.approx(found.rows)
    with pytest.raises(ValueError, match=r"at least 10 images .* Received: 0"):
        kx.calibrate(model, black)
    with pytest.raises(ValueError, match=r"at least 10 images .* Received: 9"):
        kx.calibrate(model, images[:9])
    small = network(0, 0, stride=48, side=48)
    with pytest.raises(ValueError, match=r"fewer than 3 rows .* Received: maps of"):
        kx.calibrate(small, images)
    with pytest.raises(ValueError, match="Labels are given with an array"):
        dataset = tf.data.Dataset.from_tensors(images)
        kx.calibrate(model, dataset, labels=[0] * 24)


def test_an_evaluation_is_aligned_and_says_so():
    model, images = network(1, 7), blobs(24)
    # What is bright is the object.
    masks = (images.mean(axis=-1, keepdims=True) > 100).astype("float32")
    labels = np.zeros(24, "int32")
    dataset = tf.data.Dataset.from_tensor_slices((images, labels, masks)).batch(8)

    def report(**options):
        asked = {"metrics": ["energy_pointing_game", "accuracy"], "verbose": 0}
        found = kx.evaluate({"net": model}, dataset, gallery=2, **asked, **options)
        return found.to_dict()

    before = report()
    assert before["provenance"]["heatmaps"].endswith(
        ", not moved, its offset was never measured"
    )
    assert before["models"][0]["offset"] == [0.0, 0.0]
    found = kx.calibrate(model, images)
    after = report()
    moved = f", moved (down, right): {found.rows:+.1f}, {found.columns:+.1f} px"
    assert after["provenance"]["heatmaps"].endswith(moved.replace("-", "−"))
    name = "energy_pointing_game"
    gained = [each["figures"]["net"][name]["value"] for each in (before, after)]
    assert gained[1] > gained[0] + 0.03
    still = report(align=False)
    assert still["figures"]["net"][name]["value"] == gained[0]
    assert still["provenance"]["heatmaps"].endswith(", as they are (align=False)")
    assert report(align="geometric")["models"][0]["offset"] == [-0.5, -6.5]
    # Score-CAM's maps are of pixels, the features that it masks images with are moved.
    masked = report(align=(3, -2), explainer="scorecam")
    assert masked["models"][0]["offset"] == [3.0, -2.0]
    assert report(align=(3, -2), explainer="saliency")["models"][0]["offset"] == [0, 0]


def test_what_computes_the_same_keeps_the_offset(tmp_path):
    model, offset = network(1, 7), Offset(0.5, -0.25)
    remember_offset(model, "map", offset)
    copy = kx.models.copy_model(model)
    assert known_offset(copy, "map") == offset
    others = [weight + 1.0 for weight in model.get_weights()]
    assert known_offset(kx.models.copy_model(model, weights=others), "map") is None
    kx.XConsModel(model, align="geometric").save(tmp_path / "trainer.keras")
    trainer = keras.models.load_model(tmp_path / "trainer.keras")
    assert known_offset(trainer.classifier, "map") == offset
    assert trainer.view.asked.align == "geometric"


def test_a_pair_keeps_its_offset_when_its_head_changes():
    images = keras.Input((SIDE, SIDE, 3))
    conv = layers.Conv2D(2, 9, 8, "same", kernel_initializer="ones")
    backbone = keras.Model(images, conv(images))
    dense = layers.Dense(2, kernel_initializer="ones")
    head = keras.Sequential([layers.GlobalAveragePooling2D(), dense])
    found = kx.calibrate((backbone, head), blobs(20))
    head.add(layers.Softmax())
    view = kx.split((backbone, head))
    assert view.frame.offset((SIDE, SIDE)) == (found.rows, found.columns)


def test_a_monitor_follows_an_offset_measured_between_two_fits():
    model, images = network(1, 7), blobs(24)
    masks = (images.mean(axis=-1, keepdims=True) > 100).astype("float32")
    labels = np.zeros(24, "int32")
    fixed = tf.data.Dataset.from_tensor_slices((images, labels, masks)).batch(8)
    name = "energy_pointing_game"
    monitor = kx.callbacks.ExplanationMonitor(fixed, metrics=[name])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    arguments = {"verbose": 0, "callbacks": [monitor]}
    targets = np.zeros((24, 2))
    before = model.fit(images, targets, **arguments).history[name]
    kx.calibrate(model, images)
    after = model.fit(images, targets, **arguments).history[name]
    assert after[0] > before[0] + 0.03
