"""The parts of a classifier that compares images with prototypes."""

import dataclasses
import functools

import keras
import numpy as np

from keras_xcons.models.frame import Frame
from keras_xcons.models.kinds import exactly
from keras_xcons.models.offset import alignment_of, check_pixels, checked_align
from keras_xcons.models.view import ClassifierView, TrainsClassifier
from keras_xcons.models.view_cache import State, cache_of, lock
from keras_xcons.protopnet.layers import Prototypes, PrototypeSimilarity


@dataclasses.dataclass(frozen=True, eq=False)
class PrototypeView:
    """The parts of a ProtoPNet. Made by `prototype_view`.

    Attributes:
        model: The classifier as a `keras.Model`, untouched.
        space: Functional model, images to the features that are compared with
            prototypes, `(B, locations, D)`.
        grid: `(h, w)`, the rows and columns that the locations form.
        layer: The `keras_xcons.protopnet.layers.Prototypes` of the classifier.
        similarity: Its `keras_xcons.protopnet.layers.PrototypeSimilarity`.
        dense: Its last layer, which weighs the prototypes.
        state: What the model computed by when its parts were found.
        compiled: What has been compiled of it, by name.
        align: Where maps are laid on images, as what it was made of was asked for, see
            `keras_xcons.split`.
    """

    model: keras.Model
    space: keras.Model
    grid: tuple
    layer: Prototypes
    similarity: PrototypeSimilarity
    dense: keras.layers.Dense
    state: State | None = dataclasses.field(default=None, repr=False)
    compiled: dict = dataclasses.field(default_factory=dict, repr=False)
    align: bool | str | tuple = True

    @property
    def add_on(self):
        """The layers between the backbone and the prototypes that have weights."""
        place = self.model.layers.index(self.model.get_layer("features"))
        end = self.model.layers.index(self.layer)
        return [layer for layer in self.model.layers[place:end] if layer.weights]

    @functools.cached_property
    def frame(self):
        """The `Frame` of the features, in their nominal placement."""
        # Not of what the prototypes take, whose cells stand in one line.
        return Frame(self.model.input, self.model.get_layer("features").output)

    def aligned_frame(self, align=True):
        """The `Frame` of the features, aligned as `keras_xcons.split` says.

        Args:
            align: As there. With `True` the view keeps its alignment.

        Returns:
            A `Frame`.

        Raises:
            TypeError, ValueError: `align` is nothing that `split` takes.
        """
        align = self.align if align is True else checked_align(align)
        check_pixels(align, self.model.input_shape[1:3])
        return self.frame.aligned(alignment_of(self.model, "features", align))

    @property
    def classes(self):
        """Int32 NumPy array `(m,)`, the class of each prototype."""
        counts = self.layer.prototypes_per_class
        return np.repeat(np.arange(len(counts)), counts).astype("int32")


def prototype_view(model):
    """Finds the parts of a ProtoPNet.

    Args:
        model: A classifier made by `create("protopnet", ...)`, or pruned or loaded;
            or a training model, `ClassifierView` or `PrototypeView` of one, whose
            alignment it keeps.

    Returns:
        A `PrototypeView`.

    Raises:
        TypeError: `model` is no `keras.Model`.
        ValueError: It is no ProtoPNet.

    Example:

    >>> model = keras_xcons.models.create("protopnet", 5, 64, backbone="small_cnn")
    >>> prototype_view(model).classes[:12]
    array([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1], dtype=int32)
    """
    if isinstance(model, PrototypeView):
        return model
    if isinstance(model, TrainsClassifier):
        model = getattr(model, "view", model.classifier)
    align = True
    if isinstance(model, ClassifierView):
        align, model = model.asked.align, model.model
    if not isinstance(model, keras.Model):
        raise TypeError(
            "A ProtoPNet must be a `keras.Model`. Received: model of type "
            f"{type(model).__name__}"
        )
    with lock:
        cache = cache_of(model)
        view = cache.get("prototypes")
        if view is None or not view.state.current:
            view = _found_parts(model)
            cache.put("prototypes", view)
    return view if align is True else dataclasses.replace(view, align=align)


def is_protopnet(model):
    """Whether a model is a ProtoPNet.

    Args:
        model: `keras.Model`.

    Returns:
        bool.

    Example:

    >>> is_protopnet(keras_xcons.load("shapes_cnn"))
    False
    """
    try:
        prototype_view(model)
    except (TypeError, ValueError):
        return False
    return True


def _found_parts(model):
    layers = {layer.name: layer for layer in model.layers}
    names = ("features", "prototypes", "similarity", "logits")
    kinds = (keras.Layer, Prototypes, PrototypeSimilarity, keras.layers.Dense)
    found = [layers.get(name) for name in names]
    fits = zip(found, kinds, strict=True)
    if not all(isinstance(layer, kind) for layer, kind in fits):
        raise ValueError(
            "The model is no ProtoPNet: it must be one flat model with the layers "
            f"{', '.join(names)}, as `create('protopnet', ...)` makes it. Received: "
            f"model={model.name!r}"
        )
    features, layer, similarity, dense = found
    if not exactly(dense, keras.layers.Dense) or dense.quantization_mode:
        raise ValueError(
            "The last layer of a ProtoPNet must be a `keras.layers.Dense` that is not "
            "quantized, as its kernel tells what a prototype speaks for. Received: "
            f"{type(dense).__name__} {dense.name!r} with "
            f"quantization_mode={dense.quantization_mode!r}"
        )
    return PrototypeView(
        model=model,
        space=keras.Model(model.input, layer.input, name="prototype_space"),
        grid=tuple(features.output.shape[1:3]),
        layer=layer,
        similarity=similarity,
        dense=dense,
        state=State(model),
    )
