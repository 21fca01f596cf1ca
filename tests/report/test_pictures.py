import base64
import io

import numpy as np
import pytest
from PIL import Image

from keras_xcons.report import Sample, pictures


def opened(uri):
    head, _, content = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(content)))


def sample(boxes=None, mask=None, size=(10, 20)):
    image = np.zeros((*size, 3), "uint8")
    return Sample(0, "cat", image, boxes, mask, {})


@pytest.mark.parametrize(
    ("size", "written"), [((448, 300), (150, 224)), ((30, 40), (40, 30))]
)
def test_pictures_are_small_and_never_enlarged(size, written):
    picture = np.full((*size, 3), (200, 30, 30), "uint8")
    with opened(pictures.data_uri(picture)) as found:
        assert found.size == written
        np.testing.assert_allclose(np.asarray(found)[3, 3], [200, 30, 30], atol=3)


def test_boxes_are_outlined_in_pixels_and_padding_is_not():
    boxes = [[0.2, 0.1, 0.8, 0.55], [0.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.5, 0.9]]
    found = pictures.outline(sample(boxes=np.array(boxes)))
    assert found == {"path": "M2 2H11V8H2Z", "width": 20, "height": 10}


def test_masks_are_outlined_along_their_pixels():
    mask = np.zeros((10, 20), bool)
    mask[2:4, 5:9] = True
    mask[9, 19] = True  # the edge of the image closes the outline
    found = pictures.outline(sample(mask=mask))
    across = "M5 2H9M5 4H9M19 9H20M19 10H20"
    down = "M5 2V4M9 2V4M19 9V10M20 9V10"
    assert found == {"path": across + down, "width": 20, "height": 10}


def test_large_masks_are_made_smaller_and_nothing_has_no_outline():
    mask = np.zeros((448, 896), bool)
    mask[:, :448] = True
    found = pictures.outline(sample(mask=mask, size=(448, 896)))
    assert (found["width"], found["height"]) == (224, 112)
    assert found["path"] == "M0 0H112M0 112H112M0 0V112M112 0V112"
    assert pictures.outline(sample())["path"] == ""
    assert pictures.outline(sample(mask=np.zeros((10, 20), bool)))["path"] == ""
