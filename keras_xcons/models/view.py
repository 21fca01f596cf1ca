"""The one view of a classifier that every method shares.

Every explanation and every training method needs three things of a classifier:
its feature activations, its logits, and the gradient of a logit with respect to
the activations. `split` finds the first two; whether the third needs a gradient
tape at all is known from the head.
"""

import dataclasses

import keras

from keras_xcons import checks
from keras_xcons.layers import Logits
from keras_xcons.models.flatten import flatten, is_graph, unique_names

# Layers that only gather, drop or reorder what the features before them hold.
_PASSIVE = (
    keras.layers.AveragePooling2D,
    keras.layers.Dropout,
    keras.layers.Flatten,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.MaxPooling2D,
    keras.layers.Reshape,
    keras.layers.SpatialDropout2D,
    keras.layers.ZeroPadding2D,
)
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

    Call arguments:
        images: Tensor `(B, H, W, 3)` as the classifier takes it.
        training: Whether to run in training mode. Defaults to `False`.

    Returns, when called:
        `(activations, logits, outputs)`: `(B, h, w, K)`, `(B, C)` before any
        softmax or sigmoid, and what `model(images)` returns, to the bit.
    """

    model: keras.Model
    flat: keras.Model
    feature_layer: str
    dense: keras.layers.Dense | None

    def __call__(self, images, training=False):
        return tuple(self.flat(images, training=training))

    @property
    def closed_form(self):
        """Whether the class gradient is the same at every location."""
        return self.dense is not None

    @property
    def num_classes(self):
        """Number of classes, the size of the logits."""
        return self.flat.outputs[1].shape[-1]

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
            return model
        model = model.model
    if isinstance(model, TrainsClassifier):
        model = model.classifier
    if isinstance(model, tuple | list):
        model = _joined(model, input_shape)
        feature_layer = feature_layer or _PAIR_FEATURES
    _check_model(model)

    flat = flatten(model)
    output = flat.outputs[0]
    logits, dense, pooled = _logits(output)
    if feature_layer is None:
        feature_layer, activations = _find_features(logits)
    else:
        activations = _named_features(flat, feature_layer)
    return ClassifierView(
        model=model,
        flat=_three_outputs(flat, activations, logits),
        feature_layer=feature_layer,
        dense=dense if _is_pooling(pooled, activations) else None,
    )


def _joined(pair, input_shape):
    """One functional model of a (backbone, head) pair."""
    if len(pair) != 2 or not all(isinstance(part, keras.Layer) for part in pair):
        raise TypeError(
            "A pair to split must be two Keras models or layers, (backbone, head). "
            f"Received: model={pair}"
        )
    backbone, head = pair
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
    return keras.Model(images, outputs, name=f"{backbone.name}_classifier")


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


def _producer(tensor):
    """The operation that made a symbolic tensor, and the tensors it took."""
    history = tensor._keras_history
    node = history.operation._inbound_nodes[history.node_index]
    return history.operation, node.input_tensors


def _is_activation(operation, names):
    """Whether an operation is nothing but one of the named activations."""
    if isinstance(operation, keras.layers.Softmax):
        return "softmax" in names
    if isinstance(operation, keras.layers.Activation):
        return _activation(operation) in names
    if isinstance(operation, keras.Layer):
        return False
    return type(operation).__name__.lower() in names


def _activation(layer):
    return getattr(getattr(layer, "activation", None), "__name__", "linear")


def _uncast(tensor):
    """The operation behind a tensor and any casts, and the tensors it took.

    `Activation("linear", dtype="float32")` is how mixed precision casts.
    """
    operation, inputs = _producer(tensor)
    while _is_activation(operation, ("linear",)):
        operation, inputs = _producer(inputs[0])
    return operation, inputs


def _logits(output):
    """The logits behind an output, the `Dense` they are from, and its input.

    The last two are `None` where the logits are not those of a `Dense` layer.
    """
    bounded = ("softmax", "sigmoid")
    operation, inputs = _uncast(output)
    if _is_activation(operation, bounded):
        output = inputs[0]
    elif _activation(operation) in bounded:
        if isinstance(operation, keras.layers.Dense):
            return Logits(operation)(inputs[0]), operation, inputs[0]
        raise ValueError(
            f"The model ends in {type(operation).__name__} {operation.name!r} with a "
            f"{_activation(operation)}, whose logits cannot be read. End it in a "
            "`Dense` layer or a separate `Softmax` layer, or leave the activation "
            f"out and train with `from_logits=True`. Received: output={output}"
        )
    operation, inputs = _uncast(output)
    if isinstance(operation, keras.layers.Dense) and _activation(operation) == "linear":
        return output, operation, inputs[0]
    return output, None, None


def _is_spatial(tensor):
    shape = tensor.shape
    return len(shape) == 4 and (shape[1], shape[2]) != (1, 1)


def _has_weights(tensor):
    """Whether any layer up to and including this tensor's is a learned one."""
    stack, seen = [tensor], set()
    while stack:
        operation, inputs = _producer(stack.pop())
        if getattr(operation, "weights", None):
            return True
        seen.add(id(operation))
        stack.extend(t for t in inputs if id(_producer(t)[0]) not in seen)
    return False


def _find_features(logits):
    """The last 4-D activation before pooling, walking back from the logits."""
    stack, seen, found = [logits], set(), {}
    while stack:
        tensor = stack.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        operation, inputs = _producer(tensor)
        if _is_spatial(tensor) and not isinstance(operation, _PASSIVE):
            if _has_weights(tensor):
                found[operation.name] = tensor
        else:
            stack.extend(inputs)
    if len(found) == 1:
        return next(iter(found.items()))
    if found:
        raise ValueError(
            "The model's head takes more than one 4-D activation. Choose one with "
            f"`feature_layer`. Received: a model with {sorted(found)}"
        )
    raise ValueError(
        "The model has no 4-D activation (batch, height, width, channels) between "
        "its input and its logits, so there is nothing to draw a heatmap on. Pass "
        "a convolutional classifier, or a pair (backbone, head). Received: a model "
        f"that ends in {_producer(logits)[0].name!r}"
    )


def _named_features(flat, name):
    """The output of a named layer, which must be 4-D."""
    tensors = {}
    # From the images to the logits: the last use of a shared layer counts.
    for depth in sorted(flat._nodes_by_depth, reverse=True):
        for node in flat._nodes_by_depth[depth]:
            key, output = node.operation.name, node.outputs[0]
            # Layers of different nested models may share a name.
            fits = key not in tensors or _is_spatial(output)
            if fits and len(node.outputs) == 1:
                tensors[key] = output
    spatial = sorted(n for n, t in tensors.items() if _is_spatial(t))
    if name not in tensors:
        raise ValueError(checks.unknown("feature layer", name, spatial))
    if name not in spatial:
        raise ValueError(
            "A feature layer must have a 4-D output (batch, height, width, "
            f"channels) of more than one location. Received: feature_layer={name!r} "
            f"with output shape {tuple(tensors[name].shape)}"
        )
    return tensors[name]


def _is_pooling(tensor, activations):
    """Whether a tensor is the activations, averaged over all locations."""
    neutral = (
        keras.layers.Dropout,
        keras.layers.Flatten,
        keras.layers.Identity,
        keras.layers.Reshape,
    )
    # Once pooled, a Flatten or Reshape keeps the order of the channels.
    while tensor is not None and all(side == 1 for side in tensor.shape[1:-1]):
        operation, inputs = _producer(tensor)
        if isinstance(operation, keras.layers.GlobalAveragePooling2D):
            last = operation.data_format == "channels_last"
            return last and inputs[0] is activations
        if not (isinstance(operation, neutral) or _is_activation(operation, "linear")):
            return False
        tensor = inputs[0]
    return False


def _three_outputs(flat, activations, logits):
    """The flat model with activations and logits as outputs beside its own."""
    with unique_names(flat.operations):
        return keras.Model(flat.inputs[0], [activations, logits, flat.outputs[0]])


def _first_line(error):
    return str(error).strip().splitlines()[0]
