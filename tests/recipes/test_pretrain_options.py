import pathlib

import pytest

from keras_xcons.recipes.pretrain_options import PretrainOptions


@pytest.mark.parametrize(
    "values, error, message",
    [
        ({"model": "resnet"}, ValueError, "Unknown model. Did you mean 'resnet"),
        ({"dtype": "bfloat16"}, ValueError, "Unknown dtype. .*mean 'mixed_bfloat16'"),
        ({"phases": ()}, ValueError, r"`phases` must be pairs.*Received: phases=\(\)"),
        ({"phases": None}, ValueError, "`phases` must be pairs.*phases=None"),
        ({"phases": (32, 8)}, ValueError, r"`phases` must be pairs.*phases=\(32, 8\)"),
        ({"phases": ((32,),)}, ValueError, "`phases` must be pairs"),
        ({"phases": ("32",)}, ValueError, "`phases` must be pairs"),
        ({"phases": ((32, 0),)}, ValueError, "`epochs`.*Received: epochs=0"),
        ({"phases": ((15, 1),)}, ValueError, "`image_size`.*image_size=15"),
        ({"phases": (((32, 32), 1),)}, ValueError, r"image_size=\(32, 32\)"),
        ({"batch_size": 0}, ValueError, "Received: batch_size=0"),
        ({"steps_per_epoch": 0}, ValueError, "Received: steps_per_epoch=0"),
        ({"seed": -1}, ValueError, "Received: seed=-1"),
        ({"optimizer": "adam"}, ValueError, "optimizer='adam'"),
        ({"zero_residual": "no"}, TypeError, "Received: zero_residual='no'"),
        ({"learning_rate": 0.0}, ValueError, "Received: learning_rate=0.0"),
        ({"learning_rate": "1"}, TypeError, "Received: learning_rate='1'"),
        ({"weight_decay": -1.0}, ValueError, "Received: weight_decay=-1.0"),
        ({"label_smoothing": 1.5}, ValueError, "Received: label_smoothing=1.5"),
        ({"label_smoothing": 1}, ValueError, "be below 1. .* label_smoothing=1"),
    ],
)
def test_bad_value_is_refused(values, error, message):
    with pytest.raises(error, match=message):
        PretrainOptions(**{"dataset": "shapes", "model": "small_cnn", **values})


def test_paths_become_strings():
    assert PretrainOptions(pathlib.Path("data"), "small_cnn").dataset == "data"
