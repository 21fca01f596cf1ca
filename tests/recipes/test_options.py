import math
import pathlib

import numpy as np
import pytest

from keras_xcons.options import fields
from keras_xcons.recipes import TrainOptions


def xcons(**options):
    return {"methods": {"xcons": options}}


@pytest.mark.parametrize(
    "values, message",
    [
        (
            {"model": "mobilenet_v3"},
            "Unknown model. Did you mean .*'mobilenet_v3_large'",
        ),
        ({"model": "small-cnn"}, "Did you mean 'small_cnn'.*model='small-cnn'"),
        (
            {"methods": {"xcons": {"schedule": "batches"}}},
            "schedule. Did you mean 'batch'.*'batches'",
        ),
        (
            {"methods": {"xcons": {"sample_weights": "uniformly"}}},
            "sample_weights. Did you mean 'uniform'.*'uniformly'",
        ),
        (
            {"methods": {"xcons": {"weight_scale": "one"}}},
            "weight_scale. Did you mean 'one_plus'.*'one'",
        ),
        (
            {"methods": {"xcons": {"attack": "fgms"}}},
            "Unknown attack. Did you mean 'fgsm'.*attack='fgms'",
        ),
        (
            {"methods": {"xcons": {"epsilon": -1.0}}},
            r"`epsilon` must be within \[0.0, 255.0\].*epsilon=-1.0",
        ),
        (
            {"methods": {"xcons": {"epsilon": 255.5}}},
            "`epsilon`.*Received: epsilon=255.5",
        ),
        (
            {"methods": {"xcons": {"epsilon": math.nan}}},
            "`epsilon`.*Received: epsilon=nan",
        ),
        (
            {"methods": {"xcons": {"threshold": -0.1}}},
            r"`threshold` must be within \[0.0, 1.0\]",
        ),
        (
            {"methods": {"xcons": {"threshold": 1.1}}},
            "`threshold`.*Received: threshold=1.1",
        ),
        (
            {"methods": {"xcons": {"consistency_loss": -1.0}}},
            "`consistency_loss`.*-1.0",
        ),
        (
            {"methods": {"xcons": {"warmup_epochs": -1}}},
            "`warmup_epochs`.*Received: warmup_epochs=-1",
        ),
        ({"epochs": 0}, r"`epochs` must be within \[1, 2147483647\].*epochs=0"),
        ({"methods": {}}, "at least one. Received: methods={}"),
        ({"methods": {"xcon": {}}}, "Unknown method. Did you mean 'xcons'"),
        ({"methods": {"plain": 1}}, "options of 'plain' must be a dict. Received: 1"),
        ({"image_size": 0}, "`image_size`.*Received: image_size=0"),
        ({"image_size": 15}, "`image_size` must be .*16.*Received: image_size=15"),
        ({"batch_size": 0}, "`batch_size`.*Received: batch_size=0"),
        ({"num_samples": 0}, "`num_samples`.*Received: num_samples=0"),
        ({"learning_rate": 0.0}, r"`learning_rate` must be within \(0.0, 2147483647\]"),
        ({"learning_rate": -1e-3}, "`learning_rate`.*learning_rate=-0.001"),
        ({"learning_rate": math.nan}, "`learning_rate`.*learning_rate=nan"),
        ({"weight_decay": -1.0}, "`weight_decay`.*weight_decay=-1.0"),
        ({"label_smoothing": 1.5}, "`label_smoothing`.*label_smoothing=1.5"),
        ({"label_smoothing": 1.0}, "be below 1. Received: label_smoothing=1.0"),
        ({"dtype": "bfloat16"}, "Unknown dtype. .*'mixed_bfloat16'.*dtype='bfloat16'"),
        ({"seed": -1}, "`seed`.*Received: seed=-1"),
        ({"seed": 2**31}, "`seed`.*Received: seed=2147483648"),
        (
            {"dataset": "stl10", "num_samples": 8},
            "`num_samples` is for the shapes set.*num_samples=8 with dataset='stl10'",
        ),
        (
            {"dataset": "stl10", "correlation": 0.0},
            "`correlation` is for the shapes set.*correlation=0.0 with dataset='stl10'",
        ),
        ({"correlation": 1.5}, "`correlation`.*Received: correlation=1.5"),
        ({"correlation": math.nan}, "`correlation`.*Received: correlation=nan"),
    ],
)
def test_bad_value_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        TrainOptions(**values)


@pytest.mark.parametrize("name", ["epochs", "weight_decay", "learning_rate"])
def test_what_is_no_number_is_refused(name):
    with pytest.raises(TypeError, match=f"`{name}` must be a number.*{name}='1'"):
        TrainOptions(**{name: "1"})


@pytest.mark.parametrize(
    "name", ["epochs", "image_size", "batch_size", "num_samples", "seed"]
)
@pytest.mark.parametrize("value", [1.5, 32.0, "32", True])
def test_what_is_counted_is_an_int(name, value):
    message = f"`{name}` must be (an int|a number).*Received: {name}={value!r}"
    with pytest.raises((TypeError, ValueError), match=message):
        TrainOptions(**{name: value})


def test_defaults_on_shapes():
    options = TrainOptions()
    assert (options.dataset, options.model) == ("shapes", "small_cnn")
    assert options.is_shapes
    assert (options.size, options.batch, options.rate) == (64, 64, 2e-3)
    assert not options.augments
    assert not options.freezes
    assert TrainOptions(freeze_batch_norm=True).freezes
    assert options.epochs == 10
    assert options.methods == {"xcons": {}}


def test_defaults_on_other_data():
    options = TrainOptions(dataset="stl10")
    assert not options.is_shapes
    assert (options.size, options.batch, options.rate) == (224, 16, 2e-3)
    assert not options.augments


def test_defaults_with_pretrained_weights():
    options = TrainOptions(dataset="stl10", pretrained="backbone.weights.h5")
    assert options.rate == 3e-5
    assert options.augments
    assert options.freezes
    assert not TrainOptions(pretrained="imagenet", freeze_batch_norm=False).freezes


def test_values_go_before_defaults():
    options = TrainOptions(
        pretrained="backbone.weights.h5",
        image_size=112,
        batch_size=3,
        learning_rate=0.5,
        augment=False,
    )
    assert (options.size, options.batch, options.rate) == (112, 3, 0.5)
    assert not options.augments
    assert TrainOptions(augment=True).augments


def test_options_of_a_method_are_its_own():
    options = TrainOptions(methods={"xcons": {"schedule": "memory"}, "plain": {}})
    assert options.methods == {"xcons": {"schedule": "memory"}, "plain": {}}
    with pytest.raises(TypeError, match="`schedule` is an option of the method 'xcons"):
        TrainOptions(methods={"plain": {"schedule": "memory"}})
    numbers = TrainOptions(methods={"xcons": {"epsilon": np.float32(4.0)}})
    assert type(numbers.methods["xcons"]["epsilon"]) is float
    with pytest.raises(ValueError, match="follows from the data. Received: num_sam"):
        TrainOptions(methods={"xcons": {"num_samples": 3}})
    with pytest.raises(TypeError, match="Unknown option. Did you mean 'epsilon'"):
        TrainOptions(methods={"xcons": {"epsilom": 1.0}})


def test_only_the_training_set_has_the_callers_size():
    options = TrainOptions(num_samples=5, batch_size=2, image_size=16)
    shapes = [tuple(images.shape) for images, _ in options.load("train")]
    assert shapes == [(2, 16, 16, 3), (2, 16, 16, 3), (1, 16, 16, 3)]
    assert len(options.load("original")) == 500


def test_the_correlation_is_that_of_every_split():
    for split in ("train", "original"):
        batches = {
            share: next(
                iter(TrainOptions(image_size=16, correlation=share).load(split))
            )
            for share in (0.0, 0.8, None)
        }
        images = {share: batch[0].numpy() for share, batch in batches.items()}
        np.testing.assert_array_equal(images[0.8], images[None])
        assert np.abs(images[0.0] - images[None]).mean() > 5.0


def test_paths_become_strings():
    options = TrainOptions(
        dataset=pathlib.Path("data"),
        pretrained=pathlib.Path("backbone.h5"),
        output=pathlib.Path("run"),
    )
    assert (options.dataset, options.pretrained) == ("data", "backbone.h5")
    assert options.output == "run"


def test_every_field_has_a_help_text():
    for _, declared in fields(TrainOptions).values():
        assert declared.help.endswith(".")
