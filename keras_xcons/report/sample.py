"""The images that a report shows, and what each model makes of them."""

import dataclasses

import numpy as np

from keras_xcons import checks


@dataclasses.dataclass(frozen=True, eq=False)
class SampleView:
    """What one model makes of one image.

    Attributes:
        predicted: Name of the predicted class.
        correct: Whether that is the image's label.
        confidence: Probability of the predicted class, in 0..1.
        consistency: Explanation consistency E of the image, or `None` or NaN where
            it has none.
        heatmap: Float array `(h, w)` in 0..1, of any size.
        adversary: Uint8 array `(H, W, 3)`, the image with its background attacked,
            or `None`.
        adversary_heatmap: Float array `(h, w)` in 0..1 of the adversary, or `None`.
        panels: Dict from a few words to a uint8 array `(H, W, 3)`, what else the
            explainer shows of the image. Defaults to nothing.

    Raises:
        ValueError: An attribute is not as described.

    Example:

    >>> SampleView("albatross", True, 0.93, None, heatmap, None, None).correct
    True
    """

    predicted: str
    correct: bool
    confidence: float
    consistency: float | None
    heatmap: np.ndarray
    adversary: np.ndarray | None
    adversary_heatmap: np.ndarray | None
    panels: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        checks.within("confidence", self.confidence, 0.0, 1.0)
        for name in ("heatmap", "adversary_heatmap"):
            value = getattr(self, name)
            if value is not None:
                _check_heatmap(name, np.asarray(value))
        for title, picture in self.panels.items():
            _check_picture(f"panels[{title!r}]", picture)
        if self.adversary is not None:
            _check_picture("adversary", self.adversary)
        elif self.adversary_heatmap is not None:
            raise ValueError(
                "An `adversary_heatmap` needs its `adversary`. Received: adversary=None"
            )


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
    """One image of the data set, the same for all models.

    Attributes:
        index: Its place in the data set.
        label: Name of its class, or of its classes.
        image: Uint8 array `(H, W, 3)`.
        boxes: Array `(N, 4)`, `ymin, xmin, ymax, xmax` in 0..1, of the objects, or
            `None`. Boxes without area are padding.
        mask: Boolean array `(H, W)`, true on the object, or `None`.
        views: Dict from the name of a model to its `SampleView`.

    Raises:
        ValueError: An attribute is not as described.

    Example:

    >>> sample = Sample(12, "albatross", image, boxes, None, {"plain": view})
    """

    index: int
    label: str
    image: np.ndarray
    boxes: np.ndarray | None
    mask: np.ndarray | None
    views: dict[str, SampleView]

    def __post_init__(self):
        _check_picture("image", self.image)
        size = self.image.shape[:2]
        if self.boxes is not None:
            shape = np.shape(self.boxes)
            if len(shape) != 2 or shape[1] != 4:
                raise ValueError(
                    "`boxes` must have the shape (boxes, 4). Received: boxes of shape "
                    f"{shape}"
                )
        if self.mask is not None and np.shape(self.mask) != size:
            raise ValueError(
                f"`mask` must have the shape {size} of the image. Received: mask of "
                f"shape {np.shape(self.mask)}"
            )


def _check_picture(name, picture):
    shape, dtype = np.shape(picture), getattr(picture, "dtype", None)
    if len(shape) != 3 or shape[2] != 3 or 0 in shape or dtype != np.uint8:
        raise ValueError(
            f"`{name}` must be a uint8 array (height, width, 3). Received: {name} of "
            f"shape {shape} and dtype {dtype}"
        )


def _check_heatmap(name, heatmap):
    inside = heatmap.ndim == 2 and heatmap.size > 0
    # Not `min < 0 or max > 1`, so that NaN is caught as well.
    if not inside or not (heatmap.min() >= 0.0 and heatmap.max() <= 1.0):
        raise ValueError(
            f"`{name}` must be an array (height, width) within 0..1. Received: {name} "
            f"of shape {heatmap.shape}"
            + (f" from {heatmap.min()} to {heatmap.max()}" if inside else "")
        )
