import pytest

from keras_xcons.data import splits

SIZES = {"train": 50, "test": 21}


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("train", [("train", 0, 50)]),
        ("test[:10]", [("test", 0, 10)]),
        ("test[-5:]", [("test", 16, 21)]),
        ("test[50%:]", [("test", 10, 21)]),
        ("train[10:20]+test", [("train", 10, 20), ("test", 0, 21)]),
        ("all", [("train", 0, 50), ("test", 0, 21)]),
    ],
)
def test_ranges(split, expected):
    assert splits.ranges(split, SIZES) == expected


def test_percentages_of_a_split_meet():
    first, second = (splits.ranges(s, SIZES)[0] for s in ("test[:33%]", "test[33%:]"))
    assert first[2] == second[1]


@pytest.mark.parametrize("split", ["trian", "train+val", "val[:10%]", ""])
def test_unknown_splits_are_refused(split):
    with pytest.raises(ValueError, match="Unknown split.*Accepted: 'test', 'train'"):
        splits.ranges(split, SIZES)


@pytest.mark.parametrize("split", ["train[", "train[1:2:3]", "train[a:b]", "train[]"])
def test_malformed_splits_are_refused(split):
    with pytest.raises(ValueError, match="A split is a name, a slice.*Received: split"):
        splits.ranges(split, SIZES)


@pytest.mark.parametrize("split", ["train[5:5]", "test[:0%]"])
def test_empty_splits_are_refused(split):
    with pytest.raises(ValueError, match="selects no image. Received: split='t"):
        splits.ranges(split, SIZES)


@pytest.mark.parametrize("split", [None, 3, ["train"]])
def test_what_is_no_string_is_refused(split):
    with pytest.raises(TypeError, match="`split` must be a string"):
        splits.ranges(split, SIZES)
