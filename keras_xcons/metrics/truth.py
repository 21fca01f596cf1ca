"""What heatmaps are measured against, boxes or masks: checked, as pixels, as boxes."""

import numpy as np

# Boxes that were scaled in float32 may miss the edge of an image by a rounding.
_ROUNDING = 1e-5


def check_heatmaps(heatmaps):
    """Returns heatmaps as float64, after checking all of them.

    Args:
        heatmaps: Array `(B, H, W)`, finite and non-negative.

    Returns:
        Float64 array `(B, H, W)`.

    Raises:
        ValueError: Wrong rank, no map, or values that are negative or not finite.

    Example:

    >>> check_heatmaps([[[0.0, 1.0]]]).shape
    (1, 1, 2)
    """
    heatmaps = np.asarray(heatmaps, "float64")
    if heatmaps.ndim != 3 or 0 in heatmaps.shape:
        raise ValueError(
            "`heatmaps` must be one or more maps of shape (batch, height, width). "
            f"Received: heatmaps of shape {heatmaps.shape}"
        )
    low, high = heatmaps.min(), heatmaps.max()
    if not (low >= 0.0 and high < np.inf):  # not(...) so that NaN is caught as well
        raise ValueError(
            "`heatmaps` must be finite and non-negative. Received: heatmaps with "
            f"minimum {low} and maximum {high}"
        )
    return heatmaps


def check_boxes(boxes, size=None, name="boxes"):
    """Returns boxes as float64 within 0..1, after checking all of them.

    Args:
        boxes: Array `(B, N, 4)`, `ymin, xmin, ymax, xmax` in 0..1, which a rounding
            of float32 may exceed. Boxes without area are padding.
        size: Number of images B, or `None` for any. Defaults to `None`.
        name: The argument's name in the caller's signature. Defaults to `"boxes"`.

    Returns:
        Float64 array `(B, N, 4)`.

    Raises:
        ValueError: Wrong shape, or a box that is outside 0..1, inverted or not
            finite.

    Example:

    >>> check_boxes([[[0.5, 0.0, 1.0000001, 1.0]]], size=1)
    array([[[0.5, 0. , 1. , 1. ]]])
    """
    boxes = np.asarray(boxes, "float64")
    fits = boxes.ndim == 3 and boxes.shape[2] == 4
    if not fits or size not in (None, boxes.shape[0]):
        wanted = "batch" if size is None else size
        raise ValueError(
            f"`{name}` must have the shape ({wanted}, boxes, 4) that fits the images. "
            f"Received: {name} of shape {boxes.shape}"
        )
    within = np.all((boxes >= -_ROUNDING) & (boxes <= 1.0 + _ROUNDING), axis=-1)
    wrong = ~(within & np.all(boxes[..., :2] <= boxes[..., 2:], axis=-1))
    if wrong.any():
        raise ValueError(
            f"`{name}` must be ymin, xmin, ymax, xmax within 0..1, no minimum above "
            f"its maximum. Received: {name} with {boxes[wrong][0].tolist()}"
        )
    return boxes.clip(0.0, 1.0)


def check_masks(masks, size=None, image_size=None):
    """Returns the pixels of the object, after checking all masks.

    Args:
        masks: Array `(B, H, W, 1)` of 1 on the object and 0 elsewhere.
        size: Number of images B, or `None` for any. Defaults to `None`.
        image_size: `(H, W)` of the images, or `None` for any. Defaults to `None`.

    Returns:
        Boolean array `(B, H, W)`, true on the object.

    Raises:
        ValueError: Wrong shape, or values other than 0 and 1.

    Example:

    >>> check_masks([[[[1], [0]]]], size=1, image_size=(1, 2))
    array([[[ True, False]]])
    """
    masks = np.asarray(masks)
    height, width = image_size or (None, None)
    wanted = {"batch": size, "height": height, "width": width, "1": 1}
    fits = zip(masks.shape, wanted.values(), strict=False)
    if masks.ndim != 4 or not all(want in (None, got) for got, want in fits):
        shown = ", ".join(str(want or name) for name, want in wanted.items())
        raise ValueError(
            f"`masks` must have the shape ({shown}) that fits the images. "
            f"Received: masks of shape {masks.shape}"
        )
    objects = masks[..., 0] == 1
    if not np.all(objects | (masks[..., 0] == 0)):
        raise ValueError(
            "`masks` must be 1 on the object and 0 elsewhere. Received: masks with "
            f"minimum {masks.min()} and maximum {masks.max()}"
        )
    return objects


def object_pixels(shape, boxes=None, masks=None):
    """The pixels of the object.

    Of a box these are the pixels whose centres it covers, and at least one; of several
    boxes those of their union.

    Args:
        shape: `(B, H, W)` of the heatmaps.
        boxes: See `check_boxes`. Give either boxes or masks.
        masks: See `check_masks`.

    Returns:
        Boolean array `(B, H, W)`, true on the object.

    Raises:
        ValueError: Boxes or masks are not as described or do not fit `shape`, or
            neither or both are given.

    Example:

    >>> object_pixels((1, 1, 4), boxes=[[[0.0, 0.5, 1.0, 1.0]]])
    array([[[False, False,  True,  True]]])
    """
    check_one(boxes, masks)
    if boxes is None:
        return check_masks(masks, shape[0], tuple(shape[1:]))
    size, height, width = shape
    boxes = check_boxes(boxes, size)
    start, stop = boxes[..., :2], boxes[..., 2:]
    sides = np.array([height, width])
    first = np.minimum(np.floor(start * sides + 0.5), sides - 1)[..., None]
    last = np.maximum(np.floor(stop * sides + 0.5)[..., None], first + 1)
    rows, columns = np.arange(height), np.arange(width)
    in_rows = (rows >= first[:, :, 0]) & (rows < last[:, :, 0])
    in_columns = (columns >= first[:, :, 1]) & (columns < last[:, :, 1])
    in_rows &= _has_area(boxes)[..., None]
    counts = np.einsum("bnh,bnw->bhw", in_rows.astype("f4"), in_columns.astype("f4"))
    return counts > 0


def has_object(boxes=None, masks=None):
    """Whether it is known where the object of an image is.

    Args:
        boxes: See `check_boxes`. An image whose boxes all have no area has no
            object. Give either boxes or masks.
        masks: See `check_masks`. An image whose mask is empty has no object.

    Returns:
        Boolean array `(B,)`.

    Raises:
        ValueError: Boxes or masks are not as described, or neither or both are
            given.

    Example:

    >>> has_object(boxes=[[[0.0, 0.0, 1.0, 0.5]], [[0.0, 0.0, 0.0, 0.0]]])
    array([ True, False])
    """
    check_one(boxes, masks)
    if boxes is None:
        return check_masks(masks).any(axis=(1, 2))
    return _has_area(check_boxes(boxes)).any(axis=1)


def tight_boxes(masks):
    """The box around the object of each mask.

    Args:
        masks: See `check_masks`.

    Returns:
        Float32 array `(B, 1, 4)`, `ymin, xmin, ymax, xmax` in 0..1 at the outer edges
        of the object's outer pixels; zeros for an empty mask.

    Raises:
        ValueError: Masks are not as described.

    Example:

    >>> tight_boxes([[[[0], [1], [1], [0]]]])
    array([[[0.  , 0.25, 1.  , 0.75]]], dtype=float32)
    """
    return pixel_boxes(check_masks(masks))[:, None]


def pixel_boxes(objects):
    """The box around the pixels of an object, wherever they are.

    Args:
        objects: Boolean array `(B, H, W)`.

    Returns:
        Float32 array `(B, 4)`, as `tight_boxes`.

    Example:

    >>> pixel_boxes(np.array([[[False, True]]]))
    array([[0. , 0.5, 1. , 1. ]], dtype=float32)
    """
    edges = []
    for lines in (objects.any(axis=2), objects.any(axis=1)):
        length = lines.shape[1]
        first = lines.argmax(axis=1)
        last = length - lines[:, ::-1].argmax(axis=1)
        edges.append((first / length, last / length))
    (top, bottom), (left, right) = edges
    boxes = np.stack([top, left, bottom, right], axis=1)
    return np.where(objects.any(axis=(1, 2))[:, None], boxes, 0.0).astype("float32")


def check_one(boxes, masks):
    """Refuses neither or both of boxes and masks.

    Args:
        boxes: Boxes, or `None`.
        masks: Masks, or `None`.

    Raises:
        ValueError: Neither or both are given.

    Example:

    >>> check_one(boxes=np.zeros((1, 1, 4)), masks=None)
    """
    if (boxes is None) == (masks is None):
        given = "neither" if boxes is None else "both"
        raise ValueError(
            f"Give either `boxes` or `masks`, one of the two. Received: {given}"
        )


def check_shares(name, values):
    """Returns numbers of which each is a share, after checking them.

    Args:
        name: The argument's name in the caller's signature.
        values: Sequence of numbers in 0..1.

    Returns:
        Float64 array `(N,)`.

    Raises:
        ValueError: There is none, or one is outside 0..1.
    """
    found = np.asarray(values, "float64")
    if found.ndim != 1 or not len(found) or not np.all((found >= 0) & (found <= 1)):
        raise ValueError(
            f"`{name}` must be one or more numbers within 0..1. Received: "
            f"{name}={values!r}"
        )
    return found


def _has_area(boxes):
    return np.all(boxes[..., :2] < boxes[..., 2:], axis=-1)
