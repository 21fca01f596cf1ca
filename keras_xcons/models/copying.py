"""Copies of a model that compute what it computes."""

import keras

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
    for layer in copy._flatten_layers(include_self=False):
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()
    if weights is None:
        remember_offsets(copy, offsets_of(model))
    return copy
