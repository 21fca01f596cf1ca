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
