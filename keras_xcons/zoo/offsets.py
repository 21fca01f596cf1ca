"""The offset of heatmaps on its way into a card and out of it."""

from keras_xcons import checks, models
from keras_xcons.explainers import Calibration
from keras_xcons.models.offset import Offset, remember_offset


def check_offset(model, layer, offset):
    """Refuses to publish what is not the offset of a model's heatmaps.

    Args:
        model: The `keras.Model` that is published, for images of one size.
        layer: Name of the layer that the card names.
        offset: `keras_xcons.explainers.Calibration`, or `None`.

    Raises:
        TypeError: It is neither.
        ValueError: It is in doubt, was measured of another layer or on images of
            another size, or the layer is not the one that whoever loads the model
            explains.
    """
    if offset is None:
        return
    if not isinstance(offset, Calibration):
        raise TypeError(
            "`offset` must be the Calibration that `keras_xcons.calibrate` returned, "
            f"or None. Received: offset={checks.shown(offset)}"
        )
    if offset.doubts:
        raise ValueError(
            "`offset` must be one to move heatmaps by, or None. Received: an offset of "
            f"which `keras_xcons.calibrate` says: {' '.join(offset.doubts)}"
        )
    default = models.split(model).feature_layer
    if layer != default:
        raise ValueError(
            "An offset is published for the layer that a loaded model is explained by, "
            f"{default!r}: leave `feature_layer` or `offset` out. Received: "
            f"feature_layer={layer!r} with an offset"
        )
    for what, wanted, found in (
        ("feature layer", layer, offset.feature_layer),
        ("size of images", model.input_shape[1:3], offset.image_size),
    ):
        if found != wanted:
            raise ValueError(
                f"`offset` must be measured of the model and the {what} that are "
                f"published, {wanted!r}: give what `keras_xcons.calibrate` returns for "
                f"them. Received: an offset of {found!r}"
            )


def remember_offset_of(card, model):
    """Tells a model the offset of its heatmaps, if its card knows it.

    Args:
        card: A card, checked.
        model: The `keras.Model` that was built of it.

    Raises:
        ValueError: The feature layer of the card has no maps to be moved.
    """
    offset = card.get("offset")
    if offset is None:
        return
    layer = card["feature_layer"]
    shape = model.get_layer(layer).output.shape
    if len(shape) != 4:
        raise ValueError(
            f"The card of {card['name']!r} has an offset of heatmaps, and its feature "
            f"layer no maps. Received: feature_layer={layer!r} with an output of shape "
            f"{tuple(shape)}"
        )
    shares = [
        offset[axis] * count / side
        for axis, count, side in zip(
            ("rows", "columns"), shape[1:3], card["input_size"], strict=True
        )
    ]
    remember_offset(model, layer, Offset(*shares))
