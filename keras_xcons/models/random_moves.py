"""Which operations move the pixels of images at random in training mode."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from keras_xcons.models.flatten import used
from keras_xcons.models.gradient_trace import traced_parts
from keras_xcons.models.kinds import kind_of
from keras_xcons.models.moves import hands_on

_COLOURS = (
    *("AutoContrast", "ContrastLimitedAdaptiveHistogramEqualization", "Equalization"),
    *("RandomBrightness", "RandomColorDegeneration", "RandomColorJitter"),
    *("RandomContrast", "RandomErasing", "RandomGaussianBlur", "RandomGrayscale"),
    *("RandomHue", "RandomInvert", "RandomPosterization", "RandomSaturation"),
    *("RandomSharpness", "Solarization"),
)
_STILL = ("CenterCrop", "Resizing", *_COLOURS)
# What Keras' layers that work on images inherit from; it has no public name.
_PREPROCESSING = layers.RandomFlip.__mro__[1]
# TensorFlow's random operations without "Random" in their names.
_DRAWING = ("Multinomial", "RngReadAndSkip", "TruncatedNormal")
# A flip of every second image is missed once in 2 to the power of this.
_TRIALS = 24


def holds_random_moves(operation):
    """Whether an operation is or holds a layer of Keras that moves pixels at random.

    Such a layer moves them inside a layer or a subclassed model of the user's, too.
    """
    if not isinstance(operation, layers.Layer):
        return False
    return any(
        isinstance(layer, _PREPROCESSING) and kind_of(layer) not in _STILL
        for layer in operation._flatten_layers()
    )


def draws_moves(node):
    """Whether a layer of the user's without weights moves pixels at random, by trial.

    Where it draws random numbers, gradients tell whether pixels stay at their places.
    A layer with weights is not tried, as what it draws may well be dropout: random
    moves that it makes without a layer of Keras are not seen.

    Args:
        node: A node of a Keras graph.
    """
    operation = used(node.operation)
    tensors = (*node.input_tensors, *node.outputs)
    if len(tensors) != 2 or any(len(tensor.shape) != 4 for tensor in tensors):
        return False
    own = kind_of(operation) is None or isinstance(operation, layers.Lambda)
    if not own or getattr(operation, "weights", None) or not _draws(node, operation):
        return False
    seeds = [each.state for each in _generators(operation)]
    before = [np.array(each) for each in seeds]
    specs = {id(tensor): _sized(tensor) for tensor in node.input_tensors}
    whole = ((0, 1), (0, 1)), ((0, 1), (0, 1))
    trials = (traced_parts(node, specs, training=True) for _ in range(_TRIALS))
    moves = any(each != whole for each in trials)
    for state, value in zip(seeds, before, strict=True):
        state.assign(value)
    return moves


def keeps_values(operation):
    """Whether what an operation returns is an image in the range of its input."""
    if isinstance(operation, layers.Pipeline):
        return all(keeps_values(layer) for layer in operation.layers)
    return isinstance(operation, _PREPROCESSING) or hands_on(operation)


def keeps_grey(node):
    """Whether an operation leaves the values of a grey image in inference, by trial.

    Args:
        node: A node of a Keras graph of one input.
    """
    (tensor,) = node.input_tensors
    grey = tf.fill((1, *_sized(tensor).shape[1:]), 100.0)
    args, kwargs = _arguments(node, tf.cast(grey, tensor.dtype), training=False)
    with tf.init_scope():
        found = np.asarray(used(node.operation)(*args, **kwargs), "float32")
    return abs(float(np.median(found)) - 100.0) < 1.0


def _generators(operation):
    if not isinstance(operation, layers.Layer):
        return []
    return [
        generator
        for layer in operation._flatten_layers()
        for generator in layer._seed_generators
    ]


def _draws(node, operation):
    """Whether an operation draws random numbers in training mode."""
    if _generators(operation):
        return True
    (tensor,) = node.input_tensors

    def traced(inputs):
        args, kwargs = _arguments(node, inputs, training=True)
        return operation(*args, **kwargs)

    signature = [tf.TensorSpec(_sized(tensor).shape, tensor.dtype)]
    try:
        with keras.StatelessScope():
            graph = tf.function(traced, signature).get_concrete_function().graph
    except Exception:
        # What cannot be traced on its own, for whatever reason of a user's code.
        return False
    graph = graph.as_graph_def()
    kinds = {each.op for each in graph.node}
    for function in graph.library.function:
        kinds |= {each.op for each in function.node_def}
    return any("Random" in kind or kind in _DRAWING for kind in kinds)


def _arguments(node, inputs, training):
    args, kwargs = node.arguments.fill_in({id(node.input_tensors[0]): inputs})
    if getattr(used(node.operation), "_call_has_training_arg", False):
        kwargs = {**kwargs, "training": training}
    return args, kwargs


def _sized(tensor):
    """A spec of one image that knows its size."""
    return keras.KerasTensor(
        (1, *(side or 32 for side in tensor.shape[1:])), tensor.dtype
    )
