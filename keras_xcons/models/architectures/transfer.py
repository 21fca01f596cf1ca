"""What the classifiers over a `keras.applications` backbone have in common."""

import keras

from keras_xcons.models.architectures import preprocessing
from keras_xcons.models.weights import load_weights


def classifier(backbone, num_classes, weights, *, mode, dropout=0.0):
    """Puts preprocessing, pooling and a `Dense` layer around a backbone.

    The backbone stays one nested layer, under its own name, so that it can be
    frozen or taken out in one line: `model.get_layer("resnet50")`.

    Args:
        backbone: `keras.Model` without a top, `(B, h, w, 3)` to a 4-D feature map.
        num_classes: Number of logits.
        weights: Path of a weights file for the backbone, or `None`.
        mode: Key of `preprocessing.MODES`: what the backbone expects of images.
        dropout: Rate before the logits, in [0, 1). Defaults to 0.

    Returns:
        A functional `keras.Model`, images in 0..255 to float32 logits.
    """
    if weights is not None:
        load_weights(backbone, weights)
    images = keras.Input(backbone.input_shape[1:], name="images")
    x = preprocessing.preprocess(images, mode)
    x = backbone(x)
    x = keras.layers.GlobalAveragePooling2D(name="pooling")(x)
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    logits = keras.layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(images, logits, name=f"{backbone.name}_classifier")
