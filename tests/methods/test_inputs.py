"""What is refused, and that nothing was learned then."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_xcons.methods import XConsModel
from keras_xcons.methods.xcons.options import XConsOptions
from tests.methods.contract import WEIGHTS_ALONE


def trained(build, schedule="memory", jit=False, eager=True, **options):
    loss = options.pop("loss", None)
    loss = loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    options = {**WEIGHTS_ALONE, "num_samples": 36, **options}
    trainer = XConsModel(build(), schedule=schedule, **options)
    trainer.compile("sgd", loss, run_eagerly=eager and not jit, jit_compile=jit)
    return trainer


def batches(images, labels, ids=None, batch=12):
    x = images if ids is None else {"image": images, "sample_id": ids}
    return tf.data.Dataset.from_tensor_slices((x, labels)).batch(batch)


def assert_refused(trainer, match, *data, **arguments):
    before = [value.copy() for value in trainer.get_weights()]
    with pytest.raises(ValueError, match=match) as info:
        trainer.fit(*data, verbose=0, **arguments)
    assert "\n" not in str(info.value)
    assert "Received:" in str(info.value)
    for left, right in zip(before, trainer.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


IMAGES = "images must be finite and within 0..255; preprocessing belongs inside"
IDS = "sample ids must be within 0..35, as num_samples=36 says"
LABELS = "labels must be within 0..4, the classes of the model"


def spoiled(arrays, kind):
    images, labels, ids = arrays[0].copy(), arrays[1].copy(), np.arange(36)
    if kind == "nan":
        images[3, 5, 5, 1] = np.nan
    elif kind == "scaled":
        images = images / 127.5 - 1.0
    elif kind == "bright":
        images[0, 0, 0, 0] = 255.1
    elif kind == "label":
        labels[4] = 5
    elif kind == "negative label":
        labels[4] = -1
    elif kind == "id":
        ids = ids + 1
    elif kind == "negative id":
        ids[2] = -1
    elif kind == "column":
        labels = np.where(labels == 2, 7, labels)[:, None]
    elif kind == "float label":
        labels = np.where(labels == 2, 7, labels).astype("float32")
    return images, labels, ids


@pytest.mark.parametrize(
    ("kind", "dataset_match", "array_match"),
    [
        ("nan", f"{IMAGES}.*values$", "`images` must be finite and within 0..255.*nan"),
        ("scaled", IMAGES, "`images` must be finite and within 0..255.*minimum -0.99"),
        ("bright", IMAGES, "`images` must be finite.*maximum 255.1"),
        (
            "label",
            f"{LABELS}. Received: label=5$",
            "`labels` must be within 0..4.*maximum 5",
        ),
        (
            "negative label",
            f"{LABELS}.*label=-1$",
            "`labels` must be within 0..4.*minimum -1",
        ),
        ("column", LABELS, "`labels` must be within 0..4.*maximum 7"),
        (
            "float label",
            f"{LABELS}.*label=7$",
            "`labels` must be within 0..4.*maximum 7",
        ),
        ("id", "sample ids must be within 0..35", "`sample_id` must be within 0..35"),
        (
            "negative id",
            f"{IDS}.*sample_id=-1$",
            "`sample_id` must be within 0..35.*minimum -1",
        ),
    ],
)
def test_bad_values(kind, dataset_match, array_match, build, arrays):
    images, labels, ids = spoiled(arrays, kind)
    trainer = trained(build)
    # The bad batch of ids that start at 1 is the last one.
    data = batches(images, labels, ids, batch=36)
    assert_refused(trainer, dataset_match, data)
    x = {"image": images, "sample_id": ids}
    assert_refused(trainer, array_match, x, labels, batch_size=12)


@pytest.mark.parametrize("kind", ["nan", "label", "negative id"])
def test_bad_values_under_xla(kind, build, arrays):
    """XLA drops asserts, so they must not be in the step."""
    images, labels, ids = spoiled(arrays, kind)
    matches = {"nan": IMAGES, "label": LABELS, "negative id": IDS}
    data = batches(images, labels, ids)
    assert_refused(trained(build, jit=True), matches[kind], data)


def test_bad_images_as_tensors(build, arrays):
    images = tf.constant(arrays[0]) - 1.0
    trainer = trained(build, "batch")
    assert_refused(trainer, "`images` must be finite", images, tf.constant(arrays[1]))


def test_other_errors_of_a_pipeline_stay_what_they_are(build, dataset):
    def broken(x, label):
        with tf.control_dependencies([tf.debugging.Assert(False, ["theirs"])]):
            return x, tf.identity(label)

    with pytest.raises(tf.errors.InvalidArgumentError, match="theirs"):
        trained(build).fit(dataset().map(broken), verbose=0)


@pytest.mark.parametrize("schedule", ["memory", "epoch"])
def test_missing_sample_ids(schedule, build, arrays, dataset):
    trainer = trained(build, schedule)
    match = "XCons needs sample ids with these options.*with_sample_ids"
    assert_refused(trainer, match, dataset(ids=False))
    assert_refused(trainer, match, *arrays)
    assert_refused(trainer, match, {"image": arrays[0]}, arrays[1])


def test_missing_num_samples(build):
    for schedule in ("memory", "epoch"):
        with pytest.raises(ValueError, match=f"{schedule}' sche.*Pass `num_samples`"):
            XConsModel(build(), schedule=schedule)


def test_sample_ids_that_are_not_needed_are_ignored(build, arrays):
    images, labels, _ = spoiled(arrays, "")
    trainer = XConsModel(build(), schedule="batch")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trainer.compile("sgd", loss, run_eagerly=True)
    trainer.fit(batches(images, labels, np.arange(36) + 900), verbose=0)
    x = {"image": images, "sample_id": np.arange(36) + 900}
    trainer.fit(x, labels, verbose=0)


def test_dataset_that_is_not_batched(build, dataset):
    match = r"batches of \(batch, height, width, 3\).*is the dataset batched"
    assert_refused(trained(build), match, dataset().unbatch())
    one = dataset(ids=False).unbatch()
    assert_refused(trained(build, "batch"), match, one)


def test_wrong_shapes_of_images(build, arrays):
    images, labels = arrays
    gray = images[..., :1]
    trainer = trained(build, "batch")
    assert_refused(trainer, r"width, 3\).*16, 16, 1", batches(gray, labels))
    assert_refused(trainer, r"channels\) \(16, 16, 3\), as the model", gray, labels)
    assert_refused(trainer, "rank 4", images[0], labels)
    assert_refused(trainer, r"\(16, 16, 3\), as the model", images[:, :8], labels)
    assert_refused(trainer, "one or more images", images[:0], labels[:0])


def test_images_that_are_no_numbers(build, arrays):
    with pytest.raises(TypeError, match="`images` must be numbers.*bool"):
        trained(build, "batch").fit(arrays[0] > 9, arrays[1], verbose=0)


def test_wrong_shapes_of_labels(build, arrays):
    images, labels = arrays
    trainer = trained(build, "batch")
    match = r"\(batch,\) integers or \(batch, 5\) one-hot"
    for wrong in (np.eye(4)[labels % 4], np.zeros((36, 2, 2), "int32")):
        assert_refused(trainer, match, images, wrong)
        assert_refused(trainer, match, batches(images, wrong))
    assert_refused(trainer, "one an image", images, labels[:35])


def test_wrong_shapes_of_multi_hot_labels(build, arrays):
    images, labels = arrays
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    trainer = trained(build, "batch", multi_label=True, loss=loss)
    match = r"\(batch, 5\) multi-hot"
    assert_refused(trainer, match, images, labels)
    assert_refused(trainer, match, batches(images, labels))


def test_dataset_without_labels(build, dataset):
    match = r"must give \(images, labels\)"
    images = dataset(ids=False).map(lambda x, y: x)
    assert_refused(trained(build, "batch"), match, images)


# Options.


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("schedule", "bach", "Unknown schedule. Did you mean 'batch'"),
        ("sample_weights", "uniforn", "Unknown sample_weights. Did you mean 'uniform'"),
        ("attack", "fgms", "Unknown attack. Did you mean 'fgsm'"),
        ("measure", "cosin", "Unknown measure. Did you mean 'cosine'"),
        ("agreement", "sofd", "Unknown agreement. Did you mean 'soft'"),
        ("weight_scale", "meen", "Unknown weight.scale. Did you mean 'mean'"),
        ("threshold", 1.5, r"`threshold` must be within \[0.0, 1.0\]"),
        ("threshold", -0.1, "`threshold` must be within"),
        ("epsilon", 256, r"`epsilon` must be within \[0.0, 255.0\]"),
        ("epsilon", float("nan"), "`epsilon` must be within"),
        ("step_size", 0.0, r"`step_size` must be within \(0.0, 255.0\]"),
        ("attack_steps", 0, "`attack_steps` must be within"),
        ("weight_floor", 1.1, "`weight_floor` must be within"),
        ("warmup_epochs", -1, "`warmup_epochs` must be within"),
        ("consistency_loss", -0.5, "`consistency_loss` must be within"),
        ("sweep_every", 0, "`sweep_every` must be within"),
        ("region", "backgrund", "Unknown region. Did you mean 'background'"),
    ],
)
def test_options_out_of_range(name, value, match, build):
    with pytest.raises(ValueError, match=match) as info:
        XConsModel(build(), **{name: value})
    assert str(info.value).endswith(f"={value!r}")


def test_options_of_the_wrong_kind(build):
    with pytest.raises(TypeError, match="`epsilon` must be a number"):
        XConsModel(build(), epsilon="4")
    for name in ("attack_steps", "warmup_epochs", "sweep_every", "num_samples"):
        with pytest.raises(TypeError, match=f"`{name}` must be an int"):
            XConsOptions(**{name: 2.5})
    for given in ({"attacked_loss": 0.0}, {"every": 2}):
        with pytest.raises(ValueError, match="Without `clean_loss` every step"):
            XConsOptions(clean_loss=False, **given)
    with pytest.raises(TypeError, match="`clean_loss`"):
        XConsOptions(clean_loss=0.5)
    with pytest.raises(ValueError, match="`num_samples` must be within"):
        XConsOptions(schedule="memory", num_samples=0)
    with pytest.raises(TypeError, match="Did you mean 'epsilon'.*option='epsilom'"):
        XConsModel(build(), epsilom=4)


def test_classifiers_that_cannot_be_split(build):
    with pytest.raises(TypeError, match="must be a `keras.Model`"):
        XConsModel("resnet50")

    class Own(keras.Model):
        def call(self, images):
            return images

    with pytest.raises(ValueError, match="subclassed model Own cannot be split"):
        XConsModel(Own())
    dense = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(3)]
    )
    with pytest.raises(ValueError, match="no 4-D activation"):
        XConsModel(dense)


def test_feature_layers_that_do_not_fit(build):
    with pytest.raises(ValueError, match="Unknown feature layer. Did you mean 'feat"):
        XConsModel(build(), feature_layer="feature")
    classifier = build()
    with pytest.raises(ValueError, match="must have a 4-D output"):
        XConsModel(classifier, feature_layer=classifier.layers[-2].name)
