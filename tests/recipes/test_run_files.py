import errno
import os
import tempfile

import keras
import numpy as np
import pytest

from keras_xcons.recipes import run_files, writable_folder


@pytest.fixture
def model():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])


def test_folder_is_made_with_its_parents_and_left_empty(tmp_path):
    for _ in range(2):
        assert writable_folder(str(tmp_path / "a" / "b")) == tmp_path / "a" / "b"
        assert list((tmp_path / "a" / "b").iterdir()) == []


def test_folder_that_takes_no_file_is_refused(tmp_path, monkeypatch):
    def fail(**_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "TemporaryFile", fail)
    message = f"can be written to .Read-only file system.*output='{tmp_path}'"
    with pytest.raises(OSError, match=message):
        writable_folder(tmp_path)


def test_model_is_saved_whole_or_not_at_all(model, tmp_path, monkeypatch):
    path = tmp_path / "model.keras"
    run_files.save_model(model, path)
    assert [one.name for one in tmp_path.iterdir()] == ["model.keras"]
    before = path.read_bytes()

    def break_off(_, unfinished):
        unfinished.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(keras.Model, "save", break_off)
    with pytest.raises(KeyboardInterrupt):
        run_files.save_model(model, path)
    assert [one.name for one in tmp_path.iterdir()] == ["model.keras"]
    assert path.read_bytes() == before
    loaded = keras.saving.load_model(path)
    for left, right in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)
