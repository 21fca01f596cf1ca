import numpy as np
import pytest
import tensorflow as tf

from keras_xcons import data
from keras_xcons.data import loading


def load(**arguments):
    return data.load("shapes", **({"num_samples": 60, "image_size": 32} | arguments))


def epoch(dataset):
    """Images, labels and ids of one pass."""
    images, labels, ids = [], [], []
    for x, label in dataset:
        image, number = data.split_sample_ids(x)
        images.append(image)
        labels.append(label)
        ids.append(number)
    return np.array(images), np.array(labels), ids


def test_shapes_are_those_of_the_function():
    dataset = load(split="mixed_rand", annotations=True, data_seed=3)
    expected = data.shapes("mixed_rand", 60, 32, seed=3)
    assert len(dataset) == 60
    assert dataset.element_spec == (
        tf.TensorSpec((32, 32, 3), tf.float32),
        tf.TensorSpec((), tf.int32),
        tf.TensorSpec((32, 32, 1), tf.float32),
    )
    for part, whole in zip(zip(*dataset, strict=True), expected, strict=True):
        np.testing.assert_array_equal(np.stack(part), whole)


def test_shapes_slices_and_sums_are_parts_of_the_whole():
    # More than one chunk of the renderer, which draws 1024 images of this size.
    size = {"num_samples": 2100, "image_size": 16}
    whole = np.stack([image for image, _ in load(split="original", **size)])
    split = "original[1000:1030]+original[2090:]"
    part = np.stack([image for image, _ in load(split=split, **size)])
    np.testing.assert_array_equal(
        part, np.concatenate([whole[1000:1030], whole[2090:]])
    )


def test_shapes_have_a_native_size_and_options():
    dataset = load(image_size=None, correlation=1.0)
    assert dataset.element_spec[0].shape == (64, 64, 3)
    expected = data.shapes("train", 60, correlation=1.0)[0]
    np.testing.assert_array_equal(epoch(dataset)[0], expected)
    assert data.info("shapes", num_samples=7).splits["mixed_same"] == 7


def test_info_of_shapes():
    info = data.info("shapes")
    assert info.name == "shapes" and info.annotations == "masks"
    assert info.splits["train"] == 4000 and len(info.splits) == 5
    assert len(info.class_names) == 10 and not info.multi_label


def test_batches():
    dataset = load(batch_size=25, annotations=True)
    assert len(dataset) == 3
    sizes = [(image.shape, mask.shape) for image, _, mask in dataset]
    assert sizes[0] == ((25, 32, 32, 3), (25, 32, 32, 1))
    assert sizes[-1] == ((10, 32, 32, 3), (10, 32, 32, 1))


def test_shuffling_is_reproducible_and_new_in_each_epoch():
    dataset = load(shuffle=True, seed=4)
    first, second = epoch(dataset)[1], epoch(dataset)[1]
    again = load(shuffle=True, seed=4)
    np.testing.assert_array_equal(epoch(again)[1], first)
    np.testing.assert_array_equal(epoch(again)[1], second)
    plain = epoch(load())[1]
    assert (first != second).any() and (first != plain).any()
    np.testing.assert_array_equal(np.sort(first), np.sort(plain))
    assert (epoch(load(shuffle=True, seed=5))[1] != first).any()


def test_ids_stay_with_their_images_through_everything():
    plain = epoch(load())
    dataset = load(
        shuffle=True, augment=True, sample_ids=True, cache=True, batch_size=7
    )
    for _ in range(2):
        ids = []
        for x, labels in dataset:
            ids.extend(x["sample_id"].numpy())
            np.testing.assert_array_equal(labels, plain[1][x["sample_id"].numpy()])
        assert sorted(ids) == list(range(60)) != ids
    shuffled = epoch(load(shuffle=True, sample_ids=True))
    for image, number in zip(shuffled[0], shuffled[2], strict=True):
        np.testing.assert_array_equal(image, plain[0][number])


def test_ids_with_annotations():
    for place, (x, _, mask) in enumerate(load(sample_ids=True, annotations=True)):
        assert x["sample_id"].numpy() == place
        assert mask.shape == (32, 32, 1)


@pytest.mark.parametrize("annotations", [False, True])
def test_the_cache_changes_nothing(annotations):
    plain = load(annotations=annotations)
    cached = load(annotations=annotations, cache=True)
    for _ in range(2):
        for one, other in zip(plain, cached, strict=True):
            for part, same in zip(one, other, strict=True):
                np.testing.assert_array_equal(part, same)


def test_the_cache_keeps_decoded_images(image_folder):
    folder = image_folder({"cat": 4})
    dataset = data.load(folder, image_size=32, cache=True)
    before = epoch(dataset)[0]
    for path in folder.rglob("*.png"):
        path.unlink()
    np.testing.assert_array_equal(epoch(dataset)[0], before)


def test_augmentation_follows_the_cache_and_the_seed():
    dataset = load(augment=True, cache=True, seed=2)
    first, second = epoch(dataset)[0], epoch(dataset)[0]
    assert (first != second).any((1, 2, 3)).mean() > 0.95
    np.testing.assert_array_equal(epoch(load(augment=True, seed=2))[0], first)
    assert first.dtype == np.float32 and first.min() >= 0 and first.max() <= 255


def test_the_shuffle_buffer_holds_all_or_a_gibibyte():
    small, large = tf.TensorShape((64, 64, 3)), tf.TensorShape((224, 224, 3))
    assert loading._shuffle_buffer(60_000, small) == 60_000
    assert loading._shuffle_buffer(5_994, large) == 5_994
    assert loading._shuffle_buffer(60_000, large) == 2**30 // (224 * 224 * 3)
    assert loading._shuffle_buffer(60_000, tf.TensorShape((None, None, 3))) == 1365


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"split": "test"}, ValueError, "Unknown split.*Received: split='test'"),
        ({"image_size": 15}, ValueError, "at least 16 pixels.*Received: image_size=15"),
        ({"image_size": 0}, ValueError, "Received: image_size=0"),
        ({"batch_size": 0}, ValueError, "at least 1. Received: batch_size=0"),
        ({"batch_size": 2.0}, ValueError, "Received: batch_size=2.0"),
        ({"seed": -1}, ValueError, "Received: seed=-1"),
        ({"num_samples": 0}, ValueError, "at least 1. Received: num_samples=0"),
        ({"data_seed": -1}, ValueError, "Received: data_seed=-1"),
        ({"correlation": 2}, ValueError, "Received: correlation=2"),
        ({"samples": 3}, TypeError, "option. Did you mean 'num_samples'.*'samples'"),
        (
            {"augment": True, "annotations": True},
            ValueError,
            "Received: augment=True and annotations=True",
        ),
    ],
)
def test_bad_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        load(**arguments)


def test_options_of_another_kind_are_refused(image_folder):
    with pytest.raises(TypeError, match="Accepted: 'data_dir'. Received: option='num_"):
        data.load("stl10", num_samples=3)
    with pytest.raises(TypeError, match="none is known. Received: option='num_sam"):
        data.load(image_folder({"cat": 1}), num_samples=3)


def test_images_of_different_sizes_are_not_batched(image_folder):
    with pytest.raises(
        ValueError, match="give an `image_size`. Received: image_size=N"
    ):
        data.load(image_folder({"cat": 1}), image_size=None, batch_size=2)


def test_paths_that_are_no_folders_are_refused(tmp_path):
    with pytest.raises(
        FileNotFoundError, match="no such folder. Received: '.*nowhere'"
    ):
        data.load(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        data.load("./nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="this is a file. Received"):
        data.load(str(tmp_path / "file"))
    with pytest.raises(TypeError, match="Received: name_or_dir=3"):
        data.load(3)


def test_a_folder_in_the_working_directory(image_folder, monkeypatch):
    monkeypatch.chdir(image_folder({"pictures/cat": 1}))
    assert data.info("pictures").class_names == ("cat",)
