"""Feature maps out of tensors of another layout: channels first, or tokens."""

import math

import keras
from keras import ops

from keras_xcons import checks

# Class tokens and registers, in front of those of the image.
_MOST_EXTRA = 16


class ToMap(keras.Operation):
    """Makes a map `(B, h, w, K)` of features in another form.

    Args:
        order: The order of the axes that ends in the channels.
        grid: `(h, w)` of tokens, or `None` for features that are a map.
        extra: Number of tokens in front that belong to no place.
        name: Name of the operation.
    """

    def __init__(self, order, grid, extra, name):
        super().__init__(name=f"{name}__map")
        self.order = order
        self.grid = grid
        self.extra = extra

    def call(self, features):
        features = ops.transpose(features, self.order)
        if self.grid is None:
            return features
        tokens = features[:, self.extra :]
        return ops.reshape(tokens, (-1, *self.grid, tokens.shape[-1]))


class FromMap(keras.Operation):
    """Puts a map back to the features that it was made of.

    Args:
        to_map: The `ToMap` that made it.
    """

    def __init__(self, to_map):
        super().__init__(name=f"{to_map.name}_back")
        self._to_map = to_map

    def call(self, features, mapped):
        order, extra = self._to_map.order, self._to_map.extra
        if self._to_map.grid is not None:
            count = math.prod(self._to_map.grid)
            mapped = ops.reshape(mapped, (-1, count, mapped.shape[-1]))
            if extra:
                first = ops.transpose(features, order)[:, :extra]
                mapped = ops.concatenate([first, mapped], axis=1)
        return ops.transpose(mapped, [order.index(axis) for axis in range(len(order))])


def to_map(name, tensor, layout, token_grid, image_shape):
    """What makes a map of the output of a feature layer.

    Args:
        name: Name of the layer.
        tensor: Its symbolic output.
        layout: The output's `keras_xcons.models.layouts.Layout`.
        token_grid: `(h, w)` that the caller gave for tokens, or `None`.
        image_shape: `(H, W, channels)` of the images.

    Returns:
        A `ToMap`, or `None` where the output is a map as it is.

    Raises:
        ValueError: It cannot be made a map, or the grid does not fit.
    """
    shape = tuple(tensor.shape)
    axes = layout.axes
    if axes is None and len(shape) == 3 and token_grid is not None:
        axes = "bnc"  # As whoever gives a grid for them says.
    if axes is not None and sorted(axes) == sorted("bhwc"):
        if token_grid is not None:
            raise ValueError(
                "`token_grid` is for a feature layer whose output is (batch, tokens, "
                f"channels); this one has a grid. Received: token_grid={token_grid!r} "
                f"with feature_layer={name!r} of output shape {shape}"
            )
        order = [axes.index(axis) for axis in "bhwc"]
        return None if order == [0, 1, 2, 3] else ToMap(order, None, 0, name)
    lost = layout.axes is not None and layout.culprit is not None
    if axes is None or lost or sorted(axes) != sorted("bnc"):
        raise ValueError(_no_map(name, shape, layout))
    order = [axes.index(axis) for axis in "bnc"]
    count = shape[order[1]]
    grid = token_grid or layout.grid or _square(count, image_shape)
    if grid is None:
        raise ValueError(
            f"The {count} tokens of the feature layer form no grid that is known. Pass "
            "`token_grid=(height, width)`, the rows and columns that the tokens of the "
            f"image form. Received: feature_layer={name!r} with output shape {shape}"
        )
    grid = checks.image_size(grid, "token_grid") if token_grid else tuple(grid)
    if layout.grid not in (None, grid):
        raise ValueError(
            f"The tokens come from a grid of {layout.grid}. Leave `token_grid` out, or "
            f"pass that. Received: token_grid={token_grid!r}"
        )
    extra = (count or 0) - math.prod(grid)
    if count is None or not 0 <= extra <= _MOST_EXTRA:
        raise ValueError(
            f"A grid of {grid} has {math.prod(grid)} tokens, and at most {_MOST_EXTRA} "
            "more may stand in front of them, such as a class token. Received: "
            f"token_grid={token_grid!r} with feature_layer={name!r} of output shape "
            f"{shape}"
        )
    return ToMap(order, grid, extra, name)


def _square(count, image_shape):
    """The square grid that tokens of square images form, with or without one more."""
    height, width = image_shape[:2]
    if count is None or height is None or height != width:
        return None
    for tokens in (count, count - 1):
        side = math.isqrt(tokens)
        if side**2 == tokens and side > 1:
            return side, side
    return None


def _no_map(name, shape, layout):
    wanted = (
        "A feature layer must have a 4-D output (batch, height, width, channels) of "
        "more than one location, or be tokens (batch, tokens, channels)"
    )
    culprit = layout.culprit
    if len(shape) > 2 and culprit is not None:
        what = "which axes are rows, columns, tokens and channels"
        if layout.axes is not None:
            what = "which place a token stands for, as those of the image come last"
        wanted += (
            f"; after {culprit.name!r} ({type(culprit).__name__}) none tells {what}"
        )
    return f"{wanted}. Received: feature_layer={name!r} with output shape {shape}"
