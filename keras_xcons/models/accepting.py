"""What may be split: a graph from images to scores, or a pair that makes one."""

import keras

from keras_xcons.models.flatten import is_graph
from keras_xcons.models.offset import offsets_of, remember_offsets
from keras_xcons.models.view_cache import State, cache_of

PAIR_FEATURES = "features"


class TrainsClassifier:
    """Marks a model that trains another one and stands for it when explained.

    Attributes:
        classifier: The plain `keras.Model` that is trained.
    """

    classifier: keras.Model


def joined(pair, input_shape):
    """One functional model of a (backbone, head) pair, made once for it.

    Args:
        pair: `(backbone, head)`.
        input_shape: `(H, W, channels)` of the images, for a backbone that does not
            know it.

    Returns:
        A functional `keras.Model`.

    Raises:
        TypeError: They are no two models or layers.
        ValueError: The head does not take what the backbone returns.
    """
    if len(pair) != 2 or not all(isinstance(part, keras.Layer) for part in pair):
        raise TypeError(
            "A pair to split must be two Keras models or layers, (backbone, head). "
            f"Received: model={pair}"
        )
    backbone, head = pair
    cache, key = cache_of(backbone), (id(head), tuple(input_shape))
    model, state = cache.get(key) or (None, None)
    if model is not None and state.current:
        return model
    if is_graph(backbone) and backbone.built:
        input_shape = backbone.input_shape[1:]
    images = keras.Input(input_shape, name="images")
    try:
        activations = backbone(images)
        activations = keras.layers.Identity(name=PAIR_FEATURES)(activations)
        outputs = head(activations)
    except Exception as error:
        raise ValueError(
            "The pair (backbone, head) could not be joined on images of shape "
            f"{input_shape}: {_first_line(error)} Pass `input_shape` with the "
            "(height, width, channels) that the backbone takes. Received: "
            f"model={pair}"
        ) from error
    known = {} if model is None else offsets_of(model)
    model = keras.Model(images, outputs, name=f"{backbone.name}_classifier")
    remember_offsets(model, known)
    cache.put(key, (model, State(model)))
    return model


def check_model(model):
    """Refuses what is no graph from one batch of images to one score a class.

    Args:
        model: What came in.

    Raises:
        TypeError: It is no `keras.Model`.
        ValueError: It is one of another kind.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            "A classifier must be a `keras.Model`, or a pair (backbone, head). "
            f"Received: model={model!r} (of type {type(model).__name__})"
        )
    if not is_graph(model):
        raise ValueError(
            f"The subclassed model {type(model).__name__} cannot be split: it does "
            "not tell how its layers are connected. Pass a pair (backbone, head), "
            "where the backbone returns the 4-D activations and the head maps them "
            f"to one logit a class. Received: model={model}"
        )
    if not model.built or not getattr(model, "inputs", None):
        raise ValueError(
            "A Sequential model must be built before it is split. Give it a "
            "`keras.Input`, or call `model.build(input_shape)`. Received: "
            f"model={model}"
        )
    inputs = [tuple(tensor.shape) for tensor in model.inputs]
    outputs = [tuple(tensor.shape) for tensor in model.outputs]
    if [len(shape) for shape in inputs] != [4] or [len(s) for s in outputs] != [2]:
        raise ValueError(
            "A classifier must map one batch of images (batch, height, width, "
            "channels) to one score a class (batch, classes)."
            f"{_way_out(model.outputs)} Received: a model with input shapes {inputs} "
            f"and output shapes {outputs}"
        )


def _way_out(outputs):
    """Which of several outputs would do, as a sentence."""
    scores = [i for i, tensor in enumerate(outputs) if len(tensor.shape) == 2]
    if len(outputs) < 2 or not scores:
        return ""
    return (
        " Choose one of several outputs: "
        f"`keras.Model(model.input, model.outputs[{scores[0]}])`."
    )


def _first_line(error):
    return str(error).strip().splitlines()[0]
