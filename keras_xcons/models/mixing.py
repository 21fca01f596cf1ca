"""Which operations bring places of an image together before it is pooled.

A map at some layer tells where the evidence lies if what follows keeps places apart
until they are pooled. Behind an attention layer each token knows of all others, and a
map in front of it shows something else.
"""

import math

import keras

from keras_xcons.models.kinds import exactly, is_keras_operation
from keras_xcons.models.layouts import CONTRACTIONS

_LAYERS = keras.layers
# What pools, drops, joins or reorders what the features hold.
_PASSIVE = (
    _LAYERS.AlphaDropout,
    _LAYERS.AveragePooling1D,
    _LAYERS.AveragePooling2D,
    _LAYERS.Dropout,
    _LAYERS.Flatten,
    _LAYERS.GaussianDropout,
    _LAYERS.GlobalAveragePooling1D,
    _LAYERS.GlobalAveragePooling2D,
    _LAYERS.GlobalMaxPooling1D,
    _LAYERS.GlobalMaxPooling2D,
    _LAYERS.Identity,
    _LAYERS.MaxPooling1D,
    _LAYERS.MaxPooling2D,
    _LAYERS.Permute,
    _LAYERS.Reshape,
    _LAYERS.SpatialDropout1D,
    _LAYERS.SpatialDropout2D,
    _LAYERS.ZeroPadding1D,
    _LAYERS.ZeroPadding2D,
)
_PASSIVE_OPERATIONS = (
    *("AdaptiveAveragePool", "AdaptiveMaxPool", "Amax", "Amin", "AveragePool"),
    *("ConvertToTensor", "ExpandDims", "Flatten", "GetItem", "Max", "MaxPool", "Mean"),
    *("Min", "Moveaxis", "Ravel", "Reshape", "Squeeze", "Sum", "Swapaxes"),
    *("Transpose", "Var", "Std", "Logsumexp", "Norm"),
)
# What works on each place of its own, or on the statistics of all.
_POINTWISE = (
    _LAYERS.Activation,
    _LAYERS.ActivityRegularization,
    _LAYERS.Add,
    _LAYERS.Average,
    _LAYERS.BatchNormalization,
    _LAYERS.Concatenate,
    _LAYERS.ELU,
    _LAYERS.GaussianNoise,
    _LAYERS.GroupNormalization,
    _LAYERS.LayerNormalization,
    _LAYERS.LeakyReLU,
    _LAYERS.Maximum,
    _LAYERS.Minimum,
    _LAYERS.Multiply,
    _LAYERS.PReLU,
    _LAYERS.ReLU,
    _LAYERS.RMSNormalization,
    _LAYERS.Rescaling,
    _LAYERS.Softmax,
    _LAYERS.Subtract,
    _LAYERS.UnitNormalization,
)
_POINTWISE_OPERATIONS = (
    *("Absolute", "Abs", "Add", "Cast", "Clip", "Concatenate", "Divide", "Elu", "Exp"),
    *("Gelu", "HardSigmoid", "HardSilu", "HardSwish", "LayerNorm", "LeakyRelu", "Log"),
    *("Maximum", "Minimum", "Multiply", "Negative", "Normalize", "Power", "Relu"),
    *("Relu6", "RMSNorm", "Rsqrt", "Selu", "Sigmoid", "Silu", "Softmax", "Softplus"),
    *("Sqrt", "Square", "Stack", "StopGradient", "Subtract", "Tanh", "TrueDivide"),
    *("Where",),
)
# What mixes places even where it leaves but one.
_MIXING = (
    _LAYERS.AdditiveAttention,
    _LAYERS.Attention,
    _LAYERS.Bidirectional,
    _LAYERS.GroupQueryAttention,
    _LAYERS.MultiHeadAttention,
    _LAYERS.RNN,
)


def is_passive(operation):
    """Whether an operation only pools, drops, joins or reorders what it is given."""
    return exactly(operation, *_PASSIVE) or is_keras_operation(
        operation, *_PASSIVE_OPERATIONS
    )


def has_places(tensor):
    """Whether a symbolic tensor holds more than one place, in whatever order."""
    return len(tensor.shape) > 2 and math.prod(s or 2 for s in tensor.shape[1:-1]) != 1


def mixes_places(operation, inputs, output, found):
    """Whether an operation may bring places together that were apart.

    One that is not known to keep them apart is taken to mix them, unless it leaves
    but one place, as a pooling layer of the user's does.

    Args:
        operation: A `keras.Operation` of a flat graph.
        inputs: List of the symbolic tensors that it takes.
        output: The symbolic tensor that it makes.
        found: The `Layout` of each tensor, see `keras_xcons.models.layouts.layouts`.
    """
    if not any(map(has_places, inputs)):
        return False
    if isinstance(operation, _MIXING) or is_keras_operation(operation, *CONTRACTIONS):
        return True
    if not has_places(output) or is_passive(operation):
        return False
    if exactly(operation, _LAYERS.Dense):
        # Along its last axis, which may be the places, as in an MLP-Mixer.
        axes = found[id(inputs[0])].axes
        return axes is None or axes[-1] != "c"
    return not (
        exactly(operation, *_POINTWISE)
        or is_keras_operation(operation, *_POINTWISE_OPERATIONS)
    )
