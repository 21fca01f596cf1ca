"""The networks that keras.applications lacks, against what is published of them."""

import keras
import numpy as np
import pytest

from keras_xcons.models.architectures import create


def trainable(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def layers(model, kind):
    return [layer for layer in model.layers if isinstance(layer, kind)]


@pytest.mark.parametrize(
    "architecture, published", [("resnet18", 11_689_512), ("resnet34", 21_797_672)]
)
def test_resnets_have_the_published_number_of_parameters(architecture, published):
    """Those of torchvision's networks, 1000 classes."""
    model = create(architecture, num_classes=1000, input_size=32)
    assert trainable(model) == published


@pytest.mark.parametrize(
    "architecture, blocks", [("resnet18", (2, 2, 2, 2)), ("resnet34", (3, 4, 6, 3))]
)
def test_resnets_are_built_as_in_the_paper(architecture, blocks):
    """Table 1 of He et al. 2015: sizes at 224 px, channels and blocks of a stage."""
    model = create(architecture, num_classes=2, input_size=224)
    convolutions = layers(model, keras.layers.Conv2D)
    # Two a block and the first; a 1x1 shortcut where a stage gets smaller.
    assert len(convolutions) == 2 * sum(blocks) + 1 + 3
    assert model.get_layer("conv1_relu").output.shape == (None, 112, 112, 64)
    assert model.get_layer("pool1_pool").output.shape == (None, 56, 56, 64)
    for stage, count in enumerate(blocks, start=2):
        side, channels = 224 // 2**stage, 32 * 2 ** (stage - 1)
        for block in range(1, count + 1):
            name = f"conv{stage}_block{block}"
            smaller = stage > 2 and block == 1
            for part, size in (("1", 3), ("2", 3), ("0", 1)):
                if part == "0" and not smaller:
                    assert f"{name}_0_conv" not in [one.name for one in convolutions]
                    continue
                layer = model.get_layer(f"{name}_{part}_conv")
                assert layer.kernel_size == (size, size)
                assert layer.strides == ((2, 2) if smaller and part != "2" else (1, 1))
            shape = model.get_layer(f"{name}_out").output.shape
            assert shape == (None, side, side, channels)
    assert f"conv{stage}_block{count + 1}_out" not in [one.name for one in model.layers]
    assert model.get_layer("features").output.shape == (None, 7, 7, 512)


@pytest.mark.parametrize("block", ["conv2_block1", "conv3_block1"])
def test_a_resnet_block_adds_its_input(block, built, random_images, outputs):
    model, images = built("resnet18", 64), random_images(64)
    before = {"conv2_block1": "pool1_pool", "conv3_block1": "conv3_block1_0_bn"}[block]
    inner = np.maximum(outputs(model, f"{block}_1_bn", images), 0)
    np.testing.assert_array_equal(outputs(model, f"{block}_1_relu", images), inner)
    total = outputs(model, before, images) + outputs(model, f"{block}_2_bn", images)
    assert total.min() < 0
    found = outputs(model, f"{block}_out", images)
    np.testing.assert_array_equal(found, np.maximum(total, 0))


def test_resnet_stem_pads_as_the_deeper_ones_of_keras_do(built):
    ours, theirs = built("resnet18", 64), built("resnet50", 64)
    for name in ("conv1_pad", "pool1_pad", "pool1_pool", "conv1_conv"):
        left, right = (model.get_layer(name) for model in (ours, theirs))
        assert type(left) is type(right)
        assert left.output.shape == right.output.shape
        for key in ("padding", "strides", "pool_size", "kernel_size"):
            assert getattr(left, key, None) == getattr(right, key, None)


def test_vgg16_has_the_parameters_of_its_layers():
    """13 convolutions: 14,714,688 parameters with bias, of one for each channel.

    With batch normalisation a scale and an offset a channel are in the place of that.
    """
    channels = 2 * 64 + 2 * 128 + 3 * 256 + 6 * 512
    head = 512 * 10 + 10
    plain = create("vgg16", 10, 32, batch_norm=False)
    assert trainable(plain) == 14_714_688 + head
    assert trainable(create("vgg16", 10, 32)) == 14_714_688 + channels + head


def test_vgg16_normalises_after_every_convolution_and_halves_five_times():
    model = create("vgg16", num_classes=2, input_size=224)
    body = [type(layer).__name__ for layer in model.layers]
    body = body[body.index("Conv2D") : -3]
    block = ["Conv2D", "BatchNormalization", "ReLU"]
    expected = []
    for count in (2, 2, 3, 3, 3):
        expected += [*(block * count), "MaxPooling2D"]
    assert body == expected
    assert model.get_layer("features").output.shape == (None, 7, 7, 512)


def test_small_cnn_fits_the_shapes_set():
    model = create("small_cnn", num_classes=10, input_size=64)
    assert model.get_layer("features").output.shape == (None, 8, 8, 64)
    # Kernels of 3x3, a scale and an offset a channel, and the last layer.
    kernels = 9 * (3 * 16 + 16 * 32 + 32 * 48 + 48 * 64)
    assert trainable(model) == kernels + 2 * (16 + 32 + 48 + 64) + 64 * 10 + 10
    momenta = {one.momentum for one in layers(model, keras.layers.BatchNormalization)}
    assert momenta == {0.9}
