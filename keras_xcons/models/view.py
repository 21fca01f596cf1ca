"""The one view of a classifier that every method shares.

Every explanation and every training method needs three things of a classifier:
its feature activations, its logits, and the gradient of a logit with respect to
the activations. `split` finds the first two; whether the third needs a gradient
tape at all is known from the head.
"""

import dataclasses

import keras
from keras import ops

from keras_xcons.layers import BinaryLogits
from keras_xcons.models.anatomy import (
    final_activation,
    find_features,
    find_logits,
    is_pooling,
    named_features,
)
from keras_xcons.models.flatten import flat_model, flatten, is_graph
from keras_xcons.models.memory import lock, memory_of, same_state, state_of

_PAIR_FEATURES = "features"


class TrainsClassifier:
    """Marks a model that trains another one and stands for it when explained.

    Attributes:
        classifier: The plain `keras.Model` that is trained.
    """

    classifier: keras.Model


@dataclasses.dataclass(frozen=True, eq=False)
class ClassifierView:
    """Features, logits and outputs of a classifier from one forward pass.

    Made by `split`; call it like the classifier.

    Attributes:
        model: The classifier as a `keras.Model`, untouched.
        flat: Functional model, images to `[activations, logits, outputs]`. It
            shares its layers, and so its weights, with `model`.
        feature_layer: Name of the layer whose output the activations are.
        dense: The `keras.layers.Dense` of a head that is global average pooling
            and one `Dense`, for which heatmaps have a closed form; else `None`.
        activation: What the model makes of its logits: `"softmax"`, `"sigmoid"`, or
            `None` where it returns them.
        asked: The feature layer that `split` was asked for, or `None`.
        state: What the model computed by when it was split, see
            `keras_xcons.models.memory.state_of`.
        explainers: What `explain` has made of this view, by method, so that it is
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
    feature_layer: str
    dense: keras.layers.Dense | None
    activation: str | None = None
    asked: str | None = None
    state: list | None = dataclasses.field(default=None, repr=False)
    explainers: dict = dataclasses.field(default_factory=dict, repr=False)

    def __call__(self, images, training=False):
        return tuple(self.flat(images, training=training))

    @property
    def current(self):
        """Whether the model computes as it did when it was split.

        Other values of its variables do not count: a view sees them.
        """
        return self.state is None or same_state(self.state, state_of(self.model))

    @property
    def closed_form(self):
        """Whether the class gradient is a column of the kernel at every location.

        The kernel of a quantized layer is no number to be read.
        """
        return self.dense is not None and self.dense.quantization_mode is None

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


def split(model, feature_layer=None, input_shape=(None, None, 3)):
    """Splits a classifier into features, logits and outputs, sharing its weights.

    Args:
        model: A functional or built Sequential `keras.Model`, with or without
            nested models, that maps one batch of images to one score a class; or
            a pair `(backbone, head)` of any two models or layers, where the
            backbone maps images to 4-D activations; or a training model of this
            package, which stands for its classifier; or a `ClassifierView`.
        feature_layer: Name of the layer whose output is explained, also inside a
            nested model. Defaults to the last 4-D activation before pooling.
        input_shape: `(H, W, channels)` of the images, only used for a pair whose
            backbone does not know it. Defaults to `(None, None, 3)`.

    Returns:
        A `ClassifierView`.

    Raises:
        TypeError: `model` is none of the above.
        ValueError: The model cannot be split, or `feature_layer` does not exist
            or is not 4-D. The message says what to pass instead.

    Example:

    >>> model = keras.applications.MobileNetV2(weights=None, classes=10)
    >>> view = keras_xcons.models.split(model)
    >>> view.feature_layer, view.closed_form
    ('out_relu', True)
    >>> activations, logits, outputs = view(images)
    """
    if isinstance(model, ClassifierView):
        if feature_layer in (None, model.feature_layer):
            if model.current:
                return model
            feature_layer = model.asked
        model = model.model
    if isinstance(model, TrainsClassifier):
        model = model.classifier
    with lock:
        if isinstance(model, tuple | list):
            model = _joined(model, input_shape)
            feature_layer = feature_layer or _PAIR_FEATURES
        _check_model(model)
        memory = memory_of(model)
        view = memory.get(feature_layer)
        if view is None or not view.current:
            view = _split(model, feature_layer)
            memory.put(feature_layer, view)
    return view


def _split(model, asked):
    flat = flatten(model)
    logits, dense, pooled = find_logits(flat.outputs[0])
    if asked is None:
        name, activations = find_features(logits)
    else:
        name, activations = asked, named_features(flat, asked)
    return ClassifierView(
        model=model,
        flat=_three_outputs(flat, activations, logits),
        feature_layer=name,
        dense=dense if is_pooling(pooled, activations) else None,
        activation=_checked_activation(flat.outputs[0]),
        asked=asked,
        state=state_of(model),
    )


def _joined(pair, input_shape):
    """One functional model of a (backbone, head) pair."""
    if len(pair) != 2 or not all(isinstance(part, keras.Layer) for part in pair):
        raise TypeError(
            "A pair to split must be two Keras models or layers, (backbone, head). "
            f"Received: model={pair}"
        )
    backbone, head = pair
    memory, key = memory_of(backbone), (id(head), tuple(input_shape))
    joined, state = memory.get(key) or (None, None)
    if joined is not None and same_state(state, state_of(joined)):
        return joined
    if is_graph(backbone) and backbone.built:
        input_shape = backbone.input_shape[1:]
    images = keras.Input(input_shape, name="images")
    try:
        activations = backbone(images)
        activations = keras.layers.Identity(name=_PAIR_FEATURES)(activations)
        outputs = head(activations)
    except Exception as error:
        raise ValueError(
            "The pair (backbone, head) could not be joined on images of shape "
            f"{input_shape}: {_first_line(error)} Pass `input_shape` with the "
            "(height, width, channels) that the backbone takes. Received: "
            f"model={pair}"
        ) from error
    joined = keras.Model(images, outputs, name=f"{backbone.name}_classifier")
    memory.put(key, (joined, state_of(joined)))
    return joined


def _check_model(model):
    if not isinstance(model, keras.Model):
        raise TypeError(
            "A classifier must be a `keras.Model`, or a pair (backbone, head). "
            f"Received: model={model!r} (of type {type(model).__name__})"
        )
    if not is_graph(model):
        raise ValueError(
            f"The subclassed model {type(model).__name__} cannot be split: it does "
            "not tell how its layers are connected. Pass a pair (backbone, head), "
            "where the backbone returns the 4-D activations and the head maps them "
            f"to one logit a class. Received: model={model}"
        )
    if not model.built or not getattr(model, "inputs", None):
        raise ValueError(
            "A Sequential model must be built before it is split. Give it a "
            "`keras.Input`, or call `model.build(input_shape)`. Received: "
            f"model={model}"
        )
    inputs = [tuple(tensor.shape) for tensor in model.inputs]
    outputs = [tuple(tensor.shape) for tensor in model.outputs]
    if [len(shape) for shape in inputs] != [4] or [len(s) for s in outputs] != [2]:
        raise ValueError(
            "A classifier must map one batch of images (batch, height, width, "
            "channels) to one score a class (batch, classes). Received: a model "
            f"with input shapes {inputs} and output shapes {outputs}"
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


def _first_line(error):
    return str(error).strip().splitlines()[0]
