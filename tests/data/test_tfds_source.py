"""Each adapter, on a tiny set that TFDS wrote with that set's own features."""

import numpy as np
import pytest
import tensorflow as tf

from keras_xcons import data

BOX = (0.1, 0.2, 0.6, 0.9)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory, write_tfds, picture):
    """A TFDS folder with four tiny sets in it."""
    from tensorflow_datasets.core.features import BBox

    folder = tmp_path_factory.mktemp("tfds")
    grey = np.full((40, 60, 1), 255, np.uint8)
    birds = [
        {
            "image": picture(seed=seed),
            "image/filename": "a/b.jpg",
            "label": label,
            "label_name": "a bird",
            "bbox": BBox(*BOX),
            "segmentation_mask": grey,
        }
        for seed, label in enumerate((3, 199, 0))
    ]
    write_tfds(folder, "caltech_birds2011", {"train": birds, "test": birds[:1]})

    trimap = np.full((40, 60, 1), 2, np.uint8)
    trimap[10:30, 15:45] = 3
    trimap[12:28, 18:42] = 1
    pets = [
        {
            "image": picture(seed=seed),
            "label": label,
            "species": 0,
            "file_name": "pet",
            "segmentation_mask": trimap,
            "head_bbox": BBox(0.0, 0.0, 0.1, 0.1),
        }
        for seed, label in enumerate((36, 5))
    ]
    write_tfds(folder, "oxford_iiit_pet", {"train": pets, "test": pets[:1]})

    def small(label):
        return {"image": picture(96, 96, seed=4), "label": label}

    splits = {
        "train": [small(9)],
        "test": [small(1)],
        "unlabelled": [small(-1), small(-1)],
    }
    write_tfds(folder, "stl10", splits)

    def scene(*labels):
        objects = [
            {
                "label": label,
                "bbox": BBox(*BOX),
                "pose": 0,
                "is_truncated": False,
                "is_difficult": False,
            }
            for label in labels
        ]
        return {
            "image": picture(seed=len(labels)),
            "image/filename": "scene.jpg",
            "objects": objects,
            "labels": sorted(set(labels)),
            "labels_no_difficult": sorted(set(labels)),
        }

    scenes = [scene(14, 14, 2), scene(7), scene(*[0] * 130)]
    splits = {"train": scenes, "validation": scenes[:1], "test": [scene()]}
    write_tfds(folder, "voc/2007", splits)
    write_tfds(folder, "voc/2012", splits)

    frame = {"image": picture(), "label": 8}
    write_tfds(folder, "imagenette/160px-v2", {"train": [frame], "validation": [frame]})
    return folder


def test_birds(data_dir):
    dataset = data.load("caltech_birds2011", annotations=True, data_dir=data_dir)
    assert dataset.element_spec == (
        tf.TensorSpec((224, 224, 3), tf.float32),
        tf.TensorSpec((), tf.int32),
        tf.TensorSpec((1, 4), tf.float32),
    )
    assert [int(label) for _, label, _ in dataset] == [3, 199, 0]
    for _, _, boxes in dataset:
        np.testing.assert_allclose(boxes, [BOX])
    info = data.info("caltech_birds2011", data_dir=data_dir)
    assert info.splits == {"train": 3, "test": 1}
    assert info.annotations == "boxes" and len(info.class_names) == 200


def test_images_are_stretched_and_keep_their_content(data_dir, picture):
    dataset = data.load("caltech_birds2011", image_size=(20, 24), data_dir=data_dir)
    for seed, (image, _) in enumerate(dataset):
        expected = tf.image.resize(picture(seed=seed), (20, 24), antialias=True)
        assert np.abs(image - expected).mean() < 4  # JPEG
        np.testing.assert_array_equal(image, tf.round(image))


def test_pets_have_masks_of_the_animal_with_its_border(data_dir):
    dataset = data.load(
        "oxford_iiit_pet", annotations=True, data_dir=data_dir, image_size=(40, 60)
    )
    expected = np.zeros((40, 60, 1), np.float32)
    expected[10:30, 15:45] = 1
    labels = []
    for _, label, mask in dataset:
        labels.append(int(label))
        assert mask.dtype == tf.float32
        np.testing.assert_array_equal(mask, expected)
    assert labels == [36, 5]


def test_stl10(data_dir):
    (image, label), *_ = data.load("stl10", image_size=None, data_dir=data_dir)
    assert image.shape == (96, 96, 3) and label == 9
    info = data.info("stl10", data_dir=data_dir)
    assert info.splits == {"train": 1, "test": 1}


@pytest.mark.parametrize("split", ["unlabelled", "train+unlabelled[:1]", "all"])
def test_the_unlabelled_split_is_refused(split, data_dir):
    message = "split 'unlabelled' of 'stl10' has no labels. Accepted: 'train', 'test'"
    with pytest.raises(ValueError, match=message):
        data.load("stl10", split, data_dir=data_dir)


def test_the_test_split_of_voc_2012_is_refused(data_dir):
    with pytest.raises(ValueError, match="split 'test' of 'voc/2012' has no labels"):
        data.load("voc/2012", "test", data_dir=data_dir)


@pytest.mark.parametrize("name", ["voc/2007", "voc", "voc/2012"])
def test_voc_is_multi_label(name, data_dir):
    dataset = data.load(name, annotations=True, data_dir=data_dir, image_size=32)
    assert dataset.element_spec[1] == tf.TensorSpec((20,), tf.float32)
    assert dataset.element_spec[2] == tf.TensorSpec((128, 4), tf.float32)
    (_, first, boxes), (_, second, one), (_, third, many) = dataset
    assert set(np.flatnonzero(first)) == {2, 14} and tf.reduce_max(first) == 1
    assert set(np.flatnonzero(second)) == {7} and set(np.flatnonzero(third)) == {0}
    np.testing.assert_allclose(boxes[:3], [BOX] * 3)
    np.testing.assert_array_equal(boxes[3:], 0)
    np.testing.assert_array_equal(one[1:], 0)
    # More boxes than places: the first ones.
    np.testing.assert_allclose(many, [BOX] * 128)


def test_an_image_without_objects_has_no_label(data_dir):
    ((_, label, boxes),) = data.load(
        "voc/2007", "test", annotations=True, data_dir=data_dir, image_size=32
    )
    np.testing.assert_array_equal(label, np.zeros(20))
    np.testing.assert_array_equal(boxes, np.zeros((128, 4)))


def test_voc_batches(data_dir):
    dataset = data.load(
        "voc/2007", annotations=True, data_dir=data_dir, image_size=32, batch_size=3
    )
    ((images, labels, boxes),) = dataset
    assert images.shape == (3, 32, 32, 3)
    assert labels.shape == (3, 20) and boxes.shape == (3, 128, 4)


def test_imagenette(data_dir):
    name = "imagenette/160px-v2"
    ((_, label),) = data.load(name, "validation", image_size=32, data_dir=data_dir)
    assert data.info(name, data_dir=data_dir).class_names[label] == "golf ball"


def test_slices_pass_through(data_dir):
    dataset = data.load(
        "caltech_birds2011", "train[1:]+test", image_size=32, data_dir=data_dir
    )
    assert len(dataset) == 3
    assert [int(label) for _, label in dataset] == [199, 0, 3]


def test_unknown_splits_are_refused(data_dir):
    message = "Unknown split. .*Accepted: 'test', 'train'. Received: split='tset'"
    with pytest.raises(ValueError, match=message):
        data.load("caltech_birds2011", "tset", data_dir=data_dir)


@pytest.fixture
def no_download(monkeypatch):
    """Counts the downloads, each of which fails."""
    import tensorflow_datasets as tfds

    calls = []

    def fail(self, *args, **kwargs):
        calls.append(self.name)
        raise ConnectionError("no route to host\nand much more")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    return calls


def test_a_set_that_is_there_is_not_downloaded(no_download, data_dir):
    data.load("voc/2007", data_dir=data_dir)
    assert not no_download


def test_a_failed_download_is_one_clear_error(no_download, tmp_path):
    message = "'stl10' is not in .*could not be downloaded: no route to host$"
    with pytest.raises(OSError, match=message):
        data.load("stl10", data_dir=tmp_path)
    assert no_download == ["stl10"]


@pytest.mark.parametrize("split", ["trian", "unlabelled"])
def test_a_bad_split_is_refused_before_the_download(split, no_download, tmp_path):
    with pytest.raises(ValueError, match=f"Received: split='{split}'"):
        data.load("stl10", split, data_dir=tmp_path)
    assert not no_download


@pytest.mark.parametrize("switch", ["1", "true"])
def test_nothing_is_downloaded_offline(switch, no_download, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_XCONS_OFFLINE", switch)
    with pytest.raises(OSError, match="KERAS_XCONS_OFFLINE forbids to download"):
        data.load("stl10", data_dir=tmp_path)
    assert not no_download
