"""Weights of torchvision's ResNet-18 and -34, by their names in its state dict."""

import keras
import numpy as np

_PARTS = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "bias": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def torchvision_name(path):
    """What a weight of a ResNet-18 or -34 is called in torchvision's state dict.

    Args:
        path: Path of a `keras.Variable` of the model.

    Returns:
        str.

    Raises:
        ValueError: There is none.

    Example:

    >>> torchvision_name("conv2_block1_2_bn/gamma")
    'layer1.0.bn2.weight'
    """
    layer, _, part = path.partition("/")
    head, *place = layer.split("_")
    stage = head.removeprefix("conv")
    if part not in _PARTS or (layer != "logits" and not stage.isdigit()):
        raise ValueError(f"torchvision's ResNets have no such weight. Received: {path}")
    if layer == "logits":
        return f"fc.{_PARTS[part]}"
    if stage == "1":  # conv1_conv, conv1_bn
        return f"{place[0]}1.{_PARTS[part]}"
    block, number, kind = place
    if number not in "012":
        raise ValueError(
            "Blocks of torchvision's ResNet-18 and -34 have two convolutions. "
            f"Received: {path}"
        )
    where = f"layer{int(stage) - 1}.{int(block.removeprefix('block')) - 1}"
    if number == "0":
        return f"{where}.downsample.{0 if kind == 'conv' else 1}.{_PARTS[part]}"
    return f"{where}.{kind}{number}.{_PARTS[part]}"


def load_torchvision_weights(model, state_dict, head=True):
    """Gives a ResNet-18 or -34 the weights of torchvision's.

    The networks are the same, and the model normalises its images as torchvision's
    weights want it: it takes 0..255.

    Args:
        model: `keras.Model`, from `keras_xcons.models.create("resnet18", ...)` or
            `"resnet34"`.
        state_dict: Dict from names such as `"layer1.0.conv1.weight"` to arrays or CPU
            tensors, as `torch_model.state_dict()` returns it.
        head: Whether the last layer, `fc`, is taken too. Without it the number of
            classes may differ. Defaults to `True`.

    Raises:
        ValueError: A weight is missing or has another shape, or the model is none of
            these networks. The model keeps all its weights.

    Example:

    >>> model = keras_xcons.models.create("resnet18", 50, 224)
    >>> state_dict = torchvision.models.resnet18(weights="DEFAULT").state_dict()
    >>> load_torchvision_weights(model, state_dict, head=False)
    """
    found = []
    for weight in model.weights:
        name = torchvision_name(weight.path)
        if name.startswith("fc.") and not head:
            continue
        if name not in state_dict:
            raise ValueError(
                f"The state dict lacks {name!r}, which the model calls {weight.path!r}"
            )
        values = np.asarray(state_dict[name])
        # (out, in, h, w) there, (h, w, in, out) here; (out, in) there, (in, out) here.
        values = values.transpose(2, 3, 1, 0) if values.ndim == 4 else values.T
        if values.shape != tuple(weight.shape):
            raise ValueError(
                f"{name!r} of the state dict must fit {weight.path!r}, of shape "
                f"{tuple(weight.shape)}; of another number of classes pass head=False. "
                f"Received: shape {np.shape(state_dict[name])}"
            )
        found.append((weight, values))
    for weight, values in found:
        weight.assign(keras.ops.convert_to_tensor(values, weight.dtype))
