"""The job of `keras-xcons calibrate`: a model and images in, an offset out."""

import os
import pathlib
import warnings

import numpy as np

from keras_xcons import data, explainers, models
from keras_xcons.data import arguments, image_files, images, photographs, splits
from keras_xcons.models.frame import WHOLE
from keras_xcons.models.offset import forget_offset
from keras_xcons.recipes.opening import open_model

_BATCH_SIZE = 16
_IMAGE_SIZE = 224
_MOST_IMAGES = 100_000
# Images of a training set that suffice.
_CALIBRATED = 200


def calibrate_model(
    name_or_path,
    dataset=None,
    paths=(),
    *,
    split=None,
    images=200,
    explainer=None,
    feature_layer=None,
    seed=0,
    report=print,
):
    """Measures how far the heatmaps of a model are shifted against its images.

    Annotations are not used. Neither a `.keras` file nor a card is changed.

    Args:
        name_or_path: The model, see `open_model`.
        dataset: Name or folder of a data set. Give either it or paths.
        paths: Image files, and folders of them, of any layout. A file that is given
            twice counts once.
        split: Split of the data set. Defaults to `None`: `"train"`.
        images: Number of images to measure on, spread over the data set or the
            paths. Defaults to 200.
        explainer: One of `keras_xcons.explainers.names()` whose maps lie on features.
        feature_layer: Name of the layer whose maps are measured, `None` for the one
            that is explained.
        seed: Seed of the intervals. Defaults to 0.
        report: Function that is told each line for the user. Defaults to `print`.

    Returns:
        A `keras_xcons.explainers.Calibration`.

    Raises:
        TypeError, ValueError, OSError: The model, the data or an argument will not
            do; or as `keras_xcons.calibrate`.

    Example:

    >>> found = calibrate_model("shapes_cnn", "shapes")
    """
    arguments.check_count(images, "images", _MOST_IMAGES)
    if (dataset is None) == (not paths):
        raise ValueError(
            "Calibrate on a data set, or on image files and folders of them. "
            f"Received: dataset={dataset!r} and {len(paths)} paths"
        )
    if paths and split is not None:
        raise ValueError(
            "A split is one of a data set, image files have none: leave `split` out, "
            f"or give `dataset`. Received: split={split!r} with {len(paths)} paths"
        )
    model, _ = open_model(name_or_path)
    view = models.split(model, feature_layer, align=False)
    height, width = view.input_shape[:2]
    size = (_IMAGE_SIZE, _IMAGE_SIZE) if height is None else (height, width)
    if dataset is None:
        batches = _photographs(paths, images, size)
    else:
        batches = images_of(dataset, split or "train", images, size)
    found = explainers.calibrate(
        model, batches, feature_layer=feature_layer, explainer=explainer, seed=seed
    )
    for axis in ("rows", "columns"):
        low, high = getattr(found, f"{axis}_interval")
        value = getattr(found, axis)
        report(f"{axis:8}{value:+7.2f} px  [{low:+.2f}, {high:+.2f}]")
    report(
        f"{found.images} images of {size[0]} x {size[1]} px, layer "
        f"{found.feature_layer}; positive moves heatmaps down and to the right"
    )
    if found.doubts:
        # The warning has said what to do; numbers to move maps by are not to be had.
        report("The offset is not known.")
        return found
    # A `.keras` file cannot keep it, and the card of a model is its publisher's.
    commands, layer = "explain and evaluate", ""
    if not _is_found(model, found.feature_layer):
        # `explain` has no flag for another layer.
        commands, layer = "evaluate", f"--feature_layer={found.feature_layer} "
    report(
        f"For {commands}, of this model alone: "
        f"{layer}--align={found.rows:.2f},{found.columns:.2f}"
    )
    return found


def calibrate_trained(model, dataset, explainer=None, **arguments):
    """Measures the offset of a model that a job has trained, on its training images.

    An offset that is in doubt is taken from the model, too: what it had before it was
    trained holds no more.

    Args:
        model: The trained `keras.Model`, which remembers the offset.
        dataset: Name or folder of the data set.
        explainer: As for `calibrate_model`.
        **arguments: As for `images_of`.

    Returns:
        A `keras_xcons.explainers.Calibration`, of 200 images of the split "train",
        spread over it; `None` for maps of too few cells to be calibrated, for those
        that lie where they are, and where the offset is in doubt.

    Example:

    >>> calibrate_trained(model, "shapes")
    """
    view = models.split(model)
    if min(view.flat.outputs[0].shape[1:3]) < explainers.FEWEST_CELLS:
        return None
    if explainers.frame_of(view, explainer) is WHOLE:
        return None
    size = model.input_shape[1:3]
    images = images_of(dataset, "train", _CALIBRATED, size, **arguments)
    with warnings.catch_warnings():
        # No user asked for it; what follows from a doubt is done here.
        warnings.filterwarnings("ignore", ".*The offset is not known")
        found = explainers.calibrate(model, images, explainer=explainer)
    if found.doubts:
        forget_offset(view.model, found.feature_layer)
        return None
    return found


def _is_found(model, layer):
    """Whether a layer is the one that is explained where none is named."""
    try:
        return models.split(model).feature_layer == layer
    except ValueError:  # a vision transformer has to be told one
        return False


def images_of(dataset, split, count, image_size, **arguments):
    """Images of a data set to calibrate on, without annotations.

    Args:
        dataset: Name or folder of the data set.
        split: Its split.
        count: Number of images, spread over the split; all where it has no more.
        image_size: `(height, width)` in pixels.
        **arguments: Further ones of `keras_xcons.data.load`.

    Returns:
        `tf.data.Dataset` of batches `(images, labels)`.

    Example:

    >>> found = keras_xcons.calibrate(model, images_of("shapes", "train", 200, 64))
    """
    part = splits.spread(split, data.info(dataset).splits, count)
    how = {"image_size": image_size, "batch_size": _BATCH_SIZE, **arguments}
    return data.load(dataset, part, **how)


def _photographs(paths, count, size):
    """Uint8 `(N, H, W, 3)` of the files that are meant, or of `count` of them."""
    files = []
    for path in map(pathlib.Path, paths):
        files += image_files.find(path)[0] if path.is_dir() else [path]
    # Intervals would be too narrow if an image counted twice.
    files = list({os.path.realpath(path): path for path in files}.values())
    if len(files) > count:
        places = np.linspace(0, len(files) - 1, count).round().astype(int)
        files = [files[place] for place in places]
    # A byte a value: they wait together for the network.
    shown = np.zeros((len(files), *size, 3), "uint8")
    for place, path in enumerate(files):
        shown[place] = np.rint(images.resize_image(photographs.read(path), size))
    return shown
