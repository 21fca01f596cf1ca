"""Loading of weights files with an error that names the file."""

import warnings


def load_weights(model, path):
    """Loads a weights file into a model and names the file when it does not fit.

    Args:
        model: Built `keras.Model`, changed in place. When the file does not fit,
            part of its weights may have been replaced.
        path: Path of an existing `.weights.h5` or legacy `.h5` file. Float16
            weights are cast to the dtype of the model's variables.

    Raises:
        ValueError: The file is not HDF5, or its layers are not the model's.
    """
    try:
        with warnings.catch_warnings():
            # Keras warns, and goes on, where a part of the model is not in the file.
            warnings.filterwarnings("error", message="Skipping nested container")
            model.load_weights(path)
    except (ValueError, OSError, KeyError, UserWarning) as error:
        reason = (str(error).strip() or "no reason given").splitlines()[0]
        raise ValueError(
            f"The weights file {path} does not fit the model {model.name!r} "
            f"({type(error).__name__}: {reason}). Received: path={str(path)!r}"
        ) from error
