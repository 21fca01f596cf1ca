"""A folder of tiny pictures of two classes, and weights to start from."""

import keras
import numpy as np
import pytest
from PIL import Image

from keras_xcons import models
from keras_xcons.recipes import TrainOptions

SIZE = 16


@pytest.fixture(scope="module")
def eager():
    """Runs training steps as they are written: compiling takes far longer here."""
    compile = keras.Model.compile

    def compile_eagerly(model, *arguments, **options):
        compile(model, *arguments, **{**options, "run_eagerly": True})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "compile", compile_eagerly)
        yield


@pytest.fixture(scope="session")
def write_pictures():
    """`write_pictures(folder, {"train/red": 3})` writes that many PNG files each."""

    def write(folder, counts):
        random = np.random.default_rng(0)
        for name, count in counts.items():
            (folder / name).mkdir(parents=True)
            for number in range(count):
                picture = random.integers(0, 120, (20, 24, 3))
                picture[4:14, 6:18, 0 if name.endswith("red") else 2] += 100
                path = folder / name / f"{number}.png"
                Image.fromarray(picture.astype("uint8")).save(path)
        return folder

    return write


@pytest.fixture(scope="session")
def pictures(write_pictures, tmp_path_factory):
    """A folder of 12 + 12 pictures to train on and 3 + 3 to test on."""
    counts = {"train/blue": 12, "train/red": 12, "test/blue": 3, "test/red": 3}
    return write_pictures(tmp_path_factory.mktemp("pictures"), counts)


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """A weights file of a network with moved statistics of batch normalisation."""
    keras.utils.set_random_seed(5)
    model = models.create("small_cnn", 3, SIZE)
    images = np.random.default_rng(0).uniform(0, 255, (8, SIZE, SIZE, 3))
    model(images.astype("float32"), training=True)
    path = tmp_path_factory.mktemp("weights") / "small_cnn.weights.h5"
    model.save_weights(path)
    return str(path)


@pytest.fixture(scope="session")
def picture_options(pictures):
    """`picture_options(epochs=2, …)`: the options of a run on the pictures."""

    def make(**values):
        values = {"image_size": SIZE, "batch_size": 8, "epochs": 1, **values}
        return TrainOptions(dataset=str(pictures), **values)

    return make


@pytest.fixture(scope="session")
def names():
    """`names(folder)`: the names of what lies in a folder, in order."""
    return lambda folder: sorted(path.name for path in folder.iterdir())
