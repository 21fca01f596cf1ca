"""Copies of a model that compute what it computes."""

import keras

from keras_xcons.models.flatten import used
from keras_xcons.models.frame import nodes_between
from keras_xcons.models.offset import offsets_of, remember_offsets


def copy_model(model, clone_function=None, weights=None):
    """A copy of a model with layers and weights of its own.

    `keras.models.clone_model` and `set_weights` alone leave a `Normalization` layer
    behind: it computes with what it keeps beside its weights.

    Args:
        model: A built functional or Sequential `keras.Model`.
        clone_function: Function from a layer to the one in its place, as
            `keras.models.clone_model` takes it. Defaults to the same layer once
            more.
        weights: List of arrays for the copy, as `set_weights` takes it. Defaults to
            the model's.

    Returns:
        A `keras.Model`, not compiled. With the same weights it knows the offset of
        its heatmaps, too.

    Raises:
        ValueError: `model` is not built or is subclassed, or the weights do not fit.

    Example:

    >>> model = keras_xcons.models.create("efficientnet_b0", 5, 64)
    >>> copy = copy_model(model)
    """
    copy = keras.models.clone_model(model, clone_function=clone_function)
    copy.set_weights(model.get_weights() if weights is None else weights)
    _finalize(copy)
    if weights is None:
        remember_offsets(copy, offsets_of(model))
    return copy


def copy_part(flat, outputs):
    """A copy of a part of a model, with layers and weights of its own.

    Nested models are inlined, as they are in a flat graph, but the copy is made of
    layers, so that it can be saved and trained.

    Args:
        flat: Flat functional model, as `keras_xcons.models.flatten` makes it.
        outputs: List of symbolic tensors of it.

    Returns:
        A functional `keras.Model` from images to copies of the outputs, a list. A layer
        has the name of the one that it copies, with a number behind it where that name
        is taken.

    Raises:
        NotImplementedError: A layer does not tell how it was made.

    Example:

    >>> view = keras_xcons.split(model)
    >>> backbone = copy_part(view.flat, view.flat.outputs[:1])
    """
    source = flat.inputs[0]
    images = keras.Input(source.shape[1:], dtype=source.dtype, name="images")
    known, copies, names = {id(source): images}, {}, {"images"}
    for output in outputs:
        for node in nodes_between(source, output):
            if id(node.outputs[0]) in known:
                continue
            operation = used(node.operation)
            if id(operation) not in copies:
                copies[id(operation)] = _copy_of(operation, names)
            args, kwargs = node.arguments.fill_in(known)
            found = keras.tree.flatten(copies[id(operation)](*args, **kwargs))
            known |= zip(map(id, node.outputs), found, strict=True)
            if isinstance(operation, keras.Layer):
                copies[id(operation)].set_weights(operation.get_weights())
    part = keras.Model(images, [known[id(output)] for output in outputs])
    _finalize(part)
    return part


def _copy_of(operation, names):
    """The same operation once more, under a name that is not taken yet."""
    name, count = operation.name, 1
    while name in names:
        count += 1
        name = f"{operation.name}_{count}"
    names.add(name)
    config = {**operation.get_config(), "name": name}
    return type(operation).from_config(config)


def _finalize(model):
    """Makes the `Normalization` layers of a model compute with their weights."""
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()
