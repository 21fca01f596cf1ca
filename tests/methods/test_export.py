"""A trainer is exported as any model is, and served without this package."""

import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

from keras_xcons.methods import PlainModel, XConsModel
from keras_xcons.models import create

SERVE = """
import pathlib, sys
import numpy as np, tensorflow as tf
for folder in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    images, expected = np.load(folder / "images.npy"), np.load(folder / "expected.npy")
    model = tf.saved_model.load(str(folder / "export"))
    served = model.serve(images)
    np.testing.assert_allclose(served, expected, rtol=1e-4, atol=1e-5, err_msg=folder)
    print(folder.name)
assert not [name for name in sys.modules if name.startswith("keras_xcons")]
"""


def logits_loss(binary=False):
    kind = "Binary" if binary else "SparseCategorical"
    return getattr(keras.losses, f"{kind}Crossentropy")(from_logits=True)


def fitted(trainer, arrays, binary=False):
    images, labels = arrays
    labels = labels % 2 if binary else labels
    trainer.compile("adam", logits_loss(binary), run_eagerly=True)
    trainer.fit(images[:12], labels[:12], batch_size=12, verbose=0)
    return trainer


def protopnet():
    return create("protopnet", 5, 16, backbone="small_cnn", prototypes=2, channels=8)


def pair():
    backbone = keras.Sequential(
        [keras.Input((16, 16, 3)), layers.Conv2D(4, 3, activation="relu")]
    )
    return backbone, keras.Sequential(
        [layers.GlobalAveragePooling2D(), layers.Dense(5)]
    )


def loaded(trainer, tmp_path):
    trainer.save(tmp_path / "trainer.keras")
    return keras.saving.load_model(tmp_path / "trainer.keras")


@pytest.fixture(scope="module")
def trainers(build, arrays, tmp_path_factory):
    """Trainers by what they are and what was done with them."""
    keras.utils.set_random_seed(0)
    bytes_in = keras.Sequential(
        [keras.Input((16, 16, 3), dtype="uint8"), layers.Rescaling(1 / 255)]
        + [layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(), layers.Dense(5)]
    )
    return {
        "new": XConsModel(build()),
        "fitted": fitted(XConsModel(build(live=True)), arrays),
        "one output": fitted(XConsModel(build(classes=1)), arrays, binary=True),
        "pair": fitted(XConsModel(pair()), arrays),
        "bytes": fitted(XConsModel(bytes_in), arrays),
        "loaded": loaded(
            fitted(XConsModel(build()), arrays), tmp_path_factory.mktemp("saved")
        ),
        "protopnet": fitted(PlainModel(protopnet()), arrays),
        "xcons protopnet": fitted(XConsModel(protopnet()), arrays),
    }


def test_exports_are_served_without_this_package(trainers, arrays, tmp_path):
    for name, trainer in trainers.items():
        dtype = "uint8" if name == "bytes" else "float32"
        images = np.rint(arrays[0][:3]).astype(dtype)
        folder = tmp_path / "all" / name
        arguments = {"format": "tf_saved_model"} if name == "fitted" else {}
        trainer.export(folder / "export", verbose=False, **arguments)
        np.save(folder / "images.npy", images)
        np.save(folder / "expected.npy", np.array(trainer(images)))
    done = subprocess.run(
        [sys.executable, "-c", SERVE, str(tmp_path / "all")],
        cwd=pathlib.Path(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines() == sorted(trainers)


@pytest.mark.parametrize("name", ["new", "fitted", "loaded", "xcons protopnet"])
def test_shapes_and_summary(name, trainers):
    trainer = trainers[name]
    assert trainer.input_shape == (None, 16, 16, 3)
    assert trainer.output_shape == (None, 5)
    assert trainer.compute_output_shape((12, 16, 16, 3)) == (None, 5)
    lines = []
    trainer.summary(print_fn=lines.append)
    assert "(None, 5)" in "\n".join(lines)
