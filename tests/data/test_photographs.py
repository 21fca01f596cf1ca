"""One photograph, stored in many ways, reads the same by every way in."""

import os

import numpy as np
import pytest
from PIL import Image

from keras_xcons import data
from keras_xcons.data import photographs
from keras_xcons.evaluation.background_bank import BackgroundBank
from keras_xcons.recipes import explain

SIDE = 32


@pytest.fixture(scope="module")
def grey():
    """A smooth grey picture that no turn or flip leaves as it is."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    return (40 + 4 * rows + 2 * columns).astype("uint8")


@pytest.fixture(scope="module")
def color(grey):
    return np.stack([grey, 255 - grey, grey // 2], axis=-1)


def turned(pixels, orientation, path, **options):
    """Stores a picture as a camera does that was held in another way."""
    back = {1: lambda x: x, 3: lambda x: x[::-1, ::-1], 5: lambda x: x.swapaxes(0, 1)}
    back |= {6: lambda x: np.rot90(x), 8: lambda x: np.rot90(x, -1)}
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(back[orientation](pixels))).save(
        path, exif=exif, **options
    )


def palette(pixels, path, **options):
    Image.fromarray(pixels).convert("P", palette=Image.Palette.WEB).save(
        path, **options
    )


def alpha(pixels, path):
    """White by being transparent where the picture is to be white."""
    see_through = np.all(pixels == 255, axis=-1)
    stored = np.where(see_through[..., None], 0, pixels)
    layers = [stored, ~see_through * 255]
    Image.fromarray(np.dstack(layers).astype("uint8")).save(path)


def frames(pixels, path, **options):
    other = Image.fromarray(255 - pixels)
    Image.fromarray(pixels).save(
        path, save_all=True, append_images=[other, other], duration=10, **options
    )


def save(mode, **options):
    return lambda x, path: Image.fromarray(x).convert(mode).save(path, **options)


# Name of the file, how it is stored, and the largest error of the format.
COLORED = {
    "plain.png": (save("RGB"), 0),
    "plain.BMP": (save("RGB"), 0),
    "plain.tif": (save("RGB"), 0),
    "packed.TIFF": (save("RGB", compression="tiff_lzw"), 0),
    "plain.ppm": (save("RGB"), 0),
    "plain.webp": (save("RGB", lossless=True), 0),
    "plain.jpg": (save("RGB", quality=100, subsampling=0), 4),
    "plain.JPEG": (save("RGB", quality=100, subsampling=0), 4),
    "cmyk.jpg": (save("CMYK", quality=100, subsampling=0), 6),
    "cmyk.tif": (save("CMYK"), 1),
    "jpeg2000.jp2": (save("RGB"), 1),
    "opaque.png": (save("RGBA"), 0),
    "animated.webp": (lambda x, path: frames(x, path, lossless=True), 0),
    "animated.apng": (lambda x, path: frames(x, path, format="PNG"), 0),
    **{
        f"turned{number}.jpg": (
            lambda x, path, number=number: turned(x, number, path, quality=100),
            9,
        )
        for number in (3, 5, 6, 8)
    },
    "turned.png": (lambda x, path: turned(x, 6, path), 0),
    "turned.webp": (lambda x, path: turned(x, 8, path, lossless=True), 0),
    "turned.tif": (lambda x, path: turned(x, 6, path), 0),
}
GREY = {
    "grey.png": (lambda x, path: Image.fromarray(x).save(path), 0),
    "deep.png": (lambda x, path: Image.fromarray(x * np.uint16(257)).save(path), 0),
    "deep.tif": (lambda x, path: Image.fromarray(x * np.uint16(257)).save(path), 0),
    "deep.pgm": (lambda x, path: Image.fromarray(x * np.uint16(257)).save(path), 0),
    "float.tif": (lambda x, path: Image.fromarray(x.astype("float32")).save(path), 0),
    "unit.tif": (lambda x, path: Image.fromarray(x / np.float32(255)).save(path), 0),
    "long.tif": (lambda x, path: Image.fromarray(x * np.int32(257)).save(path), 0),
    "index.png": (lambda x, path: Image.fromarray(x).convert("P").save(path), 0),
    "index.bmp": (lambda x, path: Image.fromarray(x).convert("P").save(path), 0),
    "index.gif": (lambda x, path: Image.fromarray(x).save(path), 0),
    "animated.gif": (lambda x, path: frames(x, path), 0),
    "opaque.png": (lambda x, path: Image.fromarray(x).convert("LA").save(path), 0),
}


def entrances(path, folder):
    """The picture in a class folder, by every way that an image file comes in."""
    (loaded, _), *_ = data.load(folder, image_size=SIDE)
    (one,) = data.backgrounds(folder, SIDE)
    bank = BackgroundBank.from_photographs(folder, SIDE, num_classes=1)
    return {
        "reader": photographs.read(path),
        "data.load": loaded.numpy(),
        "data.backgrounds": one.numpy(),
        "evaluation": bank.images[0],
        "explain": explain._read(str(path), (SIDE, SIDE, 3)),
    }


def assert_reads(store, name, pixels, atol, tmp_path):
    (tmp_path / "class").mkdir()
    path = tmp_path / "class" / name
    store(pixels, path)
    wanted = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=-1)
    found = entrances(path, tmp_path)
    for entrance, image in found.items():
        assert image.shape == (SIDE, SIDE, 3)
        difference = np.abs(image.astype(float) - wanted).max()
        assert difference <= atol, (entrance, difference)
        np.testing.assert_array_equal(image, found["reader"])


@pytest.mark.parametrize("name", COLORED)
def test_a_photograph_reads_the_same_however_it_is_stored(name, color, tmp_path):
    store, atol = COLORED[name]
    assert_reads(store, name, color, atol, tmp_path)


@pytest.mark.parametrize("name", GREY)
def test_a_grey_photograph_reads_the_same_however_it_is_stored(name, grey, tmp_path):
    store, atol = GREY[name]
    assert_reads(store, name, grey, atol, tmp_path)


def colors_of_the_web(pixels):
    return np.asarray(
        Image.fromarray(pixels).convert("P", palette=Image.Palette.WEB).convert("RGB")
    )


@pytest.mark.parametrize("name", ["colors.png", "colors.bmp", "colors.gif"])
def test_palettes(name, color, tmp_path):
    assert_reads(palette, name, colors_of_the_web(color), 0, tmp_path)


HOLE = np.zeros((SIDE, SIDE), bool)
HOLE[5:12, 8:20] = True


def index(pixels, path):
    indices = np.where(HOLE, 0, pixels)
    Image.fromarray(indices).convert("P").save(path, transparency=0)


def key(pixels, path):
    Image.fromarray(np.where(HOLE, 7, pixels)).save(path, transparency=7)


@pytest.mark.parametrize("store", [index, key, alpha])
def test_what_is_transparent_is_white(store, grey, tmp_path):
    pixels = np.where(HOLE, 255, grey).astype("uint8")
    if store is alpha:
        pixels = np.dstack([pixels] * 3)
    assert_reads(store, "a.png", pixels, 0, tmp_path)


def test_grey_with_alpha_and_one_bit(grey, tmp_path):
    pixels = np.where(HOLE, 255, grey).astype("uint8")
    layers = np.dstack([np.where(HOLE, 0, grey), ~HOLE * 255]).astype("uint8")
    Image.fromarray(layers).save(tmp_path / "a.png")
    np.testing.assert_array_equal(photographs.read(tmp_path / "a.png")[..., 1], pixels)
    Image.fromarray(HOLE).save(tmp_path / "b.png")
    found = photographs.read(tmp_path / "b.png")
    np.testing.assert_array_equal(found[..., 2], HOLE * 255)


def test_exif_that_cannot_be_parsed_says_nothing(color, tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(color).save(
        path, quality=100, exif=b"Exif\0\0II*\0\xff\xff\xff\x7f"
    )
    with pytest.warns(UserWarning, match="Corrupt EXIF"):
        found = photographs.read(path)
    assert np.abs(found.astype(int) - color).max() <= 9


@pytest.mark.parametrize(
    "values, dtype, reason",
    [
        ([0, 70_000], "int32", "from 0 to 70000, not integers of 16 bits"),
        ([-1, 5], "int32", "from -1 to 5, not integers"),
        ([0, 300], "float32", "from 0 to 300, not floats within 0..1 or 0..255"),
        ([0, np.nan], "float32", "not floats"),
    ],
)
def test_values_without_a_scale_are_refused(values, dtype, reason, tmp_path):
    path = tmp_path / "a.tif"
    Image.fromarray(np.array([values], dtype)).save(path)
    with pytest.raises(ValueError, match=f"{reason}.*Received: '.*a.tif'"):
        photographs.read(path)


def test_a_name_that_is_not_utf8(color, tmp_path):
    folder = os.fsencode(tmp_path) + b"/class"
    os.mkdir(folder)
    Image.fromarray(color).save(tmp_path / "a.png")
    os.rename(tmp_path / "a.png", folder + b"/caf\xe9.png")
    ((image, _),) = data.load(tmp_path, image_size=SIDE)
    np.testing.assert_array_equal(image, color)
    os.truncate(folder + b"/caf\xe9.png", 60)
    with pytest.raises(ValueError, match=r"class/caf\\xe9.png: "):
        data.verify(tmp_path)


def test_a_class_folder_whose_name_is_not_utf8_is_refused(color, tmp_path):
    os.mkdir(os.fsencode(tmp_path) + b"/caf\xe9")
    with pytest.raises(ValueError, match=r"must be UTF-8.*'caf\\xe9'"):
        data.info(tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(photographs.UnreadableImage, match="is not a file. Received"):
        photographs.read(tmp_path / "pipe.png")
