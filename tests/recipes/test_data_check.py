"""Data that cannot be used are found before anything is trained."""

import pytest

from keras_xcons import data, recipes
from keras_xcons.recipes import TrainOptions
from keras_xcons.recipes.data_check import check_data

COUNTS = {"train/blue": 3, "train/red": 3, "test/blue": 2, "test/red": 2}


@pytest.fixture
def train(tmp_path, monkeypatch):
    """`train(folder)`: what a run says that may not train anything."""
    from keras_xcons.recipes.progress import Progress

    def refuse(self, run, function):
        raise AssertionError("it trains")

    monkeypatch.setattr(Progress, "resume", refuse)

    def run(folder, **options):
        options = {"image_size": 16, "batch_size": 2, "epochs": 1, **options}
        options = TrainOptions(str(folder), output=str(tmp_path / "run"), **options)
        lines = []
        with pytest.raises((ValueError, AssertionError)) as told:
            recipes.train(options, lines.append)
        return str(told.value), "\n".join(lines)

    return run


@pytest.mark.parametrize("name", ["train/red/1.png", "test/blue/0.png"])
def test_a_truncated_image_of_any_split(name, train, write_pictures, tmp_path):
    folder = write_pictures(tmp_path / "data", COUNTS)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    split, count = (name.split("/")[0], 6 if name.startswith("train") else 4)
    words = f"1 of {count} images of {split!r} cannot be read: {folder / name}: "
    error, _ = train(folder)
    assert error.startswith(words) and "\n" not in error
    error, lines = train(folder, on_bad_record="skip")
    assert error == "it trains" and f"Left out: {words}" in lines


@pytest.mark.parametrize(
    "counts, words",
    [
        ({"train/red": 2, "test/red": 2}, "2 images of 'train', all of one class"),
        ({"train/red": 2, "test/blue": 1}, "2 images of 'train', all of one class"),
        (
            {"train/red": 2, "train/blue": 2, "test/red": 0},
            "The split selects no image. Received: split='test'",
        ),
    ],
)
def test_classes_and_splits_that_are_not_enough(
    counts, words, train, write_pictures, tmp_path
):
    error, _ = train(write_pictures(tmp_path / "data", counts))
    assert words in error


def test_classes_that_a_split_lacks_are_named(train, write_pictures, tmp_path):
    counts = {**COUNTS, "train/green": 2}
    error, lines = train(write_pictures(tmp_path / "data", counts))
    assert error == "it trains"
    assert "No image in 'test' of 1 of 3 classes: green" in lines


def test_drawn_images_need_no_look():
    lines = []
    check_data("shapes", data.info("shapes"), ["train", "original"], lines.append)
    assert lines == []
