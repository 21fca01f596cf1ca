"""Pictures of why a ProtoPNet decides: this looks like that."""

import numpy as np

from keras_xcons import checks
from keras_xcons.plotting.heatmaps import overlay
from keras_xcons.protopnet.patches import (
    activated_boxes,
    prototype_maps,
    prototype_similarities,
)
from keras_xcons.protopnet.view import prototype_view

_CELL = 2.1  # inches of an image's longer side
_TEXT = 1.7  # inches of the column of numbers
_HEAD, _TITLE = 0.5, 0.25  # inches of the head line and of the columns' titles
_BOX = "#ffe14a"  # bright on birds and leaves
_COLUMNS = ("this image", "similarity", "looks like that")


def this_looks_like_that(
    model, image, sources, label=None, class_names=None, top=3, percentile=95.0
):
    """Draws what speaks for a class: parts of an image beside those they look like.

    One row a prototype of the class, those that contribute most to its logit first:
    the image with the box of what the prototype looks at, the map of its similarity,
    the training image that the prototype was taken from with the box of it, and
    similarity times weight, which makes the contribution. Both boxes are drawn by
    the prototype as it is now and where the maps of the model lie now, also where
    their offset was measured after the push.

    Args:
        model: A ProtoPNet after a push, or its training model or `ClassifierView`.
        image: Array `(H, W, 3)`, uint8 or float in 0..255, as the model takes it.
        sources: The training images by `source_image`: a dict, as
            `keras_xcons.protopnet.patches.source_images` makes it, or an array;
            each as the model takes it.
        label: Int, the class to explain. Defaults to the predicted one.
        class_names: Sequence of the names of all classes, or `None` for numbers.
        top: Number of prototypes, or of all of the class if those are fewer.
            Defaults to 3.
        percentile: Share of the map, in 0..100, that is left outside of the boxes.
            Defaults to 95.

    Returns:
        A `matplotlib.figure.Figure`. Write it with `keras_xcons.plotting.save`.

    Raises:
        TypeError: `model` is no model, the image's values are not numbers, or `top`
            is no int.
        ValueError: `model` is no ProtoPNet or was not pushed yet, or an argument is
            not as described.
        KeyError: `sources` lacks the image of a prototype.

    Example:

    >>> sources = source_images(model, images_in_order)
    >>> figure = this_looks_like_that(model, image, sources)
    >>> save(figure, "this_looks_like_that.png")

    Reference:
        [Chen et al., 2019](https://arxiv.org/abs/1806.10574), figure 3
    """
    view = prototype_view(model)
    if not view.layer.pushed:
        raise ValueError(
            "Prototypes are parts of training images only after a push. Received: a "
            "model without sources; see `push_prototypes`"
        )
    checks.positive_int("top", top)
    images = checks.image_batch(np.asarray(image)[None], view.model.input_shape[1:])
    names = _checked_names(class_names, view.dense.units)
    similarities = prototype_similarities(view, images)[0]
    kernel = np.asarray(view.dense.kernel)
    logits = similarities @ kernel
    predicted = int(logits.argmax())
    if label is None:
        label = predicted
    (label,) = checks.class_labels([label], 1, view.dense.units, "label").tolist()
    contributions = similarities * kernel[:, label]
    members = np.flatnonzero(view.classes == label)
    order = members[np.argsort(-contributions[members], kind="stable")][:top]
    found = [_source(view.layer, sources, prototype) for prototype in order]
    maps = prototype_maps(view, np.repeat(images, len(order), axis=0), order)
    boxes = activated_boxes(maps, percentile)
    source_maps = prototype_maps(view, np.stack(found), order)
    source_boxes = activated_boxes(source_maps, percentile)

    figure, axes = _grid(len(order), images.shape[1:3])
    figure.suptitle(
        _headline(label, predicted, names, logits, contributions[members]),
        fontsize=10,
        fontweight="bold",
    )
    for title, axis in zip(_COLUMNS, axes[0], strict=False):
        axis.set_title(title, fontsize=9)
    for row, prototype in enumerate(order):
        pictures = (images[0], overlay(images[0], maps[row]), found[row])
        drawn = (boxes[row], boxes[row], source_boxes[row])
        for axis, picture, box in zip(axes[row], pictures, drawn, strict=False):
            axis.imshow(np.asarray(picture).astype("uint8"))
            _outline(axis, box, np.asarray(picture).shape[:2])
        axes[row, 3].text(
            0.0,
            0.5,
            f"prototype {prototype}\nof training image "
            f"{view.layer.source_image.numpy()[prototype]}\n\n"
            f"similarity  {similarities[prototype]:.2f}\n"
            f"× weight  {kernel[prototype, label]:.2f}\n"
            f"= contribution  {contributions[prototype]:.2f}",
            fontsize=8.5,
            linespacing=1.5,
            verticalalignment="center",
            transform=axes[row, 3].transAxes,
        )
    return figure


def _headline(label, predicted, names, logits, contributions):
    """The class and its logit, and what makes it up."""
    verb = "predicted" if label == predicted else "not predicted"
    own = contributions.sum()
    return (
        f"{names[label]} ({verb})\nlogit {logits[label]:.2f}: {own:+.2f} from its "
        f"{len(contributions)} prototypes, {logits[label] - own:+.2f} from the others"
    )


def _grid(rows, size):
    """A figure of three columns of images and one of text."""
    from matplotlib.figure import Figure

    height, width = (_CELL * side / max(size) for side in size)
    figure = Figure(
        figsize=(3 * width + _TEXT, rows * height + _HEAD + _TITLE),
        layout="constrained",
    )
    axes = figure.subplots(
        rows, 4, squeeze=False, width_ratios=[width, width, width, _TEXT]
    )
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[], frame_on=False)
    return figure, axes


def _outline(axis, box, size):
    from matplotlib.patches import Rectangle

    (top, left, bottom, right), (height, width) = box, size
    corner = (left * width - 0.5, top * height - 0.5)
    sides = ((right - left) * width, (bottom - top) * height)
    style = {"linewidth": 1.6, "edgecolor": _BOX, "facecolor": "none"}
    axis.add_patch(Rectangle(corner, *sides, **style))


def _source(layer, sources, prototype):
    """The training image that a prototype was taken from."""
    place = int(layer.source_image.numpy()[prototype])
    found = place in sources if isinstance(sources, dict) else place < len(sources)
    if not found:
        raise KeyError(
            "`sources` must hold the training image of every prototype that is drawn. "
            f"Received: sources without the image {place} of prototype {prototype}"
        )
    return sources[place]


def _checked_names(names, count):
    if names is None:
        return [f"class {label}" for label in range(count)]
    if isinstance(names, str) or len(names) != count:
        raise ValueError(
            f"`class_names` must be {count} strings, one a class. Received: "
            f"class_names={names!r}"
        )
    return list(names)
