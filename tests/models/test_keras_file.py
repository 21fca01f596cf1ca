"""`.keras` files that anybody may have made."""

import io
import json
import tracemalloc
import zipfile

import h5py
import keras
import numpy as np
import pytest

from keras_xcons.models.keras_file import open_keras

CONFIG, WEIGHTS = "config.json", "model.weights.h5"


@pytest.fixture(scope="module")
def model():
    images = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3)(images)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, keras.layers.Dense(2)(x))


@pytest.fixture(scope="module")
def right(model, tmp_path_factory):
    """The members of a right file, by name."""
    path = tmp_path_factory.mktemp("keras") / "right.keras"
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def change_layer(right, kind, **changes):
    config = json.loads(right[CONFIG])
    (layer,) = (one for one in config["config"]["layers"] if one["class_name"] == kind)
    layer["config"].update(changes)
    return {**right, CONFIG: json.dumps(config)}


def change_kernel(right, values):
    content = io.BytesIO(right[WEIGHTS])
    with h5py.File(content, "r+") as file:
        shape = file["layers/conv2d/vars/0"].shape
        del file["layers/conv2d/vars/0"]
        file["layers/conv2d/vars/0"] = np.broadcast_to(values, shape)
    return {**right, WEIGHTS: content.getvalue()}


def damage(right, seed):
    rng = np.random.default_rng(seed)
    members = {name: bytearray(content) for name, content in right.items()}
    for name in (CONFIG, WEIGHTS):
        for place in rng.integers(0, len(members[name]), 8):
            members[name][place] = rng.integers(0, 256)
    return {name: bytes(content) for name, content in members.items()}


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_right_file_is_opened(compression, model, right, tmp_path):
    opened = open_keras(str(write(tmp_path / "x.keras", right, compression)))
    images = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3))
    np.testing.assert_array_equal(opened(images), model(images))


WRONG = {
    "no config": lambda right: {WEIGHTS: right[WEIGHTS]},
    "no weights": lambda right: {CONFIG: right[CONFIG]},
    "other files": lambda right: {"x": "y"},
    "no JSON": lambda right: {**right, CONFIG: "{"},
    "no model": lambda right: {**right, CONFIG: "[1]"},
    "deep": lambda right: {**right, CONFIG: "[" * 100_000},
    "unknown layer": lambda right: {
        **right,
        CONFIG: right[CONFIG].replace(b'"Conv2D"', b'"Conv2\\u001b[2J"'),
    },
    "lambda": lambda right: {
        **right,
        CONFIG: right[CONFIG].replace(b'"GlobalAveragePooling2D"', b'"Lambda"'),
    },
    "no HDF5": lambda right: {**right, WEIGHTS: b"x" * 100},
    "other shapes": lambda right: change_layer(right, "Conv2D", filters=5),
    "bool": lambda right: change_kernel(right, True),
    "complex": lambda right: change_kernel(right, 1 + 2j),
    **{f"damage {n}": lambda right, n=n: damage(right, n) for n in range(8)},
}


@pytest.mark.parametrize("spoil", WRONG.values(), ids=WRONG)
def test_wrong_file_is_named_in_one_line(spoil, right, tmp_path):
    path = write(tmp_path / "x.keras", spoil(right))
    with pytest.raises(ValueError, match="holds no Keras model") as error:
        open_keras(path)
    assert str(error.value).endswith(f"Received: model={str(path)!r}")
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 800


@pytest.mark.parametrize("content", [b"", b"no model", b"PK\3\4"])
def test_what_is_no_archive_is_named(content, tmp_path):
    path = tmp_path / "x.keras"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"holds no Keras model.*{path}"):
        open_keras(path)
    with pytest.raises(FileNotFoundError, match="no such model file.*nowhere.keras"):
        open_keras(tmp_path / "nowhere.keras")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(value, right, tmp_path):
    path = write(tmp_path / "x.keras", change_kernel(right, np.float32(value)))
    with pytest.raises(ValueError, match=f"{path} holds NaN.*in 'conv2d.*/kernel' fi"):
        open_keras(path)


@pytest.mark.parametrize(
    "name, size",
    [
        (CONFIG, 50 << 20),
        ("metadata.json", 50 << 20),
        (WEIGHTS, 50 << 20),
        ("assets/x", 50 << 20),
    ],
)
def test_what_unpacks_to_far_more_is_not_unpacked(name, size, right, tmp_path):
    path = write(tmp_path / "x.keras", {**right, name: b" " * size})
    assert path.stat().st_size < size / 100
    tracemalloc.start()
    try:
        message = f"{name} unpacks to {size} bytes, far more.*Received: model='{path}'"
        with pytest.raises(ValueError, match=message):
            open_keras(path)
        assert tracemalloc.get_traced_memory()[1] < size / 4
    finally:
        tracemalloc.stop()


def test_config_cannot_ask_for_memory_that_the_weights_do_not_fill(right, tmp_path):
    path = write(tmp_path / "x.keras", change_layer(right, "Dense", units=10**12))
    with pytest.raises(ValueError, match="TooLargeError: more than .*Received: model"):
        open_keras(path)
