"""What an operation of a flat graph is, told only where it is sure.

A formula holds for a class of Keras itself. A subclass may compute something else,
and so may an activation that only has a well-known name; both are taken for what
they are found to compute, or for nothing known.
"""

import keras
import tensorflow as tf

# Operations of TensorFlow behind a bounded activation.
_BOUNDED = {"Softmax": "softmax", "Sigmoid": "sigmoid", "LogSoftmax": "log_softmax"}
_MOVING = ("Cast", "EnsureShape", "Identity", "Reshape", "Squeeze")
BOUNDED = tuple(_BOUNDED.values())
# What a subclass may define and still compute what its parent does.
_HARMLESS = {
    *("__init__", "get_config", "from_config", "__doc__", "__module__", "__qualname__"),
    *("__annotations__", "__firstlineno__", "__static_attributes__"),
}


def exactly(operation, *classes):
    """Whether an operation is of one of these classes and computes just as they do.

    Args:
        operation: A `keras.Operation`, such as a layer.
        *classes: Classes of Keras.

    Returns:
        `False` for a subclass that defines anything beside how it is made and saved,
        or an instance whose `call` was replaced.
    """
    if "call" in vars(operation):
        return False
    for base in type(operation).__mro__:
        if base in classes:
            return True
        if not vars(base).keys() <= _HARMLESS:
            return False
    return False


def comes_from_keras(operation):
    """Whether the class of an operation is one of Keras, and not of the user's."""
    return type(operation).__module__.split(".")[0] == "keras"


def kind_of(operation):
    """The name of the class of Keras that tells what an operation computes.

    Args:
        operation: A `keras.Operation`, such as a layer.

    Returns:
        A string, also for a subclass of the user's that defines nothing beside how it
        is made and saved; else `None`.
    """
    if "call" in vars(operation):
        return None
    for base in type(operation).__mro__:
        if base.__module__.split(".")[0] == "keras":
            return base.__name__
        if not vars(base).keys() <= _HARMLESS:
            return None
    return None


def is_keras_operation(operation, *names):
    """Whether an operation is one behind `keras.ops`, of one of the given names.

    Args:
        operation: A `keras.Operation`.
        *names: Names of classes, such as `"Softmax"`.
    """
    kind = type(operation)
    return kind.__name__ in names and kind.__module__.startswith("keras.src.ops.")


def activation_of(layer):
    """The activation that a layer applies last, as far as it matters here.

    Args:
        layer: A layer with an attribute `activation`, or any other operation.

    Returns:
        `"linear"`, also without such an attribute, `"softmax"`, `"sigmoid"`,
        `"log_softmax"`, or `None` for another one.
    """
    function = getattr(layer, "activation", None)
    if function is None or function is keras.activations.linear:
        return "linear"
    ending, alone = _ending_of(function, keras.KerasTensor((None, 3)))
    return ending if alone else None


def is_activation(operation, names):
    """Whether an operation is nothing but one of the named activations.

    Args:
        operation: A `keras.Operation`, such as a layer.
        names: Tuple of names as `activation_of` returns them.
    """
    if exactly(operation, keras.layers.Activation):
        return activation_of(operation) in names
    if exactly(operation, keras.layers.Softmax):
        return "softmax" in names and operation.axis in (-1, 1)
    if is_keras_operation(operation, "Softmax", "LogSoftmax"):
        known = {"Softmax": "softmax", "LogSoftmax": "log_softmax"}
        return known[type(operation).__name__] in names and operation.axis in (-1, 1)
    return is_keras_operation(operation, "Sigmoid") and "sigmoid" in names


def bounded_ending(operation, inputs):
    """The bounded activation that an operation of any kind ends in.

    Told from the graph that TensorFlow makes of it, so that a softmax in the `call`
    of a layer is seen.

    Args:
        operation: A `keras.Operation`, such as a layer.
        inputs: List of the symbolic tensors that it takes.

    Returns:
        `"softmax"`, `"sigmoid"`, `"log_softmax"` or `None`.
    """
    if len(inputs) != 1:
        return None
    return _ending_of(operation, inputs[0])[0]


def _ending_of(function, spec):
    """`(ending, alone)`: the last bounded activation, and whether there is no more."""
    shape = [None, *spec.shape[1:]]
    signature = [tf.TensorSpec(shape, spec.dtype)]
    with keras.StatelessScope():
        try:
            traced = tf.function(function, signature, autograph=False)
            graph = traced.get_concrete_function().graph
        except Exception:
            # What cannot be traced on its own, for whatever reason of a user's code,
            # is unknown.
            return None, False
    if len(graph.outputs) != 1:
        return None, False
    last = _moved(graph.outputs[0].op)
    ending = _BOUNDED.get(last.type)
    return ending, ending is not None and _moved(last.inputs[0].op) in _inputs(graph)


def _inputs(graph):
    return [tensor.op for tensor in graph.inputs]


def _moved(operation):
    """The operation before those that only hand values on."""
    while operation.type in _MOVING:
        operation = operation.inputs[0].op
    return operation
