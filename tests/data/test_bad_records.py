"""What cannot be read is found before any work, named and counted, or left out."""

import glob
import pathlib

import keras
import numpy as np
import pytest

from keras_xcons import data, evaluate


@pytest.fixture
def damage(image_folder):
    """A folder of 4 + 4 images to train on, two of them damaged."""
    folder = image_folder({"train/a": 4, "train/b": 4, "test/a": 2, "test/b": 2})
    for name in ("train/a/1.png", "train/b/2.png"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])
    return folder


@pytest.fixture
def tfds_set(write_tfds, picture, tmp_path):
    import tensorflow_datasets as tfds

    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
            "label": tfds.features.ClassLabel(names=["a", "b"]),
        }
    )
    examples = [{"image": picture(seed=n), "label": n % 2} for n in range(8)]
    write_tfds(tmp_path, "figures", {"train": examples}, features)
    return tmp_path / "figures"


def flip(folder, text, offset):
    """Damages the last record of a TFDS set that holds some bytes."""
    (path,) = glob.glob(f"{folder}/**/*train.tfrecord*", recursive=True)
    content = bytearray(pathlib.Path(path).read_bytes())
    content[content.rindex(text) + offset] ^= 255
    pathlib.Path(path).write_bytes(content)
    return path


def test_files_that_cannot_be_read_are_named_and_counted(damage):
    message = r"2 of 8 images of 'train' cannot be read: .*[ab]/[12].png: .*truncated"
    with pytest.raises(ValueError, match=f"{message}.*on_bad_record='skip'"):
        data.verify(damage)
    found = data.verify(damage, on_bad_record="skip")
    assert found.class_counts == (3, 3) and found.skipped == 2
    assert data.verify(damage, "test").told is None


def test_files_that_cannot_be_read_are_left_out_once_told(damage):
    with pytest.warns(UserWarning, match="Left out: 2 of 8 images of 'train'"):
        dataset = data.load(damage, image_size=16, on_bad_record="skip")
    assert len(dataset) == len(list(dataset)) == 6
    # Told once a process.
    assert len(data.load(damage, image_size=16, on_bad_record="skip")) == 6
    part = data.load(damage, "test", image_size=16, on_bad_record="skip")
    assert len(part) == 4


def test_a_split_of_nothing_else_is_refused(image_folder):
    folder = image_folder({"a": 1, "b": 1})
    for path in folder.glob("*/*.png"):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="2 of 2 images.*on_bad_record='skip'"):
        data.load(folder, on_bad_record="skip")
    with pytest.raises(ValueError, match="2 of 2 images"):
        data.verify(folder, on_bad_record="skip")


@pytest.mark.parametrize("function", [data.load, data.verify])
def test_unknown_actions_are_refused(function):
    with pytest.raises(ValueError, match="Did you mean 'skip'.*on_bad_record='skips'"):
        function("shapes", on_bad_record="skips")


def test_an_empty_split_is_refused(image_folder):
    folder = image_folder({"train/a": 1, "train/b": 1, "test/a": 0})
    with pytest.raises(ValueError, match="selects no image. Received: split='test'"):
        data.load(folder, "test")


def test_a_damaged_record_file_is_named(tfds_set):
    path = flip(tfds_set, b"\x89PNG", 10)
    with pytest.raises(ValueError, match=f"1 of 8 images of 'train'.*{path}: is dam"):
        data.verify(tfds_set)
    with pytest.warns(UserWarning, match="Left out: 1 of 4.*is damaged, 1 of its"):
        dataset = data.load(tfds_set, "train[4:]", image_size=16, on_bad_record="skip")
    assert len(dataset) == len(list(dataset)) == 3


def test_an_image_that_a_record_holds_damaged_is_named(
    write_tfds, picture, tmp_path, monkeypatch
):
    import tensorflow_datasets as tfds

    # A record as it should be of an image that is not.
    encode = tfds.features.Image.encode_example
    monkeypatch.setattr(
        tfds.features.Image,
        "encode_example",
        lambda self, image: encode(self, image)[: 60 if image[0, 0, 0] == 7 else None],
    )
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
            "label": tfds.features.ClassLabel(names=["a", "b"]),
        }
    )
    pictures = [picture(seed=number) for number in range(4)]
    pictures[2][0, 0, 0] = 7
    examples = [{"image": one, "label": n % 2} for n, one in enumerate(pictures)]
    write_tfds(tmp_path, "figures", {"train": examples}, features)
    folder = tmp_path / "figures"
    name = "figures-train.tfrecord-00000-of-00001__2"
    with pytest.raises(ValueError, match=f"1 of 4 images of 'train'.*{name}: .*PNG"):
        data.verify(folder)
    found = data.verify(folder, on_bad_record="skip")
    assert found.class_counts == (1, 2)
    assert len(list(data.load(folder, image_size=16, on_bad_record="skip"))) == 3


@pytest.fixture(scope="module")
def classifier():
    images = keras.Input((16, 16, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(images))
    return keras.Model(images, keras.layers.Dense(2)(x))


def test_an_evaluation_names_them_before_it_begins_or_says_what_it_left_out(
    damage, classifier
):
    options = {"split": "train", "metrics": "accuracy", "verbose": 0}
    with pytest.raises(ValueError, match=r"2 of 8 images of 'train'.*[12].png"):
        evaluate(classifier, damage, **options)
    report = evaluate(classifier, damage, on_bad_record="skip", **options).to_dict()
    assert any("2 of 8 images" in note for note in report["notes"])


def test_a_batch_that_cannot_be_read_names_its_file(damage, classifier):
    dataset = data.load(damage, image_size=16, batch_size=8)
    with pytest.raises(ValueError, match="image file cannot be read.*Received: '.*png"):
        evaluate(classifier, dataset, "accuracy", verbose=0)


def test_what_is_no_image_by_its_name_is_counted_and_told(image_folder, picture):
    folder = image_folder({"a": 2, "b": 2, "photographs/deep": 2})
    (folder / "a" / "notes.TXT").write_text("")
    (folder / "b" / "photo.heic").write_text("")
    (folder / "a" / ".hidden").write_text("")
    (folder / "b" / "0.png").rename(folder / "loose.png")
    (folder / "b" / "broken.png").symlink_to("nowhere")
    with pytest.warns(UserWarning) as told:
        info = data.info(folder)
    assert info.splits == {"train": 6}
    (text,) = [str(one.message) for one in told]
    assert "2 files not named as an image (.txt, .heic)" in text
    assert f"images in no class folder: 1, as {folder / 'loose.png'}" in text
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="broken.png: No s"):
        data.verify(folder)


def test_backgrounds_tell_what_is_no_image_by_its_name(image_folder):
    folder = image_folder({"a": 2})
    (folder / "notes.txt").write_text("")
    with pytest.warns(UserWarning, match="1 file not named as an image"):
        assert len(data.backgrounds(folder, 16)) == 2


def test_order_and_labels_stay_where_something_is_left_out(damage):
    labels = [int(label) for _, label in data.load(damage, "test", image_size=16)]
    data.verify(damage, on_bad_record="skip")
    kept = data.load(damage, "train+test", image_size=16, on_bad_record="error")
    assert len(kept) == 12 and np.bincount(labels).tolist() == [2, 2]
