"""The real sets, where KERAS_XCONS_TEST_DATA says there are any."""

import numpy as np
import pytest

from keras_xcons import data

pytestmark = pytest.mark.real_data


@pytest.fixture
def folder(real_data):
    def find(name):
        directory = real_data / name
        if not directory.is_dir():
            pytest.skip(f"there is no {name} in {real_data}")
        return directory

    return find


def test_birds(folder):
    directory = folder("cub200_first50")
    info = data.info(directory / "1.0.0")
    assert info.splits == {"train": 1500, "test": 1389}
    assert info.annotations == "boxes" and len(info.class_names) == 50
    dataset = data.load(
        directory, "test[:24]", image_size=96, batch_size=12, annotations=True
    )
    for images, labels, boxes in dataset:
        assert images.shape == (12, 96, 96, 3) and boxes.shape == (12, 1, 4)
        assert images.numpy().max() > 128
        assert 0 <= labels.numpy().min() and labels.numpy().max() < 50
        top, left, bottom, right = np.moveaxis(boxes.numpy()[:, 0], -1, 0)
        for low, high in ((top, bottom), (left, right)):
            assert (0 <= low).all() and (high <= 1).all() and (high - low > 0.1).all()


def test_pets(folder):
    directory = folder("pets_three")
    info = data.info(directory)
    assert info.splits == {"train": 300, "test": 298}
    assert info.annotations == "masks" and len(info.class_names) == 3
    dataset = data.load(directory, "train[:16]", image_size=96, annotations=True)
    masks = np.stack([mask for _, _, mask in dataset])
    assert set(np.unique(masks)) == {0, 1}
    # The pet fills the middle of its photograph and leaves the edge.
    assert masks[:, 32:64, 32:64].mean() > 0.7
    assert masks[:, 0].mean() < 0.4


def test_tiny_imagenet(folder):
    directory = folder("tiny_imagenet_300")
    info = data.info(directory)
    assert info.splits == {"train": 60000, "validation": 5000}
    assert info.annotations == "boxes" and len(info.class_names) == 200
    image, _, boxes = next(
        iter(data.load(directory, "validation[:4]", image_size=64, annotations=True))
    )
    assert image.shape == (64, 64, 3) and boxes.shape == (1, 4)


def test_backgrounds(folder):
    directory = folder("backgrounds_google")
    with pytest.raises(ValueError, match="no class labels.*keras_xcons.data.backgrou"):
        data.load(directory)
    pictures = data.backgrounds(directory, image_size=64, split="train[:5]")
    assert len(pictures) == 5
    images = np.stack(list(pictures))
    assert images.shape == (5, 64, 64, 3) and images.std() > 20
