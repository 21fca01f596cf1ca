"""The one view of a classifier that all share.

Every explainer and every training method needs three things of a classifier:
its feature activations, its logits, and the gradient of a logit with respect to
the activations. `split` finds the first two; whether the third needs a gradient
tape at all is known from the head.
"""

import dataclasses
import functools
import typing

import keras
from keras import ops

from keras_xcons import checks
from keras_xcons.layers import BinaryLogits
from keras_xcons.models.accepting import (
    PAIR_FEATURES,
    TrainsClassifier,
    check_model,
    joined,
)
from keras_xcons.models.flatten import flat_model, flatten, with_detour
from keras_xcons.models.frame import Frame
from keras_xcons.models.graph_parts import (
    final_activation,
    find_features,
    find_logits,
    is_pooling,
    named_features,
)
from keras_xcons.models.grids import FromMap, to_map
from keras_xcons.models.layouts import layouts
from keras_xcons.models.offset import alignment_of, check_pixels, checked_align
from keras_xcons.models.view_cache import State, cache_of, lock


class SplitOptions(typing.NamedTuple):
    """What `split` was asked for: a layer, the grid of its tokens, the alignment."""

    feature_layer: str | None = None
    token_grid: tuple | None = None
    align: bool | str | tuple = True


@dataclasses.dataclass(frozen=True, eq=False)
class ClassifierView:
    """Features, logits and outputs of a classifier from one forward pass.

    Made by `split`; call it like the classifier.

    Attributes:
        model: The classifier as a `keras.Model`, untouched.
        flat: Functional model, images to `[activations, logits, outputs]`. It
            shares its layers, and so its weights, with `model`.
        feature_layer: Name of their layer; `None` for a view of logits alone.
        dense: The `keras.layers.Dense` of a head that is global average pooling
            and one `Dense`, for which heatmaps have a closed form; else `None`.
        activation: What the model makes of its logits: `"softmax"`, `"sigmoid"`, or
            `None` where it returns them.
        asked: `SplitOptions`, what `split` was asked for.
        state: What the model computed by when it was split, see
            `keras_xcons.models.view_cache.State`.
        explainers: What `explain` has made of this view, by explainer, so that it is
            compiled once.

    Call arguments:
        images: Tensor `(B, H, W, 3)` as the classifier takes it.
        training: Whether to run in training mode. Defaults to `False`.

    Returns, when called:
        `(activations, logits, outputs)`: `(B, h, w, K)`, `(B, C)` before any
        softmax or sigmoid, and what `model(images)` returns, to the bit. A model
        with one output z tells two classes apart, whose logits are (0, z).
    """

    model: keras.Model
    flat: keras.Model
    feature_layer: str | None
    dense: keras.layers.Dense | None
    activation: str | None = None
    asked: SplitOptions = SplitOptions()
    state: State | None = dataclasses.field(default=None, repr=False)
    explainers: dict = dataclasses.field(default_factory=dict, repr=False)

    def __call__(self, images, training=False):
        return tuple(self.flat(images, training=training))

    @property
    def current(self):
        """Whether the model computes as it did when it was split.

        Other values of its variables do not count: a view sees them.
        """
        return self.state is None or self.state.current

    @property
    def closed_form(self):
        """Whether the class gradient is a column of the kernel at every location.

        The kernel of a quantized layer is no number to be read.
        """
        return self.dense is not None and self.dense.quantization_mode is None

    @property
    def frame(self):
        """The `Frame` of the activations: where in the images their cells lie."""
        return self._frame.aligned(self.alignment)

    @property
    def alignment(self):
        """How maps are laid on images, as `Frame.aligned` takes it.

        What was asked for; by default the offset that was measured of the model, see
        `keras_xcons.calibrate`, and the nominal placement where none was.
        """
        return alignment_of(self.model, self.feature_layer, self.asked.align)

    @functools.cached_property
    def _frame(self):
        return Frame(self.flat.inputs[0], self.flat.outputs[0])

    @property
    def num_classes(self):
        """Number of classes, the size of the logits: 2 for a model with one output."""
        return self.flat.outputs[1].shape[-1]

    @property
    def binary(self):
        """Whether the model has one output, for the second of two classes."""
        return self.flat.outputs[2].shape[-1] == 1

    @property
    def multi_label(self):
        """Whether the model gives each class a probability of its own, by a sigmoid."""
        return self.activation == "sigmoid" and not self.binary

    def probabilities(self, logits, multi_label=None):
        """What logits say of each class.

        Args:
            logits: Float tensor `(B, C)`, as the view gives them.
            multi_label: Whether an image can be of several classes. Defaults to what
                the model's final activation tells.

        Returns:
            Float32 tensor `(B, C)`: softmax, or sigmoid where an image can be of
            several classes.
        """
        several = self.multi_label if multi_label is None else multi_label
        logits = ops.cast(logits, "float32")
        return ops.sigmoid(logits) if several else ops.softmax(logits)

    def names(self, class_names):
        """Names of all classes: of a model with one output, one name will do.

        Args:
            class_names: Sequence of strings.

        Returns:
            Tuple of strings.
        """
        if self.binary and len(class_names) == 1:
            return f"not {class_names[0]}", str(class_names[0])
        return tuple(str(name) for name in class_names)

    @property
    def input_shape(self):
        """`(H, W, channels)` of the images; `None` where any size is taken."""
        return tuple(self.flat.inputs[0].shape[1:])


def split(
    model,
    feature_layer=None,
    input_shape=(None, None, 3),
    *,
    token_grid=None,
    align=True,
    needs_features=True,
):
    """Splits a classifier into features, logits and outputs, sharing its weights.

    Args:
        model: A functional or built Sequential `keras.Model`, with or without
            nested models, that maps one batch of images to one score a class; or
            a pair `(backbone, head)` of any two models or layers, where the
            backbone maps images to 4-D activations; or a training model of this
            package, which stands for its classifier; or a `ClassifierView`.
        feature_layer: Name of the layer whose output is explained, also inside a
            nested model. Defaults to the last 4-D activation before pooling. May have
            an output of tokens `(B, tokens, K)`, as in a vision transformer; choose
            one before the last attention, as behind it the tokens of the image have
            no part in a class token that the model decides by.
        input_shape: `(H, W, channels)` of the images, only used for a pair whose
            backbone does not know it. Defaults to `(None, None, 3)`.
        token_grid: `(h, w)`, the rows and columns of the image that tokens stand
            for, the last `h * w` of them: class tokens and registers come first.
            Defaults to what the model tells, or else to a square, with or without
            one class token.
        align: Where heatmaps are laid on images. Strided layers that pad on one side
            shift a map against what the network looks at. `True`: by the model's
            measured offset where it is known, from its card or by
            `keras_xcons.calibrate`; else not moved. `False`: not moved.
            `"geometric"`: by the strides and paddings of the graph, which is right
            for symmetric kernels; training undoes a part. Or an offset
            `(rows, columns)` in pixels of the images, positive for down and to the
            right. Defaults to `True`.
        needs_features: Whether a model without a map of features is refused.

    Returns:
        A `ClassifierView`.

    Raises:
        TypeError: `model` is none of the above.
        ValueError: The model cannot be split, its features tell nothing of where the
            evidence lies, as attention comes behind them, or `feature_layer` does not
            exist or is no map and no grid of tokens, or `align` is none of the above.
            The message says what to pass instead.

    Example:

    >>> model = keras.applications.MobileNetV2(weights=None, classes=10)
    >>> view = keras_xcons.models.split(model)
    >>> view.feature_layer, view.closed_form
    ('out_relu', True)
    >>> activations, logits, outputs = view(images)
    """
    if not needs_features:
        where = {"token_grid": token_grid, "align": align}
        try:
            return split(model, feature_layer, input_shape, **where)
        except ValueError:
            return _without_features(model, input_shape)
    if token_grid is not None:
        token_grid = checks.image_size(token_grid, "token_grid")
    asked = SplitOptions(feature_layer, token_grid, checked_align(align))
    view = model if isinstance(model, ClassifierView) else None
    if isinstance(model, TrainsClassifier):
        # That of a training model has the feature layer that it trains for.
        view, model = getattr(model, "view", None), model.classifier
    if view is not None:
        if asked.align is True:  # A view keeps its alignment.
            asked = asked._replace(align=view.asked.align)
        same = view.asked._replace(align=asked.align)
        if asked in (
            same,
            SplitOptions(align=asked.align),
            SplitOptions(view.feature_layer, align=asked.align),
        ):
            if view.current:
                return _realigned(view, asked.align)
            asked = same
        model = view.model
    with lock:
        if isinstance(model, tuple | list):
            model = joined(model, input_shape)
            asked = asked._replace(feature_layer=feature_layer or PAIR_FEATURES)
        check_model(model)
        cache = cache_of(model)
        view = cache.get(asked)
        if view is None or not view.current:
            plain = asked._replace(align=True)
            view = cache.get(plain)
            if view is None or not view.current:
                view = _split(model, plain)
                cache.put(plain, view)
            view = _realigned(view, asked.align)
            cache.put(asked, view)
    return view


def _without_features(model, input_shape):
    """The view of a classifier without a feature map, for its logits alone."""
    with lock:
        if isinstance(model, TrainsClassifier):
            model = model.classifier
        if isinstance(model, tuple | list):
            model = joined(model, input_shape)
        check_model(model)
        memory, key = cache_of(model), "logits alone"
        view = memory.get(key)
        if view is None or not view.current:
            flat = flatten(model)
            logits, _, _ = find_logits(flat.outputs[0])
            view = ClassifierView(
                model=model,
                flat=_three_outputs(flat, logits, logits),
                feature_layer=None,
                dense=None,
                activation=_checked_activation(flat.outputs[0]),
                state=State(model),
            )
            memory.put(key, view)
    return view


def _realigned(view, align):
    """A view with another alignment, which shares the graph and its explainers."""
    if align == view.asked.align:
        return view
    check_pixels(align, view.input_shape[:2])
    return dataclasses.replace(view, asked=view.asked._replace(align=align))


def _split(model, asked):
    flat = flatten(model)
    logits, dense, pooled = find_logits(flat.outputs[0])
    found = layouts(flat)
    if asked.feature_layer is None:
        name, features = find_features(logits, found)
    else:
        name = asked.feature_layer
        features = named_features(flat, name, found)
    there = to_map(
        name, features, found[id(features)], asked.token_grid, flat.inputs[0].shape[1:]
    )
    three = _three_outputs(flat, features, logits)
    if there is not None:
        three = with_detour(three, features, there, FromMap(there))
    closed = there is None and is_pooling(pooled, features)
    return ClassifierView(
        model=model,
        flat=three,
        feature_layer=name,
        dense=dense if closed else None,
        activation=_checked_activation(flat.outputs[0]),
        asked=asked,
        state=State(model),
    )


def _checked_activation(output):
    """The final activation of a model, which must leave something to tell."""
    activation = final_activation(output)
    if activation == "softmax" and output.shape[-1] == 1:
        raise ValueError(
            "A softmax over one score is 1 for every image. End a classifier with one "
            "output in a sigmoid, or in its logit. Received: a model with output shape "
            f"{tuple(output.shape)} and a softmax"
        )
    return activation


def _three_outputs(flat, activations, logits):
    """The flat model with activations and logits as outputs beside its own."""
    if logits.shape[-1] == 1:
        logits = BinaryLogits(dtype=logits.dtype)(logits)
    return flat_model(flat.inputs[0], [activations, logits, flat.outputs[0]])
