import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_xcons.data import load, split_sample_ids, with_sample_ids


def make(count, *extra):
    images = np.arange(count, dtype=np.float32)[:, None, None, None] * np.ones(
        (4, 4, 3)
    )
    parts = (images, np.arange(count), *extra)
    return tf.data.Dataset.from_tensor_slices(parts)


def test_single_images_are_numbered_in_order():
    dataset = with_sample_ids(make(5))
    assert dataset.element_spec[0]["sample_id"] == tf.TensorSpec((), tf.int32)
    assert len(dataset) == 5
    for number, (x, label) in enumerate(dataset):
        assert x["sample_id"].numpy() == number == label.numpy()
        assert x["image"].numpy()[0, 0, 0] == number


def test_batches_are_numbered_through_the_last_smaller_one():
    dataset = with_sample_ids(make(7).batch(3))
    assert len(dataset) == 3
    assert dataset.element_spec[0]["sample_id"].dtype == tf.int32
    for _ in range(2):  # Every epoch counts from 0.
        batches = list(dataset)
        assert [len(x["sample_id"]) for x, _ in batches] == [3, 3, 1]
        found = np.concatenate([x["sample_id"] for x, _ in batches])
        np.testing.assert_array_equal(found, np.arange(7))
        for x, labels in batches:
            np.testing.assert_array_equal(x["sample_id"], labels)


@pytest.mark.parametrize("batched", [False, True])
def test_sample_weights_stay(batched):
    dataset = make(4, np.arange(4) * 0.5)
    dataset = with_sample_ids(dataset.batch(3) if batched else dataset)
    for x, _, weight in dataset:
        np.testing.assert_array_equal(x["sample_id"], weight / 0.5)


def test_an_unknown_cardinality_stays_unknown():
    dataset = make(4).filter(lambda image, label: label != 2)
    ids = [int(x["sample_id"]) for x, _ in with_sample_ids(dataset)]
    assert ids == [0, 1, 2]
    assert with_sample_ids(dataset).cardinality() == tf.data.UNKNOWN_CARDINALITY


def test_ids_survive_shuffling():
    dataset = with_sample_ids(make(50)).shuffle(50, seed=1).batch(8)
    ids = []
    for x, labels in dataset:
        np.testing.assert_array_equal(x["sample_id"], labels)
        ids.extend(x["sample_id"].numpy())
    assert sorted(ids) == list(range(50)) != ids


def test_what_is_not_a_dataset_is_refused():
    with pytest.raises(TypeError, match="must be a tf.data.Dataset.*type ndarray"):
        with_sample_ids(np.zeros((2, 4, 4, 3)))


@pytest.mark.parametrize(
    "dataset",
    [
        tf.data.Dataset.range(3),
        make(3).map(lambda image, label: image),
        make(3).map(lambda image, label: {"image": image, "label": label}),
        make(3).map(lambda image, label: (label, image)),
        with_sample_ids(make(3)),
    ],
    ids=["numbers", "images", "dictionary", "label first", "numbered already"],
)
def test_other_elements_are_refused(dataset):
    with pytest.raises(ValueError, match=r"\(image, label\).*Received: dataset.elem"):
        with_sample_ids(dataset)


@pytest.mark.parametrize("kind", ["tf.data", "load", "keras"])
def test_a_shuffled_data_set_is_refused(kind, image_folder):
    if kind == "keras":
        dataset = keras.utils.image_dataset_from_directory(
            image_folder({"a": 3, "b": 3}), image_size=(16, 16), verbose=False
        )
    elif kind == "load":
        dataset = load("shapes", num_samples=10, batch_size=4, shuffle=True)
    else:
        # Also within another part of the data set.
        first = make(5).shuffle(5, reshuffle_each_iteration=True).batch(2)
        dataset = first.concatenate(make(4).batch(2)).map(lambda *x: x).prefetch(1)
    with pytest.raises(ValueError, match="shuffle=False.*Received: a dataset that is"):
        with_sample_ids(dataset)


def randomly_lit(image, label):
    return image + tf.random.uniform((), dtype=image.dtype), label


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.shuffle(20, seed=1).cache(),
        lambda x: x.shuffle(20, seed=1, reshuffle_each_iteration=False),
        lambda x: x.map(randomly_lit),
    ],
    ids=["kept", "shuffled once", "random images"],
)
def test_an_order_that_stays_is_accepted(change):
    dataset = with_sample_ids(change(make(20)))
    first, again = ({int(x["sample_id"]): int(y) for x, y in dataset} for _ in range(2))
    assert first == again and len(first) == 20


def test_split_sample_ids():
    x, _ = next(iter(with_sample_ids(make(4).batch(4))))
    images, ids = split_sample_ids(x)
    assert images.shape == (4, 4, 4, 3)
    np.testing.assert_array_equal(ids, range(4))
    plain, none = split_sample_ids(images)
    assert plain is images and none is None
    plain, none = split_sample_ids({"image": images})
    assert plain is images and none is None
