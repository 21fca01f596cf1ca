"""Measures how far the heatmaps of a model are shifted against its images."""

import typing
import warnings

import numpy as np
import tensorflow as tf

from keras_xcons import checks
from keras_xcons.explainers.explaining import explain, frame_of
from keras_xcons.models import split
from keras_xcons.models.compiling import CompiledMaps
from keras_xcons.models.frame import WHOLE
from keras_xcons.models.offset import Offset, remember_offset

# Shifts that are tried, in cells of the map; strides alone shift by less than half one.
_STEP, _FARTHEST = 0.02, 1.0
# Points a cell at which two maps are compared.
_POINTS = 8
_FEWEST = 10
FEWEST_CELLS = 3
_RESAMPLES = 1000


class Calibration(typing.NamedTuple):
    """The offset of a model's heatmaps, measured.

    Attributes:
        rows: Shift in pixels of the images that puts maps right; positive is down.
        columns: Likewise; positive is to the right.
        rows_interval: `(low, high)`, 95 % bootstrap interval over images, in pixels.
        columns_interval: Likewise.
        images: Number of images it rests on.
        feature_layer: Name of the layer that the maps are made of.
        offset: The same in shares of a cell of the map, a
            `keras_xcons.models.offset.Offset`.
    """

    rows: float
    columns: float
    rows_interval: tuple
    columns_interval: tuple
    images: int
    feature_layer: str
    offset: Offset

    def to_card(self):
        """What a card says of it, plain values in pixels."""
        return {
            "rows": round(self.rows, 2),
            "columns": round(self.columns, 2),
            "rows_interval": [round(end, 2) for end in self.rows_interval],
            "columns_interval": [round(end, 2) for end in self.columns_interval],
            "images": self.images,
        }


def calibrate(
    model,
    images,
    labels=None,
    *,
    feature_layer=None,
    method="gradcam++",
    batch_size=32,
    token_grid=None,
    seed=0,
    remember=True,
):
    """Measures by flips where the heatmaps of a model lie, and remembers it.

    Strided layers that pad on one side shift what a feature sees against the cell that
    it is drawn in; training undoes a part. What is left shows when an image is flipped:
    the map moves to the other side of its object. The offset is the shift d at which
    the map of the flipped image, moved by d, is the mirror image of the map, moved by
    d; left to right for columns, upside down for rows. It needs no annotations. That
    is our choice, as are the squared difference of maps divided by their norm, in
    which they are compared, and cubic splines between the cells.

    From then on `explain`, `evaluate` and training align the maps of this model, see
    `align` of `keras_xcons.split`; training from the next `compile` on. A `.keras`
    file does not hold the offset; the card of a published model does. Where a shift
    at the end of those tried fits best, a warning says so.

    Args:
        model: What `keras_xcons.models.split` takes.
        images: Array or tensor `(B, H, W, channels)` in 0..255, or a
            `tf.data.Dataset` of batches of images of one size, alone or first in a
            tuple; what else is in it is not used. Some 200 images of the kind that
            will be explained.
        labels: Integers `(B,)`, the class to explain in each image of an array.
            Defaults to the class predicted for the image as it is.
        feature_layer: Name of the layer whose maps are measured. Defaults to the last
            4-D activation before pooling.
        method: One of `keras_xcons.explainers.methods()` whose maps lie on features.
            Defaults to `"gradcam++"`.
        batch_size: Number of images of an array computed at a time. Defaults to 32.
        token_grid: As for `keras_xcons.models.split`.
        seed: Seed of the bootstrap. Defaults to 0.
        remember: Whether the model keeps the offset, in the place of one that it has.
            Defaults to `True`.

    Returns:
        A `Calibration`.

    Raises:
        TypeError, ValueError: The model, images or labels are not as described, the
            maps have fewer than 3 rows or columns, or fewer than 10 of them show
            anything.

    Example:

    >>> found = keras_xcons.calibrate(model, images)
    >>> round(found.rows), round(found.columns)
    (8, 8)
    >>> heatmaps = keras_xcons.explain(model, images)
    """
    view = split(model, feature_layer, token_grid=token_grid, align=False)
    if frame_of(view, method) is WHOLE:
        raise ValueError(
            "Maps of pixels lie where they are; calibrate maps of features. Received: "
            f"method={method!r}"
        )
    logits = CompiledMaps(lambda batch, _: view(batch)[1])
    costs, size = [], None
    for batch, classes in _batches(images, labels, batch_size, view):
        if size not in (None, batch.shape[1:3]):
            raise ValueError(
                "Images to calibrate on must be of one size. Received: images of "
                f"{size} and {batch.shape[1:3]} pixels"
            )
        size = batch.shape[1:3]
        if classes is None:
            classes = np.argmax(logits(batch), axis=-1)
        costs.append(_costs(view, batch, classes, method))
    costs = np.concatenate(costs) if costs else np.zeros((0, 2, 1))
    costs = costs[np.isfinite(costs).all(axis=(1, 2))]
    if len(costs) < _FEWEST:
        raise ValueError(
            f"To calibrate takes at least {_FEWEST} images whose heatmaps show "
            f"something. Received: {len(costs)}"
        )
    found = _offsets(costs, np.ones((1, len(costs))))[0]
    _warn_at_an_end(found, costs.shape[-1])
    draws = np.random.default_rng(seed).multinomial(
        len(costs), np.full(len(costs), 1 / len(costs)), _RESAMPLES
    )
    low, high = np.quantile(_offsets(costs, draws), [0.025, 0.975], axis=0)

    def pixels(offset):
        return view.frame.aligned(Offset(*map(float, offset))).offset(size)

    offset = Offset(*map(float, found))
    if remember:
        remember_offset(view.model, view.feature_layer, offset)
    rows, columns = (
        tuple(sorted(pair)) for pair in zip(pixels(low), pixels(high), strict=True)
    )
    return Calibration(
        *pixels(found),
        rows_interval=rows,
        columns_interval=columns,
        images=len(costs),
        feature_layer=view.feature_layer,
        offset=offset,
    )


def _warn_at_an_end(offset, shifts):
    """Says that none of the shifts that were tried is the best, where that is so."""
    farthest = shifts // 2 * _STEP
    for name, found in zip(("rows", "columns"), offset, strict=True):
        if abs(found) > farthest - 2 * _STEP:
            warnings.warn(
                f"The heatmaps' {name} fit best at the end of what is tried, "
                f"{farthest:.2f} cells, so that their offset is not known: maps of "
                "images and of their mirror images may show different things. Look at "
                "both, or take other images, a class in `labels` or another "
                "`feature_layer`.",
                stacklevel=3,
            )


def _batches(images, labels, batch_size, view):
    """Yields float32 images, checked, and labels or `None`."""
    if isinstance(images, tf.data.Dataset):
        if labels is not None:
            raise ValueError(
                "Labels are given with an array of images. Received: labels with a "
                "tf.data.Dataset"
            )
        for batch in images:
            batch = batch[0] if isinstance(batch, tuple | list) else batch
            batch = batch["image"] if isinstance(batch, dict) else batch
            yield checks.image_batch(batch, view.input_shape), None
        return
    checks.within("batch_size", batch_size, 1, None)
    images = checks.image_batch(images, view.input_shape)
    if labels is not None:
        labels = checks.class_labels(labels, len(images), view.num_classes)
    for start in range(0, len(images), batch_size):
        part = slice(start, start + batch_size)
        yield images[part], None if labels is None else labels[part]


def _costs(view, images, classes, method):
    """How unlike the maps of flipped images are, `(B, 2, shifts)`; NaN if empty."""

    def maps_of(batch):
        found = explain(
            view, batch, classes, method, batch_size=len(batch), resize=False
        )
        return found.astype("float64")

    maps = maps_of(images)
    rows = _differences(maps, maps_of(images[:, ::-1])[:, ::-1])
    turned = maps_of(images[:, :, ::-1])[:, :, ::-1]
    columns = _differences(maps.swapaxes(1, 2), turned.swapaxes(1, 2))
    return np.stack([rows, columns], axis=1)


def _differences(maps, others):
    """Difference of maps moved by d along their first axis and others by -d."""
    from scipy import interpolate

    count = maps.shape[1]
    if count < FEWEST_CELLS:
        raise ValueError(
            f"Maps of fewer than {FEWEST_CELLS} rows or columns cannot be calibrated: "
            f"take larger images. Received: maps of {maps.shape[1:]} cells"
        )
    shifts = _shifts(count)
    found = np.full((len(maps), len(shifts)), np.nan)
    told = (np.ptp(maps, axis=(1, 2)) > 0) & (np.ptp(others, axis=(1, 2)) > 0)
    if not told.any():
        return found
    splines = [
        interpolate.make_interp_spline(
            np.arange(count), each[told], min(3, count - 1), axis=1
        )
        for each in (maps, others)
    ]
    for place, shift in enumerate(shifts):
        # Only where both are known, with as many points at every shift.
        ends = abs(shift), count - 1 - abs(shift)
        points = np.linspace(*ends, _POINTS * count)
        one, other = splines[0](points - shift), splines[1](points + shift)
        norm = (one**2).sum((1, 2)) + (other**2).sum((1, 2))
        unlike = ((one - other) ** 2).sum((1, 2))
        found[told, place] = unlike / np.where(norm > 0, norm, 1.0)
    return found


def _shifts(count):
    # So far that a cell and the ways to both sides of it are left to be compared.
    farthest = min(_FARTHEST, (count - 2) / 2)
    steps = round(farthest / _STEP)
    return np.arange(-steps, steps + 1) * _STEP


def _offsets(costs, counts):
    """Offset of each resample: the shift of least difference, between the steps."""
    found = []
    for axis in (0, 1):
        means = counts @ costs[:, axis] / counts.sum(axis=1, keepdims=True)
        best = means.argmin(axis=1).clip(1, means.shape[1] - 2)
        rows = np.arange(len(means))
        before, at, after = (means[rows, best + step] for step in (-1, 0, 1))
        bend = before - 2 * at + after
        # The vertex of a parabola through three points, at most a step away.
        shift = np.where(
            bend > 0, (before - after) / np.where(bend > 0, 2 * bend, 1), 0
        )
        middle = means.shape[1] // 2
        found.append((best - middle + shift.clip(-1, 1)) * _STEP)
    return np.stack(found, axis=1)
