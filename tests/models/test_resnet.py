"""ResNet-18 and -34 are torchvision's, so that its weights fit."""

import zlib

import numpy as np
import pytest

import keras_xcons as kx

# Logits of torchvision 0.29.1's networks with the weights and images made below.
RECORDED = {
    ("resnet18", (64, 64)): (2.53667, 3.44028, -8.88868, 3.35648, -0.81221),
    ("resnet18", (75, 61)): (2.43575, 2.40604, -9.14544, 3.29536, -2.14972),
    ("resnet34", (64, 64)): (6.85817, 17.6806, -40.21885, 8.41826, 3.02851),
    ("resnet34", (75, 61)): (2.55807, 19.52034, -40.55345, 8.30976, 3.42958),
}
PARTS = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "bias": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def torch_name(path):
    """What a weight is called in torchvision's state dict: `layer1.0.conv1.weight`."""
    layer, part = path.split("/")
    if layer == "logits":
        return f"fc.{PARTS[part]}"
    *block, kind = layer.removeprefix("conv").split("_")
    kind = {"conv": "conv", "bn": "bn"}[kind]
    if block == ["1"]:
        return f"{kind}1.{PARTS[part]}"
    stage, number, place = int(block[0]), int(block[1].removeprefix("block")), block[2]
    where = f"layer{stage - 1}.{number - 1}"
    if place == "0":
        return f"{where}.downsample.{0 if kind == 'conv' else 1}.{PARTS[part]}"
    return f"{where}.{kind}{place}.{PARTS[part]}"


def value(name, shape):
    """Values of a weight in torchvision's order of axes, drawn by its name."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("running_var"):
        return random.uniform(0.5, 1.5, shape)
    if name.endswith("running_mean"):
        return random.normal(0, 0.1, shape)
    if len(shape) == 1:
        if name.endswith("weight"):
            return random.uniform(0.5, 1.0, shape)
        return random.normal(0, 0.1, shape)
    return random.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape)


def load(model):
    for weight in model.weights:
        name, shape = torch_name(weight.path), tuple(weight.shape)
        if len(shape) == 4:  # (h, w, in, out), there (out, in, h, w)
            new = value(name, (shape[3], shape[2], *shape[:2])).transpose(2, 3, 1, 0)
        else:
            new = value(name, shape[::-1]).T
        weight.assign(new)


@pytest.mark.parametrize(("name", "size"), RECORDED, ids=str)
def test_weights_of_torchvision_fit(name, size):
    model = kx.models.create(name, 5, size)
    load(model)
    images = np.random.default_rng(0).uniform(0, 255, (1, *size, 3)).astype("float32")
    logits = model(images).numpy()[0]
    np.testing.assert_allclose(logits, RECORDED[name, size], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", ["resnet18", "resnet34"])
def test_branches_of_a_strided_block_meet(name):
    # What both branches see lies a cell's half less half a pixel before the cell.
    view = kx.split(kx.models.create(name, 5, 96), align="geometric")
    assert view.frame.offset((96, 96)) == (-15.5, -15.5)
    older = kx.models.create(name, 5, 96, variant="keras")
    assert kx.split(older, align="geometric").frame.offset((96, 96)) == (-1.5, -1.5)


def test_both_variants_take_the_same_weights():
    new, old = (
        kx.models.create("resnet18", 5, 64, variant=variant)
        for variant in ("torchvision", "keras")
    )
    assert [w.path for w in new.weights] == [w.path for w in old.weights]
    assert [w.shape for w in new.weights] == [w.shape for w in old.weights]
    with pytest.raises(ValueError, match="Unknown variant. Accepted: .*keras"):
        kx.models.create("resnet18", 5, 64, variant="caffe")
