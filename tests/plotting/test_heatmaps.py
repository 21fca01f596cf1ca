import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from keras_xcons import plotting

TRUTH = (0x3B, 0xE8, 0xFF)


@pytest.fixture
def images():
    return np.full((3, 20, 30, 3), 100, "uint8")


@pytest.fixture
def heatmaps():
    maps = np.zeros((3, 4, 6), "float32")
    maps[:, 2:, 3:] = 1.0
    return maps


def drawn(figure):
    """The pixels of a figure."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def share_of(colour, pixels):
    distance = np.abs(pixels.astype("int32") - colour).max(axis=-1)
    return np.mean(distance < 60)


def test_overlay_is_grey_where_the_map_is_zero_and_coloured_where_it_is_high(images):
    images[..., 0] = 200
    heatmap = np.zeros((20, 30))
    heatmap[10:, 15:] = 1.0
    picture = plotting.overlay(images[0], heatmap)
    assert picture.dtype == np.uint8
    assert picture.shape == (20, 30, 3)
    cold, hot = picture[:10], picture[10:, 15:]
    assert np.all(np.ptp(cold, axis=-1) == 0)
    assert np.all(np.ptp(hot, axis=-1) > 50)
    # Grey of (200, 100, 100) is 0.299 · 200 + 0.701 · 100, and is drawn at 0.8.
    assert np.all(cold == round(0.8 * (0.299 * 200 + 0.701 * 100)))


def test_overlay_resizes_the_map_and_takes_one_channel(images, heatmaps):
    picture = plotting.overlay(images[0, ..., :1] / 2.0, heatmaps[0])
    assert picture.shape == (20, 30, 3)
    assert np.any(picture[15, 25] != picture[2, 2])
    plain = plotting.overlay(images[0], heatmaps[0], alpha=0.0)
    assert np.all(plain == 80)


def test_plot_puts_images_in_rows(images, heatmaps):
    figure = plotting.plot(images, heatmaps, titles=["a", "b", "c"], columns=2)
    assert len(figure.axes) == 4
    assert [axis.get_title() for axis in figure.axes] == ["a", "b", "c", ""]
    assert [len(axis.images) for axis in figure.axes] == [1, 1, 1, 0]
    picture = figure.axes[1].images[0].get_array()
    np.testing.assert_array_equal(picture, plotting.overlay(images[1], heatmaps[1]))
    assert len(plotting.plot(images, heatmaps, columns=9).axes) == 3


def test_boxes_are_outlined_and_padding_is_not(images, heatmaps):
    boxes = np.zeros((3, 2, 4))
    boxes[0, 0] = [0.25, 0.2, 0.75, 0.5]
    figure = plotting.plot(images, heatmaps, boxes=boxes)
    assert [len(axis.patches) for axis in figure.axes] == [1, 0, 0]
    outline = figure.axes[0].patches[0]
    # Pixel 0 is drawn from -0.5 to 0.5.
    assert outline.get_xy() == (5.5, 4.5)
    assert outline.get_width() == pytest.approx(9.0)
    assert outline.get_height() == pytest.approx(10.0)
    assert share_of(TRUTH, drawn(figure)) > 0.001


def test_masks_are_outlined_and_empty_ones_are_not(images, heatmaps):
    masks = np.zeros((3, 20, 30, 1), "float32")
    assert share_of(TRUTH, drawn(plotting.plot(images, heatmaps, masks=masks))) == 0.0
    masks[0, 5:12, 8:20] = 1.0
    some = share_of(TRUTH, drawn(plotting.plot(images, heatmaps, masks=masks)))
    assert some > 0.001
    masks[1] = 1.0  # the edge of the image is the outline
    more = share_of(TRUTH, drawn(plotting.plot(images, heatmaps, masks=masks)))
    assert more > 1.5 * some


def test_comparison_has_a_row_an_image_and_a_column_a_model(images, heatmaps):
    figure = plotting.comparison(
        images,
        {"plain": heatmaps, "XCons": heatmaps[:, ::-1]},
        titles=["a", "b", "c"],
        boxes=np.tile([[[0.1, 0.1, 0.9, 0.9]]], (3, 1, 1)),
    )
    assert len(figure.axes) == 9
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == ["image", "plain", "XCons"] + [""] * 6
    assert [axis.get_ylabel() for axis in figure.axes[::3]] == ["a", "b", "c"]
    assert all(len(axis.patches) == 1 for axis in figure.axes)
    shown = [axis.images[0].get_array() for axis in figure.axes[:3]]
    np.testing.assert_array_equal(shown[0], images[0])
    np.testing.assert_array_equal(shown[1], plotting.overlay(images[0], heatmaps[0]))
    assert np.any(shown[1] != shown[2])
    assert drawn(figure).std() > 0


def test_save_writes_figures_and_arrays(images, heatmaps, tmp_path):
    path = tmp_path / "figure.png"
    figure = plotting.plot(images, heatmaps)
    plotting.save(figure, path)
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.size == tuple(np.rint(figure.get_size_inches() * 150))
    array = plotting.overlay(images[0], heatmaps[0])
    plotting.save(array, str(path))
    with Image.open(path) as picture:
        np.testing.assert_array_equal(np.asarray(picture), array)
    assert [entry.name for entry in tmp_path.iterdir()] == ["figure.png"]


def test_a_failed_save_leaves_the_old_file_and_no_other(tmp_path):
    class Broken:
        def savefig(self, path, **arguments):
            path.write_bytes(b"half a picture")
            raise OSError("disk full")

    path = tmp_path / "figure.png"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="disk full"):
        plotting.save(Broken(), path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["figure.png"]
    assert path.read_bytes() == b"old"


def test_save_refuses(images, heatmaps, tmp_path):
    figure = plotting.plot(images, heatmaps)
    with pytest.raises(ValueError, match=r"PNG.*'figure.jpg'"):
        plotting.save(figure, "figure.jpg")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        plotting.save(figure, tmp_path / "nowhere" / "figure.png")
    for wrong in (images[0] / 255.0, images[0, ..., 0], "picture"):
        with pytest.raises(ValueError, match="matplotlib figure or a uint8 array"):
            plotting.save(wrong, tmp_path / "figure.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((20, 30, 3))}, "rank 4"),
        ({"images": np.full((3, 20, 30, 3), 256.0)}, r"within 0\.\.255"),
        ({"images": np.zeros((3, 20, 30, 2))}, "1 or 3 channels"),
        ({"heatmaps": np.full((3, 4, 6), 1.1)}, r"within 0\.\.1.*maximum 1.1"),
        ({"heatmaps": np.full((3, 4, 6), np.nan)}, r"within 0\.\.1.*nan"),
        ({"heatmaps": np.zeros((2, 4, 6))}, r"shape \(3, height, width\)"),
        ({"heatmaps": np.zeros((3, 4, 6, 1))}, r"shape \(3, 4, 6, 1\)"),
        ({"titles": ["a"]}, "`titles` must be 3 strings"),
        ({"titles": "abc"}, "`titles` must be 3 strings"),
        ({"boxes": np.zeros((3, 4))}, r"`boxes` must have the shape \(3, boxes, 4\)"),
        ({"masks": np.zeros((3, 4, 6, 1))}, r"`masks`.*\(3, 20, 30, 1\)"),
        ({"columns": 0}, "columns=0"),
    ],
)
def test_plot_refuses(change, message, images, heatmaps):
    with pytest.raises(ValueError, match=message):
        plotting.plot(**{"images": images, "heatmaps": heatmaps, **change})


@pytest.mark.parametrize("wrong", [{}, np.zeros((3, 4, 6)), None])
def test_comparison_refuses_what_is_no_dict(wrong, images):
    with pytest.raises(ValueError, match="must be a dict from a model's name"):
        plotting.comparison(images, wrong)


def test_comparison_with_notes_and_a_caption(images, heatmaps):
    maps = {"plain": heatmaps, "XCons": heatmaps}
    notes = {"XCons": ["right", "says b", "right"]}
    figure = plotting.comparison(images, maps, notes=notes, caption="where it looks")
    told = [axis.get_xlabel() for axis in figure.axes]
    assert told == ["", "", "right", "", "", "says b", "", "", "right"]
    assert figure.get_supxlabel() == "where it looks"
    with pytest.raises(ValueError, match="Received: notes of \\['SCAAT'\\]"):
        plotting.comparison(images, maps, notes={"SCAAT": ["a", "b", "c"]})
    with pytest.raises(ValueError, match="Received"):
        plotting.comparison(images, maps, notes={"plain": ["a"]})


def test_overlay_refuses_an_opacity_out_of_range(images, heatmaps):
    with pytest.raises(ValueError, match="alpha=2"):
        plotting.overlay(images[0], heatmaps[0], alpha=2)


def test_no_figure_of_pyplot_is_opened(images, heatmaps):
    plotting.plot(images, heatmaps)
    plotting.comparison(images, {"plain": heatmaps})
    assert plt.get_fignums() == []


@pytest.mark.parametrize("kind", ["array", "figure"])
def test_a_picture_that_was_saved_is_known_again(kind, tmp_path):
    path = tmp_path / "picture.png"
    array = np.zeros((4, 4, 3), "uint8")
    figure = plotting.plot(array[None].astype("float32"), np.zeros((1, 4, 4)))
    plotting.save(array if kind == "array" else figure, path)
    assert plotting.is_saved(path)
    Image.open(path).save(tmp_path / "copy.png")
    for name in ("copy.png", "missing.png", "text.png", "."):
        (tmp_path / "text.png").write_text("no picture")
        assert not plotting.is_saved(tmp_path / name)
