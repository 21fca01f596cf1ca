import numpy as np
import pytest

from keras_xcons import data


def test_a_folder_of_class_folders_is_one_split(image_folder):
    folder = image_folder({"cat": 3, "dog": 2, ".git": 1, "__MACOSX": 1})
    info = data.info(folder)
    assert info == data.DatasetInfo(
        folder.name, ("cat", "dog"), {"train": 5}, None, False
    )
    labels = [int(label) for _, label in data.load(folder, image_size=32)]
    assert sorted(labels) == [0, 0, 0, 1, 1]


def test_images_go_with_their_labels(image_folder, picture):
    folder = image_folder({"cat": 2, "dog": 3})
    dataset = data.load(str(folder), image_size=None)
    pictures = [picture(seed=seed) for seed in range(1, 6)]
    found = set()
    for image, label in dataset:
        (place,) = [i for i, p in enumerate(pictures) if np.array_equal(p, image)]
        assert label == (place >= 2)
        found.add(place)
    assert found == set(range(5))


@pytest.mark.parametrize("validation", ["val", "valid", "validation"])
def test_split_folders(validation, image_folder):
    counts = {"train/a": 3, "train/b": 3, f"{validation}/b": 2, "test/a": 1}
    folder = image_folder(counts)
    info = data.info(folder)
    assert info.splits == {"test": 1, "train": 6, "validation": 2}
    # A class that a split lacks keeps its number.
    labels = [int(label) for _, label in data.load(folder, "validation")]
    assert info.class_names == ("a", "b") and labels == [1, 1]


def test_a_class_may_be_called_train(image_folder):
    info = data.info(image_folder({"train": 2, "tram": 1}))
    assert info.class_names == ("train", "tram") and info.splits == {"train": 3}


def test_the_order_is_fixed_and_mixed(image_folder):
    folder = image_folder({"a": 8, "b": 8})
    first, again = (
        [int(label) for _, label in data.load(folder, image_size=16)] for _ in range(2)
    )
    assert first == again != sorted(first)
    # Slices are parts of that order.
    parts = [
        int(label)
        for split in ("train[:75%]", "train[75%:]")
        for _, label in data.load(folder, split, image_size=16)
    ]
    assert parts == first
    assert set(first[:8]) == {0, 1}


def test_a_folder_without_class_folders(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    message = "holds no class folders. Accepted: a TFDS directory.*Received: directory"
    with pytest.raises(ValueError, match=message):
        data.load(tmp_path)


def test_a_folder_of_images_alone(image_folder):
    folder = image_folder({"all": 2}) / "all"
    with pytest.raises(ValueError, match="no class folders.*keras_xcons.data.backgrou"):
        data.info(folder)


def test_a_class_without_images(image_folder):
    folder = image_folder({"cat": 2, "dog": 0})
    with pytest.raises(ValueError, match="'dog' holds no image.*.jpg.*Received: direc"):
        data.load(folder)


def test_unknown_splits_are_refused(image_folder):
    with pytest.raises(ValueError, match="Accepted: 'train'. Received: split='test'"):
        data.load(image_folder({"cat": 1}), "test")


def test_annotations_are_refused(image_folder):
    with pytest.raises(ValueError, match="has neither boxes nor masks"):
        data.load(image_folder({"cat": 1}), annotations=True)


@pytest.mark.parametrize(
    ("counts", "splits"),
    [
        ({"Train/a": 2, "TEST/a": 1}, {"train": 2, "test": 1}),
        ({"val/a": 2, "test/a": 1}, {"validation": 2, "test": 1}),
        ({"test/a": 2}, {"test": 2}),
        ({"test": 2, "cat": 1, "Train": 1}, {"train": 4}),
    ],
    ids=["any case", "no train", "only test", "classes of these names"],
)
def test_splits_are_told_from_classes(image_folder, counts, splits):
    assert data.info(image_folder(counts)).splits == splits


@pytest.mark.parametrize("other", ["heatmaps", "evaluation/deep"])
def test_folders_beside_the_splits_are_left_out_and_named(image_folder, other):
    folder = image_folder({"train/a": 2, "test/a": 1, other: 1})
    name = other.partition("/")[0]
    with pytest.warns(UserWarning, match=f"Left out of .*beside.* splits: {name}/"):
        info = data.info(folder)
    assert info.splits == {"train": 2, "test": 1} and info.class_names == ("a",)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"train/a": 1, "val/a": 1, "valid/a": 1}, "'validation': val/, valid/. Put"),
        ({"train/a": 1, "test": 1}, "whether train/ are .*as test/ holds images in no"),
        ({"test": 1, "test/old": 1, "cat": 1}, "whether test/, cat/ are .*as test/"),
        ({"test/cat": 1, "cat": 1}, "cat/ lie beside the split folders test/.*Move"),
    ],
    ids=["two validations", "unsorted test images", "both", "classes beside a split"],
)
def test_what_cannot_be_decided_is_refused_by_name(image_folder, counts, message):
    folder = image_folder(counts)
    with pytest.raises(ValueError, match=f"{message}.*Received: directory="):
        data.info(folder)


def test_the_order_is_not_what_others_draw(image_folder):
    """Who takes the first of a permutation by a small seed gets files at random."""
    folder = image_folder({"cat": 10, "dog": 10})
    labels = np.array([int(label) for _, label in data.load(folder, image_size=16)])
    for seed in range(20):
        drawn = labels[np.argsort(np.random.default_rng(seed).permutation(20))[:10]]
        assert 0 < drawn.sum() < 10, seed
