"""The one reader of image files: whatever opens one takes its pixels from here."""

import functools
import os

import numpy as np

from keras_xcons.printable import printable

# Formats of photographs that Pillow reads, by the names it has for them, and the
# endings of their files. Not what it reads beside them: documents, icons, fonts, and
# formats such as EPS, for which it would start another program.
_FORMATS = {
    "AVIF": (".avif",),
    "BMP": (".bmp", ".dib"),
    "DIB": (),
    "GIF": (".gif",),
    "JPEG": (".jfif", ".jpe", ".jpeg", ".jpg"),
    "JPEG2000": (".j2c", ".j2k", ".jp2", ".jpx"),
    "PNG": (".apng", ".png"),
    "PPM": (".pbm", ".pfm", ".pgm", ".pnm", ".ppm"),
    "TGA": (".tga",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
IMAGE_SUFFIXES = tuple(sorted(suffix for ends in _FORMATS.values() for suffix in ends))
# Number of the EXIF tag, and what turns an image of each orientation upright, by the
# names of `PIL.Image.Transpose`.
_ORIENTATION = 0x0112
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


class UnreadableImage(ValueError):
    """An image file that cannot be read.

    Attributes:
        path: str, the file, printable.
        reason: str, one line that says why.

    Example:

    >>> try:
    ...     pixels = read("photo.jpg")
    ... except UnreadableImage as error:
    ...     print(error.path, error.reason)
    """

    def __init__(self, path, reason):
        self.path, self.reason = shown(path), reason
        super().__init__(
            f"The image file cannot be read: {reason}. Received: {self.path!r}"
        )


def shown(path):
    r"""A path as text that can be printed, and written into a file.

    Args:
        path: str, bytes or `pathlib.Path`.

    Returns:
        str, in which bytes that are not UTF-8 stand as `\xff`.

    Example:

    >>> shown(b"caf\xe9.png")
    'caf\\xe9.png'
    """
    return printable(os.fsencode(path).decode("utf-8", "backslashreplace"))


def read(path):
    """Reads an image file, whatever its format and the form of its pixels.

    A photograph reads the same however it is stored: turned upright as its EXIF
    orientation says, 16 bits scaled to 8, palettes and CMYK as RGB, grey in all three
    channels. What is transparent shows white, as on a page: the colours stored under
    it were never meant to be seen. Of an animation the first frame is read. Floats are
    taken for 0..1 where none is larger, else for 0..255. Colour profiles are not
    applied.

    Args:
        path: str, bytes or `pathlib.Path`. What is in the file decides on its
            format, not its name.

    Returns:
        uint8 NumPy array `(H, W, 3)`.

    Raises:
        UnreadableImage: The file is none of these, is damaged, or is not there.

    Example:

    >>> read("photo.jpg").shape
    (375, 500, 3)
    """
    from PIL import Image, UnidentifiedImageError

    if os.path.exists(path) and not os.path.isfile(path):
        # To open a pipe would wait for somebody who writes into it.
        raise UnreadableImage(path, "is not a file")
    try:
        with Image.open(os.fsdecode(path), formats=_known_formats()) as picture:
            picture.load()
            return _to_rgb(_upright(picture))
    except UnidentifiedImageError as error:
        reason = "is not an image, or of an unknown kind"
        raise UnreadableImage(path, reason) from error
    except Exception as error:
        # Pillow raises whatever a damaged file makes it stumble over: SyntaxError,
        # RuntimeError, struct.error, IndexError, DecompressionBombError ...
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UnreadableImage(path, reason.splitlines()[0]) from error


@functools.cache
def _known_formats():
    """The formats that this Pillow was built to read."""
    from PIL import Image

    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _upright(picture):
    """The picture as it was taken, by the orientation in its EXIF data."""
    from PIL import Image

    try:
        turn = _TURNS.get(picture.getexif().get(_ORIENTATION))
    except Exception:
        # EXIF data that cannot be parsed say nothing, and the pixels are whole.
        turn = None
    return picture.transpose(Image.Transpose[turn]) if turn else picture


def _to_rgb(picture):
    """The pixels of a picture of any mode as uint8 `(H, W, 3)`."""
    from PIL import Image

    if picture.mode.startswith("I") or picture.mode == "F":
        grey = _scaled(np.asarray(picture, "float64"), picture.mode)
        return np.repeat(grey[..., None], 3, axis=-1)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        page = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(page, picture)
    return np.asarray(picture if picture.mode == "RGB" else picture.convert("RGB"))


def _scaled(grey, mode):
    """Grey of more than 8 bits as uint8."""
    floats = mode == "F"
    low, high = grey.min(), grey.max()
    largest = (1.0 if high <= 1.0 else 255.0) if floats else 65535.0
    if not (low >= 0.0 and high <= largest):  # not(...) so that NaN is caught
        accepted = "floats within 0..1 or 0..255" if floats else "integers of 16 bits"
        raise ValueError(f"has values from {low:g} to {high:g}, not {accepted}")
    return np.round(grey * (255.0 / largest)).astype("uint8")
