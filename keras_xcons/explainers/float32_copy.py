"""A float32 copy of a model of any dtype policy, for what computes in float32 alone."""

import keras

from keras_xcons.layers import Logits
from keras_xcons.models.flatten import Use, used
from keras_xcons.models.policy import dtype_policy


def float32_copy(graph, copies):
    """A float32 model that computes what `graph` does, with layers of its own.

    Args:
        graph: Flat functional model.
        copies: Dict to put each copied layer in, keyed by the layer it stands for.

    Returns:
        A functional `keras.Model`.
    """

    def copy_of(use):
        layer = used(use)
        if not isinstance(layer, keras.Layer):
            return Use(layer, use.name)
        if isinstance(layer, Logits):
            dense = copy_of_layer(layer.dense, layer.dense.name)
            dense.build((None, layer.dense.kernel.shape[0]))
            return Logits(dense)
        return copy_of_layer(layer, use.name)

    def copy_of_layer(layer, name):
        if layer not in copies:
            config = {**_in_float32(layer.get_config()), "name": name}
            # The lambda comes from the live model and not from a file.
            is_lambda = isinstance(layer, keras.layers.Lambda)
            unsafe = {"safe_mode": False} if is_lambda else {}
            copies[layer] = type(layer).from_config(config, **unsafe)
        return copies[layer]

    # Of the layers that a layer makes for itself, too.
    with dtype_policy("float32"):
        return keras.models.clone_model(graph, clone_function=copy_of)


def _in_float32(config):
    """A layer's config with every dtype policy in it, nested ones too, float32."""
    if isinstance(config, dict):
        if "DTypePolicy" in str(config.get("class_name")):
            inner = config["config"]
            # Of a quantized layer the precision beside the quantization.
            key = "source_name" if "source_name" in inner else "name"
            return {**config, "config": {**inner, key: "float32"}}
        return {
            key: "float32"
            if key == "dtype" and "float16" in str(value) and isinstance(value, str)
            else _in_float32(value)
            for key, value in config.items()
        }
    if isinstance(config, list | tuple):
        return type(config)(_in_float32(value) for value in config)
    return config
