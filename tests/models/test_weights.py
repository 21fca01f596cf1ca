"""What a weights file may hold, and what is refused by name."""

import h5py
import ml_dtypes
import numpy as np
import pytest

from keras_xcons.models.architectures import create
from keras_xcons.models.policy import dtype_policy
from keras_xcons.models.weights import load_weights

KERNEL = "layers/conv2d/vars/0"


@pytest.fixture(scope="module")
def model():
    return create("small_cnn", 3, 16, width=4)


@pytest.fixture(scope="module")
def right(model, tmp_path_factory):
    """The bytes of a file that fits the model."""
    path = tmp_path_factory.mktemp("weights") / "right.weights.h5"
    model.save_weights(path)
    return path.read_bytes()


@pytest.fixture
def path(right, tmp_path):
    path = tmp_path / "some.weights.h5"
    path.write_bytes(right)
    return path


def replace(path, values, **options):
    """Puts other values in the place of the first kernel."""
    with h5py.File(path, "r+") as file:
        shape = file[KERNEL].shape
        del file[KERNEL]
        values = np.broadcast_to(values, shape)
        return file.create_dataset(KERNEL, data=values, **options).name


@pytest.mark.parametrize("ending", [".weights.h5", ".h5"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, np.float64(1e300)])
def test_weights_that_are_not_finite_are_refused(value, ending, model, tmp_path):
    path = tmp_path / f"bad{ending}"
    bad = create("small_cnn", 3, 16, width=4)
    # The second of its kernels, in one place.
    name = bad.get_layer("block2_conv").kernel.path
    bad.save_weights(tmp_path / "fits.weights.h5")
    if ending == ".h5":
        write_legacy(bad, path)
    else:
        (tmp_path / "fits.weights.h5").rename(path)
    with h5py.File(path, "r+") as file:
        key = find(file, bad.get_layer("block2_conv").kernel.shape)
        values = file[key][()].astype("float64")
        del file[key]
        values[0, 0, 0, 0] = value
        file[key] = values
    message = (
        f"{path} holds NaN, infinity or a number beyond float32, in '{name}' first"
    )
    with np.errstate(over="ignore"), pytest.raises(ValueError, match=message) as error:
        load_weights(create("small_cnn", 3, 16, width=4), path)
    assert str(error.value).endswith(f"Received: path={str(path)!r}")


def write_legacy(model, path):
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)


def find(file, shape):
    """The key of the one array of a shape."""
    keys = []
    file.visititems(
        lambda key, item: (
            keys.append(key) if getattr(item, "shape", None) == tuple(shape) else None
        )
    )
    (key,) = keys
    return key


def test_number_beyond_the_dtype_of_the_variables_is_refused(path, model):
    replace(path, np.float32(1e6))
    load_weights(model, path)
    with dtype_policy("float16"):
        half = create("small_cnn", 3, 16, width=4)
    with np.errstate(over="ignore"):
        with pytest.raises(ValueError, match="a number beyond float16, in 'block1_co"):
            load_weights(half, path)


@pytest.mark.parametrize(
    "values",
    [
        np.array(True),
        np.array(1 + 2j),
        np.array(b"x"),
        np.array((1.0, 2), [("a", "f4"), ("b", "i4")]),
        np.array(b"\0\0", "V2"),
        np.array(1, ml_dtypes.float8_e4m3fn),
    ],
    ids=lambda values: str(values.dtype),
)
@pytest.mark.parametrize("ending", [".weights.h5", ".h5"])
def test_what_is_no_real_number_is_refused(values, ending, path, model):
    replace(path, values)
    path = path.rename(path.with_name(f"other{ending}"))
    message = f"{path} does not fit .*{KERNEL} is of dtype .*, and weights are integers"
    with pytest.raises(ValueError, match=message):
        load_weights(model, path)


@pytest.mark.parametrize("dtype", ["float16", "float64", "int32", "bfloat16"])
def test_every_real_number_is_read(dtype, path, model):
    values = np.array(3, ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    replace(path, values)
    if dtype == "bfloat16":  # as Keras notes it
        with h5py.File(path, "r+") as file:
            file[KERNEL].attrs["dtype"] = dtype
    load_weights(model, path)
    np.testing.assert_array_equal(model.get_layer("block1_conv").kernel, 3.0)


def test_models_of_bfloat16_are_read(tmp_path):
    with dtype_policy("bfloat16"):
        model, other = (create("small_cnn", 3, 16, width=4) for _ in range(2))
    model.save_weights(tmp_path / "x.weights.h5")
    load_weights(other, tmp_path / "x.weights.h5")
    for one, two in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(one, two)


def test_file_that_unpacks_to_far_more_than_it_is_is_refused(path, model):
    with h5py.File(path, "r+") as file:
        # A terabyte of nothing, in a few bytes.
        file.create_dataset("x", (1 << 38,), "float32", chunks=(1 << 20,))
    with pytest.raises(ValueError, match=f"{path} .*x and what precedes it unpack to"):
        load_weights(model, path)


@pytest.mark.parametrize(
    "link", [h5py.SoftLink("/layers"), h5py.ExternalLink("/etc/x.h5", "/")]
)
def test_links_are_not_followed(link, path, model):
    with h5py.File(path, "r+") as file:
        file["layers/\x1b[2J"] = link
    with pytest.raises(ValueError, match=r"layers/\\x1b\[2J is a link") as error:
        load_weights(model, path)
    assert str(error.value).isprintable()


def test_file_that_does_not_fit_says_where_and_can_be_replaced(path, model):
    other = create("small_cnn", 3, 16, width=8)
    fits = path.read_bytes()
    other.save_weights(path)
    for _ in range(2):
        message = r"does not fit .*Conv2D name=block1_conv.*shape=\(3, 3, 3, 8\)"
        with pytest.raises(ValueError, match=message):
            load_weights(model, path)
    path.write_bytes(fits)  # the very same file, which is not open any more
    load_weights(model, path)


def test_part_of_a_model_that_is_not_in_the_file_is_refused(path, model):
    with h5py.File(path, "r+") as file:
        del file["layers/conv2d_1"]
    with pytest.raises(ValueError, match=f"{path} does not fit the model"):
        load_weights(model, path)


def test_no_damage_is_told_by_another_error(right, path, model):
    told = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        damaged = bytearray(right)
        for place in rng.integers(0, len(right), rng.integers(1, 40)):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged)
        try:
            load_weights(model, path)
        except ValueError as error:
            assert str(error).startswith(f"The weights file {path} ")
            assert str(error).endswith(f"Received: path={str(path)!r}")
            assert str(error).isprintable()
            told += 1
    assert told > 50
