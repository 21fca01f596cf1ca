"""Batch normalisation while a pretrained network is fine-tuned."""

import keras


def freeze_batch_norm(model):
    """Sets every batch normalisation layer of a model to inference for good.

    `keras.applications.MobileNetV2` has momentum 0.999: in a short fine-tune the
    moving statistics lag so far behind that inference gives meaningless logits and
    heatmaps. A frozen layer computes the same in training and in inference, which
    also makes a training step cheaper. Call it before `compile`; compile again
    where the model was compiled before.

    Args:
        model: `keras.Model`, changed in place. Layers of nested models are frozen
            too.

    Returns:
        The number of layers that were set to `trainable=False`, 0 for a model
        without batch normalisation.

    Raises:
        TypeError: `model` is not a `keras.Model`.

    Example:

    >>> backbone = keras.applications.MobileNetV2(weights=None, include_top=False)
    >>> freeze_batch_norm(backbone)
    52
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"`model` must be a keras.Model. Received: {model=}")
    found = [
        layer
        for layer in model._flatten_layers(include_self=False)
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    for layer in found:
        layer.trainable = False
    return len(found)


def zero_residual(model):
    """Lets every residual block of a network of random weights begin as the identity.

    The scale (`gamma`) of the last batch normalisation of a block starts at 0, so that
    the network begins as a shallow one and grows. ResNet-50 learns markedly more from
    it in a few epochs.

    Args:
        model: Functional `keras.Model`, changed in place, whose blocks end in
            `keras.layers.Add` with the residual branch last, as those of
            `keras.applications` and of this package do.

    Returns:
        The number of layers whose scale was set to 0.

    Raises:
        ValueError: No block of the model ends in such an addition.

    Reference:
        [Goyal et al., 2017](https://arxiv.org/abs/1706.02677), section 5.1

    Example:

    >>> zero_residual(keras_xcons.models.create("resnet50", 10, 64))
    16
    """
    norms = {
        id(layer.output): layer
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization) and layer.scale
    }
    branches = [
        layer.input[-1] for layer in model.layers if isinstance(layer, keras.layers.Add)
    ]
    found = [norms[id(branch)] for branch in branches if id(branch) in norms]
    if not found:
        raise ValueError(
            "There is no residual block, a keras.layers.Add after a batch "
            f"normalisation with a scale, in the model. Received: model={model.name!r}"
        )
    for norm in found:
        norm.gamma.assign(keras.ops.zeros_like(norm.gamma))
    return len(found)
