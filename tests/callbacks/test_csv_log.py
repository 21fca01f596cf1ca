import csv

import keras
import numpy as np
import pytest

from keras_xcons.callbacks import FigureLogger
from keras_xcons.methods import XConsModel


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def run(callback, epochs):
    """Runs epochs of `(number, logs)`."""
    callback.on_train_begin()
    for epoch, logs in epochs:
        callback.on_epoch_end(epoch, logs)
    callback.on_train_end()


def test_a_figure_that_comes_later_has_its_column(tmp_path):
    path = tmp_path / "log.csv"
    epochs = [(0, {"loss": 1.5}), (1, {"loss": 1.0, "E": 0.25}), (2, {"loss": 0.5})]
    run(FigureLogger(path), epochs)
    assert path.read_text().splitlines() == [
        "epoch,loss,E",
        "0,1.5,",
        "1,1.0,0.25",
        "2,0.5,",
    ]
    assert [file.name for file in tmp_path.iterdir()] == ["log.csv"]


def test_the_file_is_whole_after_each_epoch(tmp_path):
    path = tmp_path / "log.csv"
    callback = FigureLogger(path)
    callback.on_train_begin()
    for epoch in range(3):
        callback.on_epoch_end(epoch, {"loss": 0.5, f"figure {epoch}": 1.0})
        rows = read(path)
        assert len(rows) == epoch + 1 and len(rows[0]) == epoch + 3


def test_an_epoch_that_is_run_again_replaces_its_row(tmp_path):
    path = tmp_path / "log.csv"
    run(FigureLogger(path), [(0, {"loss": 3.0}), (1, {"loss": 2.0, "E": 0.1})])
    run(FigureLogger(path, append=True), [(1, {"loss": 1.9}), (2, {"lr": 0.1})])
    assert read(path) == [
        {"epoch": "0", "loss": "3.0", "E": "", "lr": ""},
        {"epoch": "1", "loss": "1.9", "E": "", "lr": ""},
        {"epoch": "2", "loss": "", "E": "", "lr": "0.1"},
    ]


def test_a_figure_that_is_called_like_a_formula_keeps_its_column(tmp_path):
    path = tmp_path / "log.csv"
    for epoch in (0, 1):
        log = FigureLogger(path, append=True)
        log.on_train_begin()
        log.on_epoch_end(epoch, {"=1+1": -0.5, "note": "@SUM(A1)"})
    assert path.read_text().splitlines() == [
        "epoch,'=1+1,note",
        "0,-0.5,'@SUM(A1)",
        "1,-0.5,'@SUM(A1)",
    ]


def test_a_new_log_replaces_an_old_one(tmp_path):
    path = tmp_path / "log.csv"
    run(FigureLogger(path), [(0, {"loss": 3.0}), (1, {"loss": 2.0})])
    callback = FigureLogger(path)
    run(callback, [(0, {"accuracy": 0.5})])
    assert read(path) == [{"epoch": "0", "accuracy": "0.5"}]
    run(callback, [(4, {"loss": 1.0})])
    assert read(path) == [{"epoch": "4", "loss": "1.0"}]


def test_an_empty_or_missing_file_is_appended_to(tmp_path):
    (tmp_path / "empty.csv").touch()
    for name in ("empty.csv", "missing.csv"):
        run(FigureLogger(tmp_path / name, append=True), [(3, {"loss": 0.5})])
        assert read(tmp_path / name) == [{"epoch": "3", "loss": "0.5"}]


def test_values_that_are_no_floats(tmp_path):
    path = tmp_path / "log.csv"
    logs = {"scalar": np.float32(0.5), "list": np.array([1, 2]), "text": "a,b"}
    run(FigureLogger(path), [(np.int64(0), logs), (1, None)])
    assert read(path)[0] == {
        "epoch": "0",
        "scalar": "0.5",
        "list": "[1, 2]",
        "text": "a,b",
    }


class Breaks(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 2:
            raise RuntimeError("power cut")


@pytest.mark.parametrize("behind", [True, False])
def test_a_run_that_is_resumed(behind, tmp_path, build, shapes):
    """The lost epoch has a row already where the log is `behind` the backup."""
    path = tmp_path / "log.csv"

    def fit(*more):
        how = {"preset": "paper", "schedule": "epoch", "sweep_every": 2}
        trainer = XConsModel(build(compiled=False), num_samples=20, **how)
        trainer.compile("adam", keras.losses.SparseCategoricalCrossentropy(True))
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        log = FigureLogger(path, append=True)
        order = [log, *more, backup] if behind else [*more, log, backup]
        trainer.fit(dataset, epochs=4, verbose=0, callbacks=order)

    from keras_xcons.data import with_sample_ids

    dataset = with_sample_ids(shapes(20, annotations=False))
    with pytest.raises(RuntimeError, match="power cut"):
        fit(Breaks())
    assert len(read(path)) == (3 if behind else 2)
    fit()
    rows = read(path)
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3"]
    # Each tells of the last sweep, and the first of none.
    told = [float(row["consistency"]) for row in rows]
    assert np.isnan(told[0]) and told[1] == told[2] != told[3]
    assert all(float(row["loss"]) > 0 for row in rows)


def test_bad_input_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="folder of the log.*nowhere"):
        FigureLogger(tmp_path / "nowhere" / "log.csv")
    with pytest.raises(IsADirectoryError, match="not a folder. Received: path="):
        FigureLogger(tmp_path)
    path = tmp_path / "other.csv"
    for text in ("name,size\na,1\n", "epoch,loss\none,2\n", "epoch,loss\n,2\n"):
        path.write_text(text)
        with pytest.raises(ValueError, match="column 'epoch' of whole numbers"):
            FigureLogger(path, append=True).on_train_begin()
        assert path.read_text() == text


def test_a_row_without_room_in_the_columns_is_refused(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("epoch,a\n0,1,2\n")
    with pytest.raises(ValueError, match=r"a column for each value.*\['epoch', 'a'\]"):
        FigureLogger(path, append=True).on_train_begin()
    assert path.read_text() == "epoch,a\n0,1,2\n"
    path.write_text("epoch,a,b\n0,1\n")  # a shorter one can be filled
    run(FigureLogger(path, append=True), [(1, {"b": 2.0})])
    assert path.read_text().splitlines() == ["epoch,a,b", "0,1,", "1,,2.0"]
