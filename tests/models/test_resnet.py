"""ResNet-18 and -34 are torchvision's, so that its weights fit."""

import zlib

import numpy as np
import pytest

import keras_xcons as kx
from keras_xcons.models.architectures.torchvision import torchvision_name

# Logits of torchvision 0.29.1's networks with the weights and images made below.
RECORDED = {
    ("resnet18", (64, 64)): (2.53667, 3.44028, -8.88868, 3.35648, -0.81221),
    ("resnet18", (75, 61)): (2.43575, 2.40604, -9.14544, 3.29536, -2.14972),
    ("resnet34", (64, 64)): (6.85817, 17.6806, -40.21885, 8.41826, 3.02851),
    ("resnet34", (75, 61)): (2.55807, 19.52034, -40.55345, 8.30976, 3.42958),
}


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


def state_dict(model):
    """A state dict with torchvision's names and order of axes."""
    found = {"bn1.num_batches_tracked": np.array(0)}
    for weight in model.weights:
        name, shape = torchvision_name(weight.path), tuple(weight.shape)
        if len(shape) == 4:
            shape = shape[3], shape[2], *shape[:2]
        found[name] = value(name, shape if len(shape) == 4 else shape[::-1])
    return found


@pytest.mark.parametrize(("name", "size"), RECORDED, ids=str)
def test_weights_of_torchvision_fit(name, size):
    model = kx.models.create(name, 5, size)
    kx.models.load_torchvision_weights(model, state_dict(model))
    images = np.random.default_rng(0).uniform(0, 255, (1, *size, 3)).astype("float32")
    logits = model(images).numpy()[0]
    np.testing.assert_allclose(logits, RECORDED[name, size], rtol=1e-4, atol=1e-3)


def test_weights_of_torchvision_come_without_their_head_too():
    model, other = (kx.models.create("resnet18", count, 64) for count in (5, 7))
    found, head = state_dict(model), other.get_layer("logits").get_weights()
    with pytest.raises(ValueError, match=r"'fc.weight' .*\(512, 7\).*head=False.*\(5,"):
        kx.models.load_torchvision_weights(other, found)
    kx.models.load_torchvision_weights(other, found, head=False)
    for one, two in zip(head, other.get_layer("logits").get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    np.testing.assert_allclose(
        np.asarray(other.get_layer("conv1_conv").kernel.value)[1, 2, 0],
        found["conv1.weight"][:, 0, 1, 2].astype("float32"),
    )
    del found["layer2.0.downsample.1.bias"]
    before = model.get_weights()
    with pytest.raises(ValueError, match="lacks 'layer2.0.downsample.1.bias'"):
        kx.models.load_torchvision_weights(model, found)
    assert all(map(np.array_equal, before, model.get_weights()))
    with pytest.raises(ValueError, match="no such weight. Received: block"):
        kx.models.load_torchvision_weights(kx.models.create("vgg16", 5, 64), found)
    with pytest.raises(ValueError, match="two convolutions. Received: conv2_block1_3_"):
        torchvision_name("conv2_block1_3_conv/kernel")


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
