"""One function for all explainers: images in, heatmaps laid on them out."""

import warnings

import numpy as np
import tensorflow as tf

from keras_xcons import checks
from keras_xcons.explainers.old_keyword import refuses_method
from keras_xcons.explainers.registry import entry_of, own_or_usual
from keras_xcons.layers import check_normalize, scale_to_one
from keras_xcons.models import split
from keras_xcons.models.frame import WHOLE
from keras_xcons.models.offset import check_pixels


def explainer_of(view, explainer=None, multi_label=None):
    """What computes the heatmaps of a classifier, made once for a view.

    Args:
        view: `ClassifierView`.
        explainer: One of `keras_xcons.explainers.names()`. Defaults to the model's own,
            or `"gradcam++"` where it has none.
        multi_label: As for `explain`.

    Returns:
        A callable: images, float32 `(B, H, W, channels)` in 0..255, and labels,
        integers `(B,)` or `None` for the predicted class, to maps `(B, h, w)` in
        0..1. Its `frame` is the `keras_xcons.models.Frame` of the maps in their nominal
        placement; `frame_of` has the aligned one.

    Raises:
        ValueError: The explainer does not exist, or is not for such a classifier.

    Example:

    >>> explainer_of(keras_xcons.split(model), "gradcam")(images).shape
    TensorShape([16, 7, 7])
    """
    explainer = own_or_usual(view.model, explainer)
    entry = entry_of(explainer)
    key, arguments = (explainer,), {}
    if entry.by_probability:
        multi_label = view.multi_label if multi_label is None else multi_label
        arguments["multi_label"] = multi_label
        key = *key, multi_label, view.alignment  # Of which its masks are made.
    if key not in view.explainers:
        view.explainers[key] = entry.make(view, **arguments)
    return view.explainers[key]


def frame_of(view, explainer=None, multi_label=None):
    """Where the heatmaps of an explainer lie in the images, as the view aligns them.

    Args:
        view: `ClassifierView`.
        explainer: As for `explainer_of`.
        multi_label: As for `explain`.

    Returns:
        A `keras_xcons.models.Frame`.

    Raises:
        ValueError: As `explainer_of`.

    Example:

    >>> frame_of(keras_xcons.split(model)).place(maps, (224, 224)).shape
    TensorShape([16, 224, 224])
    """
    frame = explainer_of(view, explainer, multi_label).frame
    # Maps of pixels lie where they are.
    return frame if frame is WHOLE else frame.aligned(view.alignment)


def moved_frame_of(view, explainer=None, multi_label=None):
    """Where what an explainer lays on the images lies, as the view aligns it.

    Args:
        view: `ClassifierView`.
        explainer: As for `explainer_of`.
        multi_label: As for `explain`.

    Returns:
        A `keras_xcons.models.Frame`: that of the maps, or of an explainer that masks
        images with features, as `"scorecam"` does, that of the features.

    Raises:
        ValueError: As `explainer_of`.

    Example:

    >>> moved_frame_of(keras_xcons.split(model, align=(8, 8))).offset((224, 224))
    (8.0, 8.0)
    """
    frame = frame_of(view, explainer, multi_label)
    explainer = own_or_usual(view.model, explainer)
    return view.frame if entry_of(explainer).by_probability else frame


def classes_of(view, explainer=None, multi_label=None):
    """The classes that an explainer explains.

    Args:
        view: `ClassifierView`.
        explainer: As for `explainer_of`.
        multi_label: As for `explain`.

    Returns:
        List of ints; `None` where it explains all.

    Raises:
        ValueError: As `explainer_of`.

    Example:

    >>> classes_of(keras_xcons.split(xnn.model))
    [0, 3]
    """
    return getattr(explainer_of(view, explainer, multi_label), "classes", None)


@refuses_method
def explain(
    model,
    images,
    labels=None,
    explainer=None,
    feature_layer=None,
    batch_size=32,
    resize=True,
    multi_label=None,
    token_grid=None,
    align=True,
    normalize="max",
):
    """Heatmaps of where a classifier looks for a class.

    Args:
        model: A Keras classifier, nested or not; a pair `(backbone, head)`; a
            training model of this package; or a `ClassifierView` made once with
            `keras_xcons.models.split`.
        images: Array or tensor `(B, H, W, channels)`, uint8 or float, in 0..255.
        labels: Integers `(B,)`, the class to explain in each image, or `None` for
            the predicted one; where that is none that the explainer explains, the one
            of those with the highest score, with a warning. A model with one output z,
            a sigmoid or its logit, has two classes: 1 is explained by z, 0 by -z.
        explainer: One of `keras_xcons.explainers.names()`; some are for models of one
            family alone. Defaults to the model's own, as that of a COMET classifier,
            or `"gradcam++"` where it has none.
        feature_layer: Name of the layer to explain, a 4-D activation or tokens.
            Defaults to the last 4-D activation before pooling.
        batch_size: Number of images computed at a time. Defaults to 32.
        resize: Whether maps are resized (bilinearly) to the image, zero where the
            model crops it; else they have the resolution at which the explainer
            computes, and the frame of what the model makes of the image. Defaults to
            `True`.
        multi_label: Whether an image can be of several classes, which `"scorecam"`
            has to know. Defaults to what the model's final activation tells: yes
            for a sigmoid of several outputs.
        token_grid: `(h, w)`, the rows and columns that the tokens of `feature_layer`
            form, see `keras_xcons.models.split`.
        align: Where maps are laid on the images, which strided layers shift: `True`,
            by the model's measured offset where it is known; `False`, not moved;
            `"geometric"`; or `(rows, columns)` in pixels, see
            `keras_xcons.models.split`. Without effect on `"saliency"` and
            `"smoothgrad"`, which are maps of pixels. Defaults to `True`.
        normalize: `"max"`, a map divided by its maximum, or `"minmax"`, its minimum
            subtracted first, as wsolevaluation and pytorch-grad-cam do: maps of two
            choices are not comparable. Of the map as computed, before it is resized.
            An explainer may subtract the minimum in any case. Defaults to `"max"`.

    Returns:
        Float32 NumPy array `(B, H, W)` in 0..1. A map without any positive evidence
        is all zeros, and so is one that is the same everywhere with `"minmax"`.

    Raises:
        TypeError: `model` is no model, `images` are no numbers, or `method` is passed.
        ValueError: The model cannot be split, the feature layer or explainer does
            not exist or is not for this model, `normalize` is unknown, or images or
            labels are not as described.

    Example:

    >>> heatmaps = keras_xcons.explain(model, images)
    >>> heatmaps.shape
    (16, 224, 224)
    """
    checks.positive_int("batch_size", batch_size)
    check_normalize(normalize)
    view = split(model, feature_layer, token_grid=token_grid, align=align)
    compute = explainer_of(view, explainer, multi_label)
    frame = frame_of(view, explainer, multi_label)
    images = checks.image_batch(images, view.input_shape)
    check_pixels(view.alignment, images.shape[1:3])
    if labels is not None:
        labels = checks.class_labels(labels, len(images), view.num_classes)
    known = classes_of(view, explainer, multi_label)
    if known is not None and labels is None:
        _tell_of_others(view, images, known, batch_size)
    maps = []
    with view.state.calling():
        for start in range(0, len(images), batch_size):
            part = slice(start, start + batch_size)
            batch = tf.constant(images[part])
            classes = None if labels is None else tf.constant(labels[part])
            heat = compute(batch, classes)
            if normalize != "max":
                heat = scale_to_one(heat, normalize)
            if resize:
                heat = frame.place(heat, images.shape[1:3])
            maps.append(np.asarray(heat))
    return np.concatenate(maps)


def _tell_of_others(view, images, known, batch_size):
    """Warns of images whose predicted class is none that is explained."""
    count = 0
    for start in range(0, len(images), batch_size):
        logits = view(images[start : start + batch_size])[1]
        count += int((~np.isin(np.argmax(logits, axis=-1), known)).sum())
    if count:
        warnings.warn(
            f"Of {count} of {len(images)} images the predicted class is not explained: "
            f"the explainer explains the classes {known} alone, and shows the one of "
            "them with the highest score. Pass `labels` to choose",
            stacklevel=4,
        )
