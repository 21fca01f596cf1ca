"""Loading of weights files with an error that names the file."""

import gc
import os
import warnings

import keras
import numpy as np

from keras_xcons.printable import printable

# Keras does not compress what it writes; a file that unpacks to more than that many
# times its size is made to fill the memory. Our choice.
_EXPANSION = 10
_SMALL = 1 << 20  # bytes, of whatever expansion
_LONGEST = 500  # characters of a reason
_SKIPPED = "Skipping nested container"  # so begins a warning of Keras


def load_weights(model, path):
    """Loads a weights file into a model and names the file when it does not fit.

    Args:
        model: Built `keras.Model`, changed in place. When the file does not fit,
            part of its weights may have been replaced.
        path: Path of an existing `.weights.h5` or legacy `.h5` file. Float16
            weights are cast to the dtype of the model's variables.

    Raises:
        ValueError: The file is not HDF5, is damaged, unpacks to more than ten times
            its size, its layers are not the model's, its weights are no real numbers,
            or one of them is not finite in the dtype of its variable.
    """
    try:
        check_numbers(path, os.path.getsize(path))
        _load(model, path)
    # Whatever bytes a file holds, h5py and Keras raise by them what they like.
    except Exception as error:
        raise ValueError(
            f"The weights file {path} does not fit the model {model.name!r} "
            f"({why(error)}). Received: path={str(path)!r}"
        ) from error
    check_finite(model, path)


def _load(model, path):
    with warnings.catch_warnings(record=True) as told:
        warnings.filterwarnings("always", message=_SKIPPED)
        try:
            model.load_weights(path)
        except Exception:
            # Keras keeps what it has caught, and with it the file open; whoever puts a
            # right one in its place would be given this one again.
            gc.collect()
            raise
    for each in told:
        # Keras warns, and goes on, where a part of the model is not in the file.
        if str(each.message).startswith(_SKIPPED):
            raise each.message
        warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)


def check_numbers(file, size):
    """Refuses an HDF5 file that holds what no weight can be, before it is loaded.

    Args:
        file: Path or opened binary file.
        size: Its size in bytes.

    Returns:
        How many numbers it holds.

    Raises:
        ValueError: It holds a link, an array of no real numbers, or unpacks to more
            than ten times its size. Names the first such array.
        OSError, RuntimeError: Of h5py: it is not HDF5, or damaged.
    """
    import h5py

    count, left = 0, _EXPANSION * size + _SMALL

    def check(name, item):
        nonlocal count, left
        if isinstance(item, h5py.Group):
            for key in item:
                if not isinstance(item.get(key, getlink=True), h5py.HardLink):
                    raise ValueError(f"{name}/{key} is a link")
            return
        # NumPy knows no bfloat16, and Keras notes it beside the bytes.
        brain = item.dtype.kind == "V" and item.attrs.get("dtype") == "bfloat16"
        if not (item.dtype.kind in "iuf" or brain):
            raise ValueError(
                f"{name} is of dtype {item.dtype}, and weights are integers or "
                "floating-point numbers"
            )
        count += item.size
        left -= item.size * item.dtype.itemsize
        if left < 0:
            raise ValueError(f"{name} and what precedes it unpack to far too much")

    with h5py.File(file, "r") as opened:
        check("", opened)
        opened.visititems(check)
    return count


def check_finite(model, path):
    """Refuses a model with a weight that is NaN or infinite.

    Args:
        model: Built `keras.Model`.
        path: The file that its weights are from, for the error message.

    Raises:
        ValueError: Names the file and the first such variable.
    """
    for variable in model.weights:
        values = keras.ops.convert_to_numpy(variable)
        if values.dtype.kind not in "iuf":  # bfloat16, of which NumPy knows nothing
            values = values.astype("float32")
        if not np.isfinite(values).all():
            raise ValueError(
                f"The weights file {path} holds NaN, infinity or a number beyond "
                f"{variable.dtype}, in {variable.path!r} first: a model with such "
                "weights answers with NaN. Restore the file, or train anew. "
                f"Received: path={str(path)!r}"
            )


def why(error):
    """Returns in one line what an error of another library says.

    Args:
        error: An exception.

    Returns:
        Its kind and the first 500 characters of its text.
    """
    # Keras puts a whole configuration before the reason.
    text = str(error).rpartition("Exception encountered: ")[2]
    text = printable(" ".join(text.split())) or "no reason given"
    text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
    return f"{type(error).__name__}: {text}"
