"""Weights files of float16."""

import numpy as np


def save_float16(model, path):
    """Saves the weights of a model as float16.

    `keras.Model.save_weights` writes the dtype of the variables; this rewrites its
    file with every floating-point array as float16, which halves it. An array with
    a value above 65,504, the largest of float16, is kept as it is.

    Args:
        model: Built `keras.Model` with finite weights.
        path: `pathlib.Path` to write, ending in `.weights.h5`. Loading it into the
            same architecture with `load_weights` gives float32 variables again.

    Raises:
        ValueError: A weight is not finite.
    """
    import h5py

    full = path.with_name(f"full-{path.name}")
    try:
        model.save_weights(full)
        with h5py.File(full, "r") as source, h5py.File(path, "w") as target:
            target.attrs.update(source.attrs)
            source.visititems(lambda name, item: _copy(name, item, target))
    finally:
        full.unlink(missing_ok=True)


def _copy(name, item, target):
    if hasattr(item, "shape"):
        target.create_dataset(name, data=_narrow(name, item[()]))
    else:
        target.require_group(name)
    target[name].attrs.update(item.attrs)


def _narrow(name, values):
    if not np.issubdtype(values.dtype, np.floating):
        return values
    if not np.isfinite(values).all():
        raise ValueError(f"The weights at {name} hold NaN or infinity")
    with np.errstate(over="ignore"):
        half = values.astype("float16")
    return half if np.isfinite(half).all() else values
