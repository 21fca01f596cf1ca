"""The flip test: published models, on images that their offset was not measured on."""

import pytest

import keras_xcons as kx
from keras_xcons.recipes.calibrate import images_of


@pytest.mark.parametrize(
    "name, count", [("resnet50_cub", 150), ("mobilenet_v2_cub", 100)]
)
def test_maps_of_mirror_images_are_mirror_images_within_a_pixel(name, count, real_data):
    model, card = kx.load(name), kx.info(name)
    folder = str(real_data / "cub200_first50" / "1.0.0")
    images = images_of(folder, "test", count, card["input_size"])
    # From the nominal place, whatever the model knows of itself.
    found = kx.calibrate(model, images, remember=False)
    for axis in ("rows", "columns"):
        left = getattr(found, axis) - card["offset"][axis]
        assert abs(left) < 1.0, (axis, left)
    height, width = card["input_size"]
    known = kx.split(model).frame.offset((height, width))
    assert known == pytest.approx((card["offset"]["rows"], card["offset"]["columns"]))
