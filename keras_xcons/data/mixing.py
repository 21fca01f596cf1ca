"""Takes objects out of photographs, and puts them onto other backgrounds."""

import numpy as np

# The background challenge leaves out images whose object covers more than this.
_LARGEST_BOX = 0.9


def remove_objects(images, masks, largest_box=_LARGEST_BOX):
    """Fills the bounding box of each object with background from beside it.

    Of the four strips above, below, left and right of the bounding box, each as
    wide or as high as the image, the largest is repeated over the box, laid from the
    upper left corner of the image: the set Only-BG-T of the background challenge.
    Everything outside the box stays as it is.

    Of the paper are the tiling and the limit on the box. Our choices are that the
    box is that of the mask, where the paper has boxes of ImageNet drawn by hand, and
    that the first of equally large strips is taken, in the order above.

    Args:
        images: Array `(B, H, W, C)` of any dtype.
        masks: Array `(B, H, W, 1)` of 1 on the object and 0 elsewhere.
        largest_box: Share of the image that a bounding box may cover, in 0..1.
            Defaults to 0.9, as in the paper.

    Returns:
        `(backgrounds, valid)`: an array like `images`, and a bool array `(B,)`. An
        image without an object, or whose object leaves no strip or has too large a
        bounding box, is not valid, and stays as it is in `backgrounds`.

    Raises:
        ValueError: Images, masks or `largest_box` are not as described.

    Example:

    >>> images = np.arange(4.0).reshape(1, 1, 4, 1)  # one row: 0 1 2 3
    >>> masks = np.array([0, 0, 1, 0]).reshape(1, 1, 4, 1)
    >>> backgrounds, valid = remove_objects(images, masks)
    >>> backgrounds.ravel(), valid
    (array([0., 1., 0., 3.]), array([ True]))

    Reference:
        [Xiao et al., 2020](https://arxiv.org/abs/2006.09994), section 2 and
        appendix A
    """
    images, objects = _checked(images, masks)
    if not 0.0 <= largest_box <= 1.0:
        raise ValueError(
            "`largest_box` must be a share of the image within 0..1. Received: "
            f"largest_box={largest_box!r}"
        )
    size, height, width = objects.shape
    in_rows, top, bottom = _extent(objects.any(axis=2))
    in_columns, left, right = _extent(objects.any(axis=1))

    # The strips as (first row, first column, rows, columns), each (4, B).
    zero, whole = np.zeros(size, int), np.ones(size, int)
    first_row = np.stack([zero, bottom, zero, zero])
    first_column = np.stack([zero, zero, zero, right])
    rows = np.stack([top, height - bottom, height * whole, height * whole])
    columns = np.stack([width * whole, width * whole, left, width - right])
    # of each image its largest strip
    largest = np.argmax(rows * columns, axis=0), np.arange(size)
    rows, columns = rows[largest][:, None], columns[largest][:, None]
    area = (bottom - top) * (right - left)
    valid = (area > 0) & (area <= largest_box * height * width)
    valid &= (rows * columns)[:, 0] > 0

    from_row = first_row[largest][:, None] + np.arange(height) % np.maximum(rows, 1)
    from_column = first_column[largest][:, None] + (
        np.arange(width) % np.maximum(columns, 1)
    )
    filled = (in_rows & valid[:, None])[:, :, None] & in_columns[:, None]
    # Not valid images may have strips that end outside of them.
    from_row = np.minimum(from_row, height - 1)[:, :, None]
    from_column = np.minimum(from_column, width - 1)[:, None]
    tiled = images[np.arange(size)[:, None, None], from_row, from_column]
    return np.where(filled[..., None], tiled, images), valid


def paste(images, masks, backgrounds):
    """Puts the objects of images onto backgrounds, in their own places.

    Args:
        images: Array `(B, H, W, C)` with the objects.
        masks: Array `(B, H, W, 1)` of 1 on the object and 0 elsewhere.
        backgrounds: Array `(B, H, W, C)` in the same range as `images`.

    Returns:
        Array like `images`: their pixels where the mask is 1, those of the
        backgrounds elsewhere.

    Raises:
        ValueError: Images or masks are not as described, or backgrounds have
            another size than the images.

    Example:

    >>> masks = np.array([0, 0, 1, 0]).reshape(1, 1, 4, 1)
    >>> paste(np.full((1, 1, 4, 1), 7.0), masks, np.zeros((1, 1, 4, 1))).ravel()
    array([0., 0., 7., 0.])

    Reference:
        [Xiao et al., 2020](https://arxiv.org/abs/2006.09994), section 2
    """
    images, objects = _checked(images, masks)
    backgrounds = np.asarray(backgrounds)
    if backgrounds.shape != images.shape:
        raise ValueError(
            f"`backgrounds` must have the shape {images.shape} of the images. "
            f"Received: backgrounds of shape {backgrounds.shape}"
        )
    return np.where(objects[..., None], images, backgrounds).astype(images.dtype)


def _extent(occupied):
    """Where `(B, L)` the box lies on one axis, and its first and last index + 1."""
    length = occupied.shape[1]
    some = occupied.any(axis=1)
    start = np.where(some, occupied.argmax(axis=1), 0)
    stop = np.where(some, length - occupied[:, ::-1].argmax(axis=1), 0)
    places = np.arange(length)
    inside = (places >= start[:, None]) & (places < stop[:, None])
    return inside, start, stop


def _checked(images, masks):
    """Images as an array, and the pixels of the objects as bool `(B, H, W)`."""
    images, masks = np.asarray(images), np.asarray(masks)
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(
            "`images` must be one or more images of shape (batch, height, width, "
            f"channels). Received: images of shape {images.shape}"
        )
    if masks.shape != (*images.shape[:3], 1):
        raise ValueError(
            f"`masks` must have the shape {(*images.shape[:3], 1)} that fits the "
            f"images. Received: masks of shape {masks.shape}"
        )
    objects = masks[..., 0] == 1
    if not np.all(objects | (masks[..., 0] == 0)):
        raise ValueError(
            "`masks` must be 1 on the object and 0 elsewhere. Received: masks with "
            f"minimum {masks.min()} and maximum {masks.max()}"
        )
    return images, objects
