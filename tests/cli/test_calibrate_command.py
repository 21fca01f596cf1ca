import re

import keras
import numpy as np
import pytest

from keras_xcons import cli, models
from tests.cli.process import pictures


def save(places, symmetric, seed=0):
    keras.utils.set_random_seed(seed)
    model = models.create("small_cnn", 3, 64, width=4)
    for weight in model.weights:
        if symmetric and len(weight.shape) == 4:
            kernel = np.asarray(weight)
            kernel = kernel + kernel[::-1]
            weight.assign((kernel + kernel[:, ::-1]) / 4)
    model.save(places / "mine.keras")
    return "mine.keras"


@pytest.fixture
def saved(places):
    return save(places, symmetric=True)


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


def test_an_offset_in_doubt_is_not_printed_to_be_used(places, capsys):
    # Kernels of random weights look elsewhere in a mirror image.
    saved = save(places, symmetric=False, seed=1)
    with pytest.warns(UserWarning, match="not known, and not remembered"):
        assert cli.main(["calibrate", saved, str(pictures(places, 12))]) == 0
    out = capsys.readouterr().out
    assert out.endswith("The offset is not known.\n") and "--align" not in out


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
