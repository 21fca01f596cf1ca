"""Finds out by its gradients where an operation leaves the pixels it is given.

A `Lambda` or a layer of the user's does not say whether it crops or turns images.
The gradient of one of its outputs tells which pixels that output is made of.
"""

import concurrent.futures
import itertools
from fractions import Fraction

import keras
import numpy as np
import tensorflow as tf

from keras_xcons.models.flatten import used

# Of the squared gradient that a place must have close by to come from there.
_SHARE = 0.5


def traced_parts(node, specs, training=False, number=0):
    """The part of its input that the output of an operation shows.

    A few outputs all over the map are looked at. An operation whose outputs depend on
    no place, or on all of them, and that keeps the size of its input, is taken to keep
    places.

    Args:
        node: A node of a Keras graph, of one 4-D input.
        specs: Dict from the id of a tensor to its `keras.KerasTensor` of known size.
        training: Whether it runs in training mode. Defaults to `False`.
        number: Which of its outputs. Defaults to the first.

    Returns:
        `((first, end), (first, end))` of rows and columns in shares of the input,
        `end` before `first` where it is mirrored, and the same of the grid of the
        cells, which by the rounding of a stride may end elsewhere; `None` where it is
        no such part.
    """
    spec = specs[id(node.input_tensors[0])]
    # A thread of its own is eager and records gradients, whatever is traced here.
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        found = thread.submit(_sources, node, spec, training, number).result()
    whole = ((0, 1), (0, 1))
    if found is None:
        return (whole, whole) if _keeps_size(node.outputs[number], spec) else None
    cells, centres, size = found
    parts, grid = [], []
    for axis in (0, 1):
        side = spec.shape[axis + 1]
        part = _line(cells[:, axis], centres[:, axis], size[axis])
        if part is None:
            return None
        first, end, step = part
        grid.append(_shares(first, end, side))
        # Less than a cell is the rounding of a stride.
        if max(abs(first), abs(end - side)) < max(1.0, abs(step)):
            first, end = 0.0, float(side)
        parts.append(_shares(first, end, side))
    return tuple(parts), tuple(grid)


def _shares(first, end, side):
    """Edges in pixels as shares of a side, rounded to half a pixel."""
    return tuple(Fraction(round(2 * edge), 2 * side) for edge in (first, end))


def _keeps_size(output, spec):
    return output.shape[1:3] in (spec.shape[1:3], (None, None))


def _sources(node, spec, training, number):
    """Which pixels cells of the output come from.

    Returns:
        Cells `(n, 2)`, the centres `(n, 2)` of what they come from, and the size of
        the output; or `None` where cells come from nowhere or from everywhere.
    """
    # Values that are in the range of images of every scale.
    values = np.random.default_rng(0).uniform(0.25, 0.75, (1, *spec.shape[1:]))
    x = tf.constant(values, spec.dtype if "float" in spec.dtype else "float32")
    operation = used(node.operation)
    try:
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            args, kwargs = node.arguments.fill_in({id(node.input_tensors[0]): x})
            if isinstance(operation, keras.layers.Layer):
                if operation._call_has_training_arg:
                    kwargs = {**kwargs, "training": training}
                outputs = operation(*args, **kwargs)
            else:
                outputs = operation.call(*args, **kwargs)
            outputs = keras.tree.flatten(outputs)[number]
            size = tuple(outputs.shape[1:3])
            lines = [sorted({i * (side - 1) // 3 for i in range(4)}) for side in size]
            cells = list(itertools.product(*lines))
            sums = [tf.reduce_sum(outputs[:, row, column]) for row, column in cells]
        gradients = [tape.gradient(each, x) for each in sums]
    except LookupError:  # An operation without a gradient.
        return None
    energies = [
        np.square(gradient.numpy().astype("float64")).sum((0, 3))
        for gradient in gradients
        if gradient is not None
    ]
    if len(energies) < len(cells):
        return None
    # Where it pads, a cell comes from nowhere.
    kept = [number for number, each in enumerate(energies) if each.sum() > 0.0]
    centres = [_centre(energies[number]) for number in kept]
    if not kept or None in centres:
        return None
    return np.array(cells)[kept], np.array(centres), size


def _centre(energy):
    """The centre of mass, where most of it lies close to it."""
    # Around the peak, as what the whole image adds to each place shifts the centre.
    peak = np.unravel_index(energy.argmax(), energy.shape)
    reach = [max(3, side // 4) for side in energy.shape]
    near = tuple(
        slice(max(0, place - far), min(side, place + far + 1))
        for place, far, side in zip(peak, reach, energy.shape, strict=True)
    )
    around = energy[near]
    if not around.sum() >= _SHARE * energy.sum():  # NaN, too
        return None
    grid = np.mgrid[near] + 0.5
    return tuple(float((axis * around).sum() / around.sum()) for axis in grid)


def _line(cells, centres, count):
    """First edge, last edge and step of cells whose centres lie on a line."""
    if len(set(cells.tolist())) < 2:
        return None
    step, first = np.polyfit(cells + 0.5, centres, 1)
    away = np.abs(first + (cells + 0.5) * step - centres).max()
    if abs(step) < 1e-3 or away > max(1.0, abs(step)):
        return None
    return first, first + count * step, step
