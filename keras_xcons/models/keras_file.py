"""Opening of a `.keras` file that anybody may have made."""

import io
import pathlib
import zipfile

import keras

from keras_xcons.models.size_limit import no_more_than
from keras_xcons.models.weights import check_finite, check_numbers, why

_WEIGHTS = "model.weights.h5"
# Our choices, above what Keras writes: bytes of one JSON text, how many times its size
# a file may unpack to, and how many times the numbers in it a model may take.
_LARGEST_JSON = 16 << 20
_EXPANSION = 10
_SPARE = 2
_SMALL = 1 << 20  # numbers that a model may have whatever the file holds


def open_keras(path):
    """Opens a `.keras` file, after a look at what it unpacks to.

    Keras' safe mode stays on, so nothing of the file is run.

    Args:
        path: Path of the file.

    Returns:
        The model, not compiled.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds no Keras model, unpacks to far more than it is, needs what
            this version does not know, or its weights are no finite real numbers. Names
            the file.

    Example:

    >>> model = open_keras("xcons_run/xcons.keras")
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no such model file. Received: model={str(path)!r}"
        )
    try:
        count = _count_numbers(path)
        with no_more_than(_SPARE * count + _SMALL):
            model = keras.saving.load_model(path, compile=False)
    # Whatever a file holds, Keras raises by it what it likes.
    except Exception as error:
        raise ValueError(
            f"The file holds no Keras model that can be opened ({why(error)}). "
            f"Received: model={str(path)!r}"
        ) from error
    check_finite(model, path)
    return model


def _count_numbers(path):
    """Checks what the directory of a file tells; returns how many weights it has."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        left = _EXPANSION * path.stat().st_size + _LARGEST_JSON
        for member in members:
            left -= member.file_size
            json = member.filename.endswith(".json")
            if left < 0 or (json and member.file_size > _LARGEST_JSON):
                raise ValueError(
                    f"{member.filename} unpacks to {member.file_size} bytes, far more "
                    "than in a model that Keras has saved"
                )
        if _WEIGHTS not in archive.namelist():
            raise ValueError(f"there is no {_WEIGHTS} in it")
        content = archive.read(_WEIGHTS)
    return check_numbers(io.BytesIO(content), len(content))
