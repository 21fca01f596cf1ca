import re

import pytest

from keras_xcons import cli, models
from tests.cli.process import pictures


@pytest.fixture
def saved(places):
    models.create("small_cnn", 3, 64, width=4).save(places / "mine.keras")
    return "mine.keras"


def test_a_data_set_and_its_files_are_measured_alike(saved, places, capsys):
    folder = pictures(places, 12)
    found = []
    # An image counts once, however often it is meant.
    twice = [f"{folder}/train", f"{folder}/train/disc/0.png", f"{folder}/./train"]
    for source in ([f"--dataset={folder}"], twice):
        assert cli.main(["calibrate", saved, *source]) == 0
        found.append(capsys.readouterr().out)
    for out in found:
        rows, columns, told, flag = out.splitlines()[-4:]
        number = r"[+-]\d+\.\d\d"
        assert re.fullmatch(rf"rows +{number} px  \[{number}, {number}\]", rows)
        assert columns.startswith("columns ") and "12 images of 64 x 64 px" in told
        assert flag.startswith("For explain and evaluate, of this model alone: --align")
        assert re.search(r"--align=-?\d+\.\d\d,-?\d+\.\d\d$", flag)
    # The same images, in another order or not.
    assert found[0].splitlines()[-1] == found[1].splitlines()[-1]
    other = [f"{folder}/train", "--images=11", "--feature_layer=block2_relu"]
    assert cli.main(["calibrate", saved, *other]) == 0
    told, flag = capsys.readouterr().out.splitlines()[-2:]
    assert "11 images of" in told
    # `explain` has no flag for another layer.
    assert flag.startswith(
        "For evaluate, of this model alone: --feature_layer=block2_relu --align="
    )


def test_what_cannot_be_calibrated_on_is_refused(saved, places, fails):
    folder = str(pictures(places, 12))
    assert "calibrate takes a model" in fails(["calibrate"], 2)
    assert "Calibrate on a data set, or on image" in fails(["calibrate", saved], 1)
    both = ["calibrate", saved, folder, f"--dataset={folder}"]
    assert "Calibrate on a data set, or on image" in fails(both, 1)
    few = ["calibrate", saved, f"{folder}/train", "--images=9"]
    assert "at least 10 images" in fails(few, 1)
    split = ["calibrate", saved, f"{folder}/train", "--split=test"]
    assert "A split is one of a data set" in fails(split, 1)
    none = ["calibrate", saved, folder, "--images=0"]
    assert "images" in fails(none, 1)
