"""Pictures of a report: small, inline, and with the truth outlined."""

import base64
import io

import numpy as np

_LONGEST_SIDE = 224
_QUALITY = 85


def data_uri(picture):
    """Returns a picture as a JPEG inside of a `data:` address.

    Args:
        picture: Uint8 array `(H, W, 3)`. One whose longer side is over 224 pixels
            is made smaller.

    Returns:
        String that an `img` element takes as its source.

    Example:

    >>> data_uri(image)[:30]
    'data:image/jpeg;base64,/9j/4AA'
    """
    from PIL import Image

    small = Image.fromarray(np.ascontiguousarray(picture))
    small.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    # Colour at full resolution: heatmaps are all colour.
    small.save(file, "jpeg", quality=_QUALITY, subsampling=0, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def outline(sample):
    """Returns the outline of the objects of a sample as an SVG path.

    Args:
        sample: `keras_xcons.report.Sample`.

    Returns:
        Dict of `path`, the path's commands, empty where there is nothing to outline,
        and `width` and `height` of the view box that it is drawn in.

    Example:

    >>> outline(sample)["path"]
    'M12 20H40V50H12Z'
    """
    if sample.mask is not None:
        mask = _smaller(np.asarray(sample.mask, bool))
        height, width = mask.shape
        return {"path": _around(mask), "width": width, "height": height}
    height, width = sample.image.shape[:2]
    boxes = [] if sample.boxes is None else np.asarray(sample.boxes, "float64")
    sides = np.array([height, width, height, width])
    paths = [
        "M{1:g} {0:g}H{3:g}V{2:g}H{1:g}Z".format(*np.round(box * sides, 1))
        for box in boxes
        if box[2] > box[0] and box[3] > box[1]
    ]
    return {"path": "".join(paths), "width": width, "height": height}


def _smaller(mask):
    from PIL import Image

    small = Image.fromarray(mask.astype("uint8"))
    small.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Image.Resampling.NEAREST)
    return np.asarray(small) == 1


def _around(mask):
    """The lines between the pixels of a mask and those around it."""
    framed = np.pad(mask, 1)
    across = _runs(framed[1:, 1:-1] != framed[:-1, 1:-1])
    down = _runs((framed[1:-1, 1:] != framed[1:-1, :-1]).T)
    return "".join(f"M{start} {line}H{stop}" for line, start, stop in across) + "".join(
        f"M{line} {start}V{stop}" for line, start, stop in down
    )


def _runs(edges):
    """Yields `(line, start, stop)` of the runs of true values in every line."""
    steps = np.diff(np.pad(edges, ((0, 0), (1, 1))).astype("int8"), axis=1)
    lines, starts = np.nonzero(steps == 1)
    _, stops = np.nonzero(steps == -1)
    return zip(lines.tolist(), starts.tolist(), stops.tolist(), strict=True)
