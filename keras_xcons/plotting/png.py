"""Pictures as PNG files, whole or not at all, and known again."""

import numpy as np

from keras_xcons import checks
from keras_xcons.files import whole_file

_DPI = 150
_NOTE = {"Software": "keras-xcons"}  # in the file, as PNG has it


def save(picture, path):
    """Writes a picture as a PNG file, whole or not at all.

    Args:
        picture: A `matplotlib.figure.Figure`, or a uint8 array `(H, W, 3)`.
        path: File name that ends in `.png`. Its folder must exist; a file of that
            name is replaced.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: `path` does not end in `.png`, or `picture` is neither.

    Example:

    >>> save(overlay(image, heatmap), "overlay.png")
    """
    path = checks.path("path", path)
    if path.suffix.lower() != ".png":
        raise ValueError(
            f"A picture is written as PNG. Received: path={str(path)!r}, which does "
            "not end in '.png'"
        )
    is_array = isinstance(picture, np.ndarray)
    fits = picture.dtype == np.uint8 and picture.ndim == 3 if is_array else True
    if not fits or not (is_array or hasattr(picture, "savefig")):
        raise ValueError(
            "`picture` must be a matplotlib figure or a uint8 array (height, width, "
            f"3). Received: picture of type {type(picture).__name__}"
        )
    with whole_file(path) as unfinished:
        if is_array:
            from PIL import Image, PngImagePlugin

            note = PngImagePlugin.PngInfo()
            for key, value in _NOTE.items():
                note.add_text(key, value)
            Image.fromarray(picture).save(unfinished, format="png", pnginfo=note)
        else:
            picture.savefig(unfinished, format="png", dpi=_DPI, metadata=_NOTE)


def is_saved(path):
    """Whether a file is a picture that `save` has written, and no other's.

    Args:
        path: Name of a file.

    Returns:
        A bool.

    Example:

    >>> save(overlay(image, heatmap), "overlay.png")
    >>> is_saved("overlay.png")
    True
    """
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as picture:
            return _NOTE.items() <= picture.info.items()
    except Exception:  # whatever Pillow makes of a file that is none
        return False
