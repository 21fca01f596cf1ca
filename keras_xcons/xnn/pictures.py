"""Pictures of what a class's score adds up of."""

import numpy as np

from keras_xcons import checks
from keras_xcons.explainers import as_pictures
from keras_xcons.models import split
from keras_xcons.plotting import overlay
from keras_xcons.xnn.evidence import check_classes, check_current
from keras_xcons.xnn.features import check_dataset, feature_pass
from keras_xcons.xnn.network import xnn_view

_CELL = 2.1  # inches of an image's longer side
_HEAD, _TITLE, _FOOT = 0.5, 0.42, 0.3  # inches of the lines of text


def strongest_images(xnn, dataset, classes=None, count=3):
    """The images of a data set on which each x-feature of a class is strongest.

    Args:
        xnn: Fitted `keras_xcons.XNN`.
        dataset: Iterable of batches of images, or of `(images, ...)`; as a rule of the
            training images. It is read once.
        classes: Sequence of ints, classes that have a network. Defaults to all of
            them.
        count: Number of images of an x-feature. Defaults to 3.

    Returns:
        Dict from a class to a list of one uint8 array `(count, H, W, 3)` an x-feature,
        the strongest first; fewer images where the data set has no more.

    Raises:
        TypeError, ValueError: A class has no network, the networks are not fitted, or
            the data set has no images.

    Example:

    >>> examples = strongest_images(xnn, train_ds)[3]
    """
    checks.positive_int("count", count)
    _check_xnn(xnn)
    check_dataset(dataset)
    networks, view = xnn.networks, split(xnn.classifier)
    check_current(xnn_view(xnn.model))
    classes = networks.classes if classes is None else np.ravel(classes).tolist()
    check_classes(np.asarray(classes), networks)
    run = feature_pass(view, networks.classes)
    kept = {label: [[] for _ in range(networks.num_features)] for label in classes}
    shown, seen = {}, 0
    for batch in dataset:
        images = batch[0] if isinstance(batch, tuple | list) else batch
        images = checks.image_batch(images, view.input_shape)
        every = np.asarray(networks.x_features(run(images)[0]))
        for label, each in kept.items():
            found = every[:, networks.classes.index(label)]
            for place, best in enumerate(each):
                # Places tell images of the same strength apart, and which came first.
                best += [(v, -seen - n) for n, v in enumerate(found[:, place].tolist())]
                best.sort(reverse=True)
                del best[count:]
        needed = {
            -place for each in kept.values() for best in each for _, place in best
        }
        pictures = as_pictures(images)
        shown |= {n: pictures[n - seen] for n in needed if n >= seen}
        shown = {n: shown[n] for n in needed}
        seen += len(images)
    if not seen:
        raise ValueError(
            "The data set has no images to choose the strongest of. Received: an empty "
            "data set"
        )
    return {
        label: [np.stack([shown[-place] for _, place in best]) for best in each]
        for label, each in kept.items()
    }


def what_adds_up(xnn, image, label=None, examples=None, class_names=None):
    """Draws an image with its significant x-features and what each contributes.

    The image, then each significant x-feature, the largest contribution first: its
    heatmap on the image, and below it the images on which it is strongest. The line
    below adds the contributions up to the class's score.

    Args:
        xnn: Fitted `keras_xcons.XNN`.
        image: Array `(H, W, 3)`, uint8 or float in 0..255.
        label: Int, the class to explain. Defaults to the one with a network that the
            classifier gives the highest score.
        examples: What `strongest_images` returns for the class, a list, or `None`.
        class_names: Sequence of the names of all classes, or `None` for numbers.

    Returns:
        A `matplotlib.figure.Figure`. Write it with `keras_xcons.plotting.save`.

    Raises:
        TypeError, ValueError: As `keras_xcons.XNN.explain`.

    Example:

    >>> figure = what_adds_up(xnn, image, examples=examples)
    >>> kx.plotting.save(figure, "x_features.png")
    """
    from matplotlib.figure import Figure

    _check_xnn(xnn)
    image = np.asarray(image)
    if image.ndim != 3:
        raise ValueError(
            "`image` must be one image (height, width, channels). Received: an image "
            f"of shape {image.shape}"
        )
    count, known = xnn.networks.num_features, split(xnn.classifier).num_classes
    if examples is not None and (
        not isinstance(examples, list | tuple) or len(examples) != count
    ):
        raise ValueError(
            f"`examples` must be a list of {count} arrays of images, one an x-feature, "
            "as `strongest_images` returns it for a class. Received: "
            f"a {type(examples).__name__} of {len(examples)}"
        )
    if class_names is not None and len(class_names) != known:
        raise ValueError(
            f"`class_names` must be {known} names, one a class. Received: "
            f"{len(class_names)} names"
        )
    labels = None if label is None else [label]
    found = xnn.explain(image[None], labels)
    given, kept = found.contributions[0], np.flatnonzero(found.significant[0])
    order = kept[np.argsort(-given[kept], kind="stable")]
    rows = 1 if examples is None else 1 + max(len(each) for each in examples)
    columns = 1 + max(1, len(order))
    height, width = (_CELL * side / max(image.shape[:2]) for side in image.shape[:2])
    figure = Figure(
        figsize=(columns * width, rows * height + _HEAD + _TITLE + _FOOT),
        layout="constrained",
    )
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[], frame_on=False)
    picture = as_pictures(image[None])[0]
    axes[0, 0].imshow(picture)
    axes[0, 0].set_title("image", fontsize=9)
    for column, place in enumerate(order, 1):
        axes[0, column].imshow(overlay(picture, found.heatmaps[0, place]))
        axes[0, column].set_title(
            f"x-feature {place + 1}\n{given[place]:+.2f}", fontsize=9
        )
        for row, example in enumerate([] if examples is None else examples[place], 1):
            axes[row, column].imshow(example)
    if examples is not None:
        axes[1, 0].text(
            1.0,
            0.5,
            "strongest on",
            transform=axes[1, 0].transAxes,
            ha="right",
            va="center",
            fontsize=9,
        )
    number = int(found.classes[0])
    name = f"class {number}" if class_names is None else class_names[number]
    figure.suptitle(name, fontsize=11, fontweight="bold")
    rest = given.sum() - given[order].sum()
    terms = [f"{given[place]:+.2f}" for place in order]
    figure.supxlabel(
        f"{' '.join(terms)} {rest:+.2f} (others) {found.bias[0]:+.2f} (bias) = "
        f"{found.scores[0]:.2f}; the classifier gives {found.logits[0]:.2f}",
        fontsize=8,
    )
    return figure


def _check_xnn(xnn):
    """Refuses a model in the place of what has fitted it."""
    if not hasattr(xnn, "networks"):
        raise TypeError(
            "`xnn` must be a keras_xcons.XNN: of a model that has explanation networks "
            f"it is keras_xcons.XNN(model). Received: a {type(xnn).__name__}"
        )
