"""Random draws that a continued run draws again.

Keras does not save the state of a `SeedGenerator`. What the optimizer has counted is
saved, so seeds are made of that.
"""

import zlib

import tensorflow as tf


def seed_of(seed, optimizer, purpose):
    """The seed of a draw: of the step, of what it is for, and of the replica.

    Args:
        seed: int, the seed of the whole run.
        optimizer: Built `keras.optimizers.Optimizer`; the steps that it has counted
            tell one step from another, those without an update under accumulation of
            gradients included.
        purpose: What it is drawn for, a string; each has draws of its own.

    Returns:
        Int32 tensor `(2,)`, for TensorFlow's stateless random functions.

    Example:

    >>> seed_of(0, trainer.optimizer, "start")
    """
    steps = tf.cast(steps_of(optimizer), tf.int32)
    made = tf.constant([seed, zlib.crc32(purpose.encode()) % 2**31], tf.int32)
    replica = tf.distribute.get_replica_context()
    number = 0 if replica is None else replica.replica_id_in_sync_group
    return fold(fold(made, steps), number)


def steps_of(optimizer):
    """The steps that an optimizer has counted, those without an update included.

    Args:
        optimizer: Built `keras.optimizers.Optimizer`.

    Returns:
        Integer scalar tensor.
    """
    counting = getattr(optimizer, "inner_optimizer", optimizer)
    # `iterations` would stand still while gradients are accumulated.
    return tf.convert_to_tensor(counting._iterations)


def fold(seed, number):
    """Another seed for each number, an int32 tensor `(2,)`."""
    number = tf.cast(number, tf.int32)
    return tf.random.experimental.stateless_fold_in(seed, number)
