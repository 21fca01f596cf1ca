import numpy as np
import pytest
import tensorflow as tf

from keras_xcons.data import backgrounds


def test_a_folder_of_image_files(image_folder):
    folder = image_folder({"near": 2, "far/away": 3})
    dataset = backgrounds(folder, image_size=(20, 30))
    assert len(dataset) == 5
    assert dataset.element_spec == tf.TensorSpec((20, 30, 3), tf.float32)
    images = np.stack(list(dataset))
    assert images.max() > 50 and len(np.unique(images, axis=0)) == 5
    np.testing.assert_array_equal(images, np.stack(list(backgrounds(folder, (20, 30)))))


def test_a_tfds_directory_without_labels(tmp_path, write_tfds, picture):
    import tensorflow_datasets as tfds

    features = tfds.features.FeaturesDict(
        {"image": tfds.features.Image(shape=(None, None, 3))}
    )
    examples = [{"image": picture(seed=seed)} for seed in range(3)]
    write_tfds(tmp_path, "clutter", {"train": examples}, features)
    images = list(backgrounds(tmp_path / "clutter", (40, 60), "train[1:]"))
    assert len(images) == 2
    np.testing.assert_array_equal(images[0], picture(seed=1))
    with pytest.raises(ValueError, match="Accepted: 'train'. Received: split='test'"):
        backgrounds(tmp_path / "clutter", split="test")


def test_a_tfds_directory_without_images(tmp_path, write_tfds):
    import tensorflow_datasets as tfds

    features = tfds.features.FeaturesDict({"text": tfds.features.Text()})
    write_tfds(tmp_path, "words", {"train": [{"text": "a"}]}, features)
    with pytest.raises(ValueError, match="no feature 'image'.*'text'"):
        backgrounds(tmp_path / "words")


def test_bad_input_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no image file.*Received: directory="):
        backgrounds(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        backgrounds(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="at least 16 pixels"):
        backgrounds(tmp_path, image_size=8)
    with pytest.raises(ValueError, match="Received: image_size=None"):
        backgrounds(tmp_path, image_size=None)
