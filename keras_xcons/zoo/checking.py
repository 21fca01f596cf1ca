"""What a published model must answer on a fixed image."""

import keras
import numpy as np

from keras_xcons import checks
from keras_xcons.explainers import classes_of, explain, most_likely
from keras_xcons.models import split
from keras_xcons.models.policy import dtype_policy
from keras_xcons.models.weights import load_weights
from keras_xcons.zoo.building import build

_DIGITS = 6  # of float32's seven
# Our choice: coarse enough for a card, fine enough to tell two models apart.
_CELLS = 8


def check_image(input_size):
    """Returns the fixed image on which the answers of published models are compared.

    Whole numbers alone make it, so that it is the same everywhere and for good: rings
    around the upper left corner, finer the farther they are from it, in each channel
    of another width, over slanted stripes. Our choice; it shows nothing.

    Args:
        input_size: Image size in pixels, an int or a pair `(height, width)`.

    Returns:
        uint8 NumPy array `(height, width, 3)`.

    Raises:
        ValueError: `input_size` is not one or two positive ints.

    Example:

    >>> check_image((2, 3))[..., 0]
    array([[  0,   3,   6],
           [  7,  10,  13]], dtype=uint8)
    """
    height, width = checks.image_size(input_size)
    y, x, channel = np.ogrid[:height, :width, :3]
    rings = (y * y + x * x) * (channel + 1) // 16
    stripes = 3 * x + 7 * y + 85 * channel
    return ((rings + stripes) % 256).astype("uint8")


def answers(card, path):
    """Returns what a published model answers to the check image, in float32.

    Args:
        card: Its card.
        path: `pathlib.Path` of its weights file, already checked.

    Returns:
        Dict: `logits`, a list of floats, one a class, rounded to six significant
        digits; and `heatmap`, a list of rows, the map of the predicted class by the
        card's explainer, not aligned, as the means of 8 x 8 parts of the image, or of
        its pixels where it has fewer, rounded to four digits.

    Raises:
        ValueError: There is no such explainer, or it is not for this model.
    """
    with dtype_policy("float32"):
        model = build(card)
        load_weights(model, path)
        image = check_image(tuple(card["input_size"]))
        logits = keras.ops.convert_to_numpy(model(image[None], training=False))[0]
        # Not aligned: an offset that is measured anew is no other model.
        view = split(model, card["feature_layer"], align=False)
        known = classes_of(view, card["explainer"])
        # Of the classes that are explained, where those are not all.
        label = None if known is None else most_likely(view(image[None])[1], known)
        heatmap = explain(view, image[None], label, card["explainer"])[0]
    return {
        "logits": [float(f"{logit:.{_DIGITS}g}") for logit in logits],
        "heatmap": _coarse(heatmap),
    }


def _coarse(heatmap):
    """Means of the parts of a map `(H, W)`, a list of rows."""
    return [
        [
            round(float(cell.mean()), 4)
            for cell in np.array_split(row, min(_CELLS, row.shape[1]), axis=1)
        ]
        for row in np.array_split(heatmap, min(_CELLS, len(heatmap)))
    ]


def difference(expected, received):
    """Returns how far numbers lie apart, as a share of the largest that is expected.

    Args:
        expected: Sequence of numbers, or of such sequences.
        received: Another.

    Returns:
        Float: NaN where one of the numbers is, infinite where the shapes differ.
    """
    expected, received = np.asarray(expected, float), np.asarray(received, float)
    if expected.shape != received.shape:
        return float("inf")
    largest = max(float(np.max(np.abs(expected))), np.finfo("float32").tiny)
    return float(np.max(np.abs(received - expected))) / largest
