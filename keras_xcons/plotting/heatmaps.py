"""Pictures of heatmaps on their images, made without a display.

matplotlib draws them on figures of its own, not on those of `pyplot`: no backend is
chosen, and no figure stays open.
"""

import textwrap

import numpy as np

from keras_xcons import checks

_COLORMAP = "inferno"  # perceptually uniform, and bright on the darkened image
_CELL = 2.1  # inches of an image's longer side
_TITLE = 0.22  # inches of a line above an image
_TITLE_LETTERS = 26  # of a line, in the width of an image
_TRUTH = "#3be8ff"  # a colour that the colormap does not have


def overlay(image, heatmap, alpha=0.75):
    """Lays a heatmap over an image.

    The image is turned to darkened grey, so that all colour is the heatmap's, and
    shines through where the heatmap is low.

    Args:
        image: Array `(H, W, channels)` of 1 or 3 channels, uint8 or float in 0..255.
        heatmap: Array `(h, w)` in 0..1, resized bilinearly to the image where it is of
            another size: cells, as of `explain(..., resize=False)`, are not aligned.
        alpha: Opacity of the heatmap at its maximum, in 0..1. Defaults to 0.75.

    Returns:
        Uint8 array `(H, W, 3)`.

    Raises:
        TypeError: The image's values are not numbers.
        ValueError: Image or heatmap are not as described.

    Example:

    >>> overlay(image, heatmap).shape
    (224, 224, 3)
    """
    checks.within("alpha", alpha, 0.0, 1.0)
    images = _checked_images(np.asarray(image)[None])
    heatmaps = _checked_heatmaps(np.asarray(heatmap)[None], images)
    return _overlays(images, heatmaps, alpha)[0]


def plot(images, heatmaps, titles=None, boxes=None, masks=None, columns=4):
    """Draws heatmaps over their images, in rows.

    Args:
        images: Array `(B, H, W, channels)` of 1 or 3 channels, uint8 or float in
            0..255.
        heatmaps: Array `(B, h, w)` in 0..1, drawn as by `overlay`.
        titles: Sequence of B strings to put above the images, or `None`.
        boxes: Array `(B, N, 4)`, `ymin, xmin, ymax, xmax` in 0..1, to outline the
            truth. Boxes without area are padding and not drawn.
        masks: Array `(B, H, W, 1)` of zeros and ones, to outline the truth.
        columns: Number of images in a row. Defaults to 4.

    Returns:
        A `matplotlib.figure.Figure`. Write it with `keras_xcons.plotting.save`.

    Raises:
        TypeError: The images' values are not numbers.
        ValueError: An argument is not as described.

    Example:

    >>> figure = plot(images, heatmaps, titles=["cat", "dog"], boxes=boxes)
    >>> save(figure, "heatmaps.png")
    """
    checks.within("columns", columns, 1, None)
    images = _checked_images(images)
    heatmaps = _checked_heatmaps(heatmaps, images)
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    titles = _checked_titles(titles, images)
    outlines = _checked_outlines(boxes, masks, images)
    figure, axes = _grid(rows, columns, images.shape[1:3], rows if titles else 0)
    for index, picture in enumerate(_overlays(images, heatmaps)):
        axis = axes.flat[index]
        axis.imshow(picture)
        _outline(axis, index, outlines, images.shape[1:3])
        if titles:
            axis.set_title(titles[index], fontsize=9)
    return figure


def comparison(
    images, heatmaps, titles=None, boxes=None, masks=None, notes=None, caption=None
):
    """Draws the heatmaps of several models side by side, one image a row.

    The first column is the image alone; every model has a column after it.

    Args:
        images: As in `plot`.
        heatmaps: Dict from the name of a model, which heads its column, to its
            heatmaps `(B, h, w)` in 0..1.
        titles: Sequence of B strings to put beside the rows, or `None`.
        boxes: As in `plot`.
        masks: As in `plot`.
        notes: Dict from the name of a model to B strings to put below its pictures,
            such as what it predicts, or `None`.
        caption: String to put below all, or `None`.

    Returns:
        A `matplotlib.figure.Figure`. Write it with `keras_xcons.plotting.save`.

    Raises:
        TypeError: The images' values are not numbers.
        ValueError: An argument is not as described.

    Example:

    >>> figure = comparison(images, {"plain": before, "XCons": after}, masks=masks)
    >>> save(figure, "before_and_after.png")
    """
    images = _checked_images(images)
    if not isinstance(heatmaps, dict) or not heatmaps:
        raise ValueError(
            "`heatmaps` must be a dict from a model's name to its heatmaps. "
            f"Received: heatmaps of type {type(heatmaps).__name__}"
        )
    titles = _checked_titles(titles, images)
    outlines = _checked_outlines(boxes, masks, images)
    notes = {
        name: _checked_titles(told, images) for name, told in (notes or {}).items()
    }
    if not notes.keys() <= heatmaps.keys():
        raise ValueError(
            "`notes` must be of models whose heatmaps are given. Received: notes of "
            f"{sorted(notes.keys() - heatmaps.keys())}"
        )
    pictures = {"image": images.astype("uint8")}
    for name, maps in heatmaps.items():
        pictures[name] = _overlays(images, _checked_heatmaps(maps, images))
    rows = 1 + (len(images) if notes else 0) + (caption is not None)
    figure, axes = _grid(len(images), len(pictures), images.shape[1:3], rows)
    for column, (name, column_pictures) in enumerate(pictures.items()):
        axes[0, column].set_title(name, fontsize=10, fontweight="bold")
        for row, picture in enumerate(column_pictures):
            axes[row, column].imshow(picture)
            _outline(axes[row, column], row, outlines, images.shape[1:3])
            if name in notes:
                axes[row, column].set_xlabel(notes[name][row], fontsize=8)
    for row, title in enumerate(titles):
        axes[row, 0].set_ylabel(title, fontsize=9)
    if caption is not None:
        figure.supxlabel(caption, fontsize=8)
    return figure


def row(pictures):
    """Draws pictures of one image side by side, each under its name.

    Args:
        pictures: Dict from a name to a uint8 array `(H, W, 3)`, all of one size.

    Returns:
        A `matplotlib.figure.Figure`. Write it with `keras_xcons.plotting.save`.

    Raises:
        ValueError: They are not as described.

    Example:

    >>> figure = row({"image": image, "mask": overlay(image, mask)})
    >>> save(figure, "mask.png")
    """
    found = {name: np.asarray(picture) for name, picture in pictures.items()}
    shapes = {picture.shape for picture in found.values()}
    kinds = {picture.dtype for picture in found.values()}
    if len(shapes) != 1 or len(min(shapes)) != 3 or kinds != {np.dtype("uint8")}:
        raise ValueError(
            "`pictures` must be uint8 arrays (height, width, 3) of one size. Received: "
            f"shapes {sorted(shapes)}, dtypes {sorted(map(str, kinds))}"
        )
    (shape,) = shapes
    titles = [textwrap.fill(name, _TITLE_LETTERS) for name in found]
    lines = 1 + max(title.count("\n") for title in titles)
    figure, axes = _grid(1, len(found), shape[:2], lines)
    for axis, title, picture in zip(axes.flat, titles, found.values(), strict=True):
        axis.imshow(picture)
        axis.set_title(title, fontsize=9)
    return figure


def _overlays(images, heatmaps, alpha=0.75):
    """Uint8 pictures `(B, H, W, 3)` of float32 images and heatmaps."""
    import matplotlib
    import tensorflow as tf

    size = images.shape[1:3]
    heat = np.asarray(tf.image.resize(heatmaps[..., None], size))
    colors = matplotlib.colormaps[_COLORMAP](heat[..., 0])[..., :3] * 255.0
    grey = images @ np.array([0.299, 0.587, 0.114], "float32")
    opacity = alpha * np.sqrt(heat)
    return np.rint((1.0 - opacity) * grey[..., None] * 0.8 + opacity * colors).astype(
        "uint8"
    )


def _grid(rows, columns, size, titled_rows):
    """A figure and its `(rows, columns)` axes, without ticks or frames."""
    from matplotlib.figure import Figure

    height, width = (_CELL * side / max(size) for side in size)
    figure = Figure(
        figsize=(columns * width, rows * height + titled_rows * _TITLE),
        layout="constrained",
    )
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[], frame_on=False)
    return figure, axes


def _outline(axis, index, outlines, size):
    """Draws the truth of one image: its boxes, or the edge of its mask."""
    from matplotlib.patches import Rectangle

    boxes, masks = outlines
    height, width = size
    style = {"linewidth": 1.2, "edgecolor": _TRUTH, "facecolor": "none"}
    for top, left, bottom, right in [] if boxes is None else boxes[index]:
        if bottom > top and right > left:
            corner = (left * width - 0.5, top * height - 0.5)
            sides = ((right - left) * width, (bottom - top) * height)
            axis.add_patch(Rectangle(corner, *sides, **style))
    if masks is not None and masks[index].any():
        # A frame of zeros, so that the edge of an image closes the outline.
        mask = np.pad(masks[index, ..., 0], 1)
        rows, columns = np.arange(-1, height + 1), np.arange(-1, width + 1)
        axis.contour(columns, rows, mask, levels=[0.5], colors=_TRUTH, linewidths=1.2)


def _checked_images(images):
    images = checks.image_batch(images)
    if images.shape[-1] not in (1, 3):
        raise ValueError(
            "Images to draw must have 1 or 3 channels. Received: images of shape "
            f"{images.shape}"
        )
    return np.broadcast_to(images, (*images.shape[:3], 3))


def _checked_heatmaps(heatmaps, images):
    heatmaps = np.asarray(heatmaps, "float32")
    if heatmaps.ndim != 3 or len(heatmaps) != len(images):
        raise ValueError(
            f"`heatmaps` must have the shape ({len(images)}, height, width), one map "
            f"an image. Received: heatmaps of shape {heatmaps.shape}"
        )
    low, high = heatmaps.min(), heatmaps.max()
    if not (low >= 0.0 and high <= 1.0):  # not(...) so that NaN is caught as well
        raise ValueError(
            "`heatmaps` must be within 0..1. Received: heatmaps with minimum "
            f"{low} and maximum {high}"
        )
    return heatmaps


def _checked_titles(titles, images):
    if titles is None:
        return []
    if isinstance(titles, str) or len(titles) != len(images):
        raise ValueError(
            f"`titles` must be {len(images)} strings, one an image. Received: "
            f"titles={titles!r}"
        )
    return list(titles)


def _checked_outlines(boxes, masks, images):
    """Boxes and masks as arrays or `None`."""
    if boxes is not None:
        boxes = np.asarray(boxes)
        if boxes.ndim != 3 or len(boxes) != len(images) or boxes.shape[-1] != 4:
            raise ValueError(
                f"`boxes` must have the shape ({len(images)}, boxes, 4). Received: "
                f"boxes of shape {boxes.shape}"
            )
    if masks is not None:
        masks = np.asarray(masks)
        if masks.shape != (*images.shape[:3], 1):
            raise ValueError(
                f"`masks` must have the shape {(*images.shape[:3], 1)}. Received: "
                f"masks of shape {masks.shape}"
            )
    return boxes, masks
