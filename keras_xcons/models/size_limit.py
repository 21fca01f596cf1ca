"""A bound on what the description of a model can ask for."""

import contextlib
import math

import tensorflow as tf


class TooLargeError(Exception):
    """A model was given up while it was built; says how many parameters it has."""


@contextlib.contextmanager
def no_more_than(parameters):
    """Refuses, before it is made, a variable that makes them more than that.

    Args:
        parameters: How many numbers the variables that are made in the block may have
            together.

    Raises:
        TooLargeError: They would have more. What the block calls may wrap it.

    Example:

    >>> with no_more_than(1_000_000):
    ...     model = keras.Model.from_config(config)
    """
    count, scratch = 0, tf.Graph()

    def create(next_creator, **arguments):
        nonlocal count
        value = arguments["initial_value"]
        if callable(value):
            # In a graph an initialiser says its shape and takes no memory.
            with scratch.as_default():
                shape = value().shape
        else:
            shape = value.shape
        count += math.prod(shape)
        if count > parameters:
            raise TooLargeError(f"more than {parameters}")
        return next_creator(**arguments)

    with tf.variable_creator_scope(create):
        yield
