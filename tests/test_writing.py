import pytest

from keras_xcons.writing import whole_file


def test_a_file_takes_its_place_when_it_is_whole(tmp_path):
    path = tmp_path / "figures.csv"
    path.write_text("old")
    with whole_file(path) as unfinished:
        assert unfinished.parent == tmp_path and unfinished.suffix == ".csv"
        unfinished.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_what_is_not_whole_is_removed_and_an_older_file_stays(error, tmp_path):
    path = tmp_path / "figures.csv"
    path.write_text("old")
    with pytest.raises(error):
        with whole_file(str(path)) as unfinished:
            unfinished.write_text("ne")
            raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["n" * 251 + ".csv", "\udcff" + "n" * 250 + ".csv"])
def test_a_name_may_be_as_long_as_the_file_system_allows(name, tmp_path):
    with whole_file(tmp_path / name) as unfinished:
        unfinished.write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == [name]
