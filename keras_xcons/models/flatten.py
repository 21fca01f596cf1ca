"""Inlines nested models, so that every activation is within reach."""

import collections
import contextlib

import keras


def is_graph(model):
    """Whether a model is a graph of layers (functional or Sequential).

    A subclass that replaces `call` is not: its layers do not say how they are
    connected.
    """
    if not isinstance(model, keras.Function | keras.Sequential):
        return False
    owner = next(base for base in type(model).__mro__ if "call" in vars(base))
    return owner.__module__.split(".")[0] == "keras"


def flatten(model):
    """Rebuilds a model with nested models inlined, sharing every weight.

    The layers of nested models are applied once more, one after the other, to the
    outer model's tensors. The result computes the same numbers to the bit, holds
    the same layers, and has none that is itself a model. A `training` argument
    given when a nested model was called (`backbone(x, training=False)`) is handed on
    to its layers, as Keras does. Where the model takes images as integers, the result
    takes floats and does not round them, so that it has gradients.

    Args:
        model: A built functional or Sequential `keras.Model` with one input and
            one output.

    Returns:
        A functional `keras.Model`. It is meant for computing, not for saving:
        layers of different nested models may carry the same name in it.

    Example:

    >>> backbone = keras.applications.MobileNetV2(weights=None, include_top=False)
    >>> model = keras.Sequential([backbone, keras.layers.GlobalAveragePooling2D()])
    >>> model.build((None, 64, 64, 3))
    >>> flatten(model).layers[-1].name
    'global_average_pooling2d'
    """
    source = model.inputs[0]
    with unique_names(_leaves(model)):
        dtype = source.dtype if "float" in source.dtype else "float32"
        images = keras.Input(batch_shape=source.shape, dtype=dtype)
        flat = keras.Model(images, model.call(images))
        while any(is_graph(operation) for operation in flat.operations):
            flat = _rebuilt(flat, _inline)
        return _rebuilt(flat, _without_casts)


def _rebuilt(flat, call_function):
    """The same layers once more, each called through a function."""
    return keras.models.clone_model(
        flat, clone_function=lambda layer: layer, call_function=call_function
    )


def _inline(operation, *args, **kwargs):
    if is_graph(operation):
        return operation.call(*args, **kwargs)
    return operation(*args, **kwargs)


def _without_casts(operation, *args, **kwargs):
    """Leaves out what models do to their inputs, where it changes nothing.

    Such an operation would stand between features and pooling; and where it turns
    the images into integers, it would stop the gradient.
    """
    if type(operation).__name__ == "ConvertToTensor":
        tensor, dtype = args[0], operation.dtype
        images = isinstance(tensor._keras_history.operation, keras.layers.InputLayer)
        if dtype in (None, tensor.dtype) or (images and "int" in dtype):
            return tensor
    return operation(*args, **kwargs)


@contextlib.contextmanager
def unique_names(layers):
    """Gives layers of the same name other names while a flat model is built.

    Keras refuses two layers of one name in a model, yet a backbone and the model
    around it may well hold one each. The names are put back afterwards.

    Args:
        layers: Iterable of the layers and operations of the model to be built.
    """
    layers = list(layers)
    count = collections.Counter(layer.name for layer in layers)
    doubles = [(layer, layer.name) for layer in layers if count[layer.name] > 1]
    try:
        for number, (layer, name) in enumerate(doubles):
            layer.name = f"{name}__{number}"
        yield
    finally:
        for layer, name in doubles:
            layer.name = name


def _leaves(model, seen=None):
    """Yields every operation below a graph model once, nested ones included."""
    seen = set() if seen is None else seen
    graph = isinstance(model, keras.Function)
    for operation in model.operations if graph else model.layers:
        if id(operation) in seen:
            continue
        seen.add(id(operation))
        if is_graph(operation):
            yield from _leaves(operation, seen)
        else:
            yield operation
