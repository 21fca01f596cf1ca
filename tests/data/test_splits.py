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


@pytest.mark.parametrize("split", ["test[:22]", "train[60:70]", "train+test[30:]"])
def test_slices_beyond_a_split_tell_its_size(split):
    with pytest.raises(ValueError, match="here of 50 train, 21 test examples"):
        splits.ranges(split, SIZES)


@pytest.mark.parametrize("split", ["train[5:5]", "test[:0%]"])
def test_empty_splits_are_refused(split):
    with pytest.raises(ValueError, match="selects no image. Received: split='t"):
        splits.ranges(split, SIZES)


@pytest.mark.parametrize("split", [None, 3, ["train"]])
def test_what_is_no_string_is_refused(split):
    with pytest.raises(TypeError, match="`split` must be a string"):
        splits.ranges(split, SIZES)


@pytest.mark.parametrize("count, blocks", [(4, 2), (7, 3), (99, 20), (1, 20)])
def test_a_spread_part_reaches_over_the_whole_split(count, blocks):
    sizes = {"train": 100, "test": 50}
    found = splits.ranges(splits.spread("train", sizes, count, blocks), sizes)
    places = [place for _, start, stop in found for place in range(start, stop)]
    assert len(places) == len(set(places)) == count
    runs = min(blocks, count)
    assert [start for _, start, _ in found] == [100 * k // runs for k in range(runs)]


def test_a_spread_part_of_parts_and_of_too_few():
    sizes = {"train": 100, "test": 50}
    assert splits.spread("train", sizes, 100) == "train"
    part = splits.spread("train[50:]+test", sizes, 10, blocks=5)
    found = splits.ranges(part, sizes)
    assert {name for name, _, _ in found} == {"train", "test"}
    assert sum(stop - start for _, start, stop in found) == 10
    assert min(start for name, start, _ in found if name == "train") == 50
