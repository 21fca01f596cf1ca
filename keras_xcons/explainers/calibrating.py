"""Measures how far the heatmaps of a model are shifted against its images."""

import typing
import warnings

import numpy as np
import tensorflow as tf

from keras_xcons import checks
from keras_xcons.data import arguments
from keras_xcons.explainers.explaining import classes_of, explain, frame_of
from keras_xcons.explainers.flips import Axis, unturned
from keras_xcons.explainers.old_keyword import refuses_method
from keras_xcons.explainers.targets import most_likely
from keras_xcons.models import split
from keras_xcons.models.compiling import CompiledMaps
from keras_xcons.models.frame import WHOLE
from keras_xcons.models.offset import Offset, remember_offset

_FEWEST = 10
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
        image_size: `(height, width)` of the images, in pixels.
        doubts: Sentences that say why it is none to move maps by. Empty where it is.
    """

    rows: float
    columns: float
    rows_interval: tuple
    columns_interval: tuple
    images: int
    feature_layer: str
    offset: Offset
    image_size: tuple
    doubts: tuple = ()

    def to_card(self):
        """What a card says of it, plain values in pixels."""
        return {
            "rows": round(self.rows, 2),
            "columns": round(self.columns, 2),
            "rows_interval": [round(end, 2) for end in self.rows_interval],
            "columns_interval": [round(end, 2) for end in self.columns_interval],
            "images": self.images,
        }


@refuses_method
def calibrate(
    model,
    images,
    labels=None,
    *,
    feature_layer=None,
    explainer=None,
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
    file does not hold the offset; the card of a published model does. Measure it
    again after training, which moves it. An offset that the images do not tell is not
    remembered, and a warning says so: its interval is wider than a cell or ends at the
    farthest shift that is tried, or maps do not follow their images, as that of the
    image turned about is no nearer to the mirror image of the map than to the map.

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
        explainer: One of `keras_xcons.explainers.names()` whose maps lie on features.
            Defaults to the model's own, or `"gradcam++"` where it has none.
        batch_size: Number of images of an array computed at a time. Defaults to 32.
        token_grid: As for `keras_xcons.models.split`.
        seed: Seed of the bootstrap. Defaults to 0.
        remember: Whether the model keeps the offset, in the place of one that it has.
            Defaults to `True`.

    Returns:
        A `Calibration`.

    Raises:
        TypeError, ValueError: An argument is not as described, the maps have fewer
            than 3 rows or columns, fewer than 10 of them show anything, or the model
            shows them one side of its images alone.

    Example:

    >>> found = keras_xcons.calibrate(model, images)
    >>> round(found.rows), round(found.columns)
    (8, 8)
    >>> heatmaps = keras_xcons.explain(model, images)
    """
    view = split(model, feature_layer, token_grid=token_grid, align=False)
    if frame_of(view, explainer) is WHOLE:
        raise ValueError(
            "Maps of pixels lie where they are; calibrate maps of features. Received: "
            f"explainer={explainer!r}"
        )
    checks.positive_int("batch_size", batch_size)
    arguments.check_seed(seed)
    if not isinstance(remember, bool):
        raise TypeError(
            "`remember` must be True or False. Received: "
            f"remember={checks.shown(remember)}"
        )
    size, axes, costs = _flipped(view, images, labels, batch_size, explainer)
    shifts, gains = _shifts(axes, costs, seed)
    doubts = tuple(
        doubt
        for axis, each, gain in zip(axes, shifts, gains, strict=True)
        if (doubt := axis.doubt(*each, gain))
    )
    if doubts:
        warnings.warn(
            f"{' '.join(doubts)} The offset is not known, and not remembered: heatmaps "
            "of images and of their mirror images may show different things. Look at "
            "both, or take more, larger or other images, the class in `labels`, or "
            "another `feature_layer`.",
            stacklevel=3,  # `refuses_method` is between
        )
    offset, *ends = (Offset(*each) for each in zip(*shifts, strict=True))
    if remember and not doubts:
        remember_offset(view.model, view.feature_layer, offset)
    pixels, *ends = (view.frame.aligned(each).offset(size) for each in (offset, *ends))
    rows, columns = (tuple(sorted(pair)) for pair in zip(*ends, strict=True))
    return Calibration(
        *pixels,
        rows_interval=rows,
        columns_interval=columns,
        images=len(costs[0]),
        feature_layer=view.feature_layer,
        offset=offset,
        image_size=tuple(map(int, size)),
        doubts=doubts,
    )


def _flipped(view, images, labels, batch_size, explainer):
    """What maps of images and of their mirror images say, image by image.

    Returns:
        The size of the images, the two `Axis`, and for each an array `(B, D + 1)` of
        the images whose maps show anything: what its `differences` found, and last
        `unturned`.
    """
    logits = CompiledMaps(lambda batch, _: view(batch)[1])
    known = classes_of(view, explainer)
    axes, size, costs = None, None, ([], [])
    for batch, classes in _batches(images, labels, batch_size, view):
        if size not in (None, batch.shape[1:3]):
            raise ValueError(
                "Images to calibrate on must be of one size. Received: images of "
                f"{size} and {batch.shape[1:3]} pixels"
            )
        if classes is None:
            classes = most_likely(logits(batch), known)
        maps = _maps(view, batch, classes, explainer)
        if size is None:
            size = batch.shape[1:3]
            axes = _axes(view, size, maps.shape[1:])
        for along, (axis, found) in enumerate(zip(axes, costs, strict=True), 1):
            turned = _maps(view, np.flip(batch, along), classes, explainer)
            pair = [np.moveaxis(each, along, 1) for each in (maps, turned)]
            kept = unturned(*pair)[:, None]
            found.append(np.concatenate([axis.differences(*pair), kept], axis=1))
    if not costs[0]:
        raise ValueError(_too_few(0))
    costs = [np.concatenate(each) for each in costs]
    told = np.isfinite(np.concatenate(costs, axis=1)).all(axis=1)
    if told.sum() < _FEWEST:
        raise ValueError(_too_few(told.sum()))
    return size, axes, [each[told] for each in costs]


def _shifts(axes, costs, seed):
    """The best shift of each axis, what it brings, and both intervals.

    Returns:
        For each axis the best shift and the ends of its interval, in cells; and for
        each the lower end of that of the gain, see `Axis.doubt`.
    """
    count = len(costs[0])
    draws = np.random.default_rng(seed).multinomial(
        count, np.full(count, 1 / count), _RESAMPLES
    )
    found, gains = [], []
    for axis, each in zip(axes, costs, strict=True):
        mirrored, kept = each[:, :-1], each[:, -1]
        (best,) = axis.best(mirrored, np.ones((1, count)))
        ends = np.quantile(axis.best(mirrored, draws), [0.025, 0.975])
        found.append(tuple(map(float, (best, *ends))))
        gain = kept - mirrored[:, mirrored.mean(axis=0).argmin()]
        gains.append(float(np.quantile(draws @ gain / count, 0.025)))
    return found, gains


def _axes(view, size, grid):
    """Rows and columns of maps of a grid, of images of a size."""
    window = view.frame.window(size)
    try:
        expected = view.frame.aligned("geometric").offset(size)
    except ValueError:  # a layer of the user's that nothing can be followed through
        expected = 0.0, 0.0
    axes = []
    for name, span, cells, shift, side in zip(
        ("rows", "columns"), window, grid, expected, size, strict=True
    ):
        cell = float(span.end - span.first) * side / cells
        axes.append(Axis(name, span, cells, shift / cell))
    return axes


def _too_few(count):
    return (
        f"To calibrate takes at least {_FEWEST} images whose heatmaps show something. "
        f"Received: {count}"
    )


def _maps(view, images, classes, explainer):
    """Maps `(B, h, w)` as the explainer computes them, float64."""
    found = explain(
        view, images, classes, explainer, batch_size=len(images), resize=False
    )
    return found.astype("float64")


def _batches(images, labels, batch_size, view):
    """Yields float32 images, checked, and labels or `None`."""
    if isinstance(images, tf.data.Dataset):
        if labels is not None:
            raise ValueError(
                "Labels are given with an array of images. Received: labels with a "
                "tf.data.Dataset"
            )
        if images.cardinality() == tf.data.INFINITE_CARDINALITY:
            raise ValueError(
                "A dataset to calibrate on has to end: leave out `repeat`, or `take` "
                "some batches. Received: a dataset of infinitely many batches"
            )
        for batch in images:
            batch = batch[0] if isinstance(batch, tuple | list) else batch
            if isinstance(batch, dict):
                if "image" not in batch:
                    raise ValueError(
                        "Batches of a dataset that are dicts need the images under "
                        f"'image'. Received: a dict of {sorted(batch)}"
                    )
                batch = batch["image"]
            yield checks.image_batch(batch, view.input_shape), None
        return
    images = checks.image_batch(images, view.input_shape)
    if labels is not None:
        labels = checks.class_labels(labels, len(images), view.num_classes)
    for start in range(0, len(images), batch_size):
        part = slice(start, start + batch_size)
        yield images[part], None if labels is None else labels[part]
