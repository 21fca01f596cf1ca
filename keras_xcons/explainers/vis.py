"""Further explainers: Grad-CAM, Layer-CAM, Score-CAM, saliency and SmoothGrad.

tf-keras-vis computes them, and these adapters give it what it can handle: a flat
float32 graph from the images to the logits, with the features within reach. Maps
come back as it computes them, at its own resolution, and are then divided by their
own maximum: its own scaling subtracts the minimum first and turns maps of small
gradients into zeros.
"""

import importlib
import warnings

import keras
import numpy as np
import tensorflow as tf

from keras_xcons import checks
from keras_xcons.layers import Logits, scale_to_one
from keras_xcons.models.flatten import Use, flat_model, used
from keras_xcons.models.policy import dtype_policy


class _Quiet(keras.Model):
    """A functional model that predicts without a progress bar."""

    def predict(self, x, batch_size=None):
        return super().predict(x, batch_size=batch_size, verbose=0)


class _Output(keras.Layer):
    """Hands tf-keras-vis one tensor of a graph.

    It asks a layer for its `output`. Layers of a flat graph have more than one, as
    they are shared with the model that was flattened, and would name the wrong one.
    """

    def __init__(self, tensor):
        super().__init__()
        self._tensor = tensor

    @property
    def output(self):
        return self._tensor


class _VisExplainer:
    """What all adapters share.

    A float32 model is explained through its own layers. Of one with a mixed or a
    low-precision dtype policy a float32 copy is made, because tf-keras-vis fails on
    bfloat16 and overflows in float16; the copy takes over the model's weights at
    every call. Either way the maps follow later training of the model.

    Args:
        view: `ClassifierView`.

    Call arguments:
        images: Float32 tensor `(B, H, W, channels)` in 0..255.
        labels: Integer tensor `(B,)`, or `None` for the predicted class.

    Returns, when called:
        Float32 tensor `(B, h, w)` in 0..1; a map without any evidence is all zeros.
    """

    def __init__(self, view):
        self._view = view
        self._copies = {}
        graph = flat_model(view.flat.inputs[0], view.flat.outputs[:2])
        layers = graph._flatten_layers(include_self=False)
        if any(layer.compute_dtype != "float32" for layer in layers):
            graph = _float32_copy(graph, self._copies)
        self._features = _Output(graph.outputs[0])
        # The input in a list, as tf-keras-vis hands it over.
        self._network = _Quiet([graph.inputs[0]], graph.outputs[1], name="explained")

    def __call__(self, images, labels=None):
        if labels is None:
            labels = tf.argmax(self._view(images)[1], axis=-1)
        for layer, copy in self._copies.items():
            for weight, value in zip(copy.weights, layer.weights, strict=True):
                weight.assign(value)
            if isinstance(copy, keras.layers.Normalization):
                # Its statistics are what it computed of its weights.
                copy.finalize_state()
        maps = self._maps(images, labels)
        return scale_to_one(tf.convert_to_tensor(maps, "float32"))

    def _maps(self, images, labels):
        """The maps of a batch, before they are scaled."""
        return self._feature_maps(images, labels)

    def _feature_maps(self, images, labels, **arguments):
        """Maps of the methods that combine the channels of the features."""
        return self._method()(
            _class_score(labels),
            images,
            penultimate_layer=self._features,
            seek_penultimate_conv_layer=False,
            expand_cam=False,
            normalize_cam=False,
            **arguments,
        )

    def _method(self):
        """The object of tf-keras-vis that computes the maps."""
        module, name = self._path
        with warnings.catch_warnings():
            # It imports SciPy's `zoom` from where it used to be.
            warnings.simplefilter("ignore", DeprecationWarning)
            module = importlib.import_module(f"tf_keras_vis.{module}")
        return getattr(module, name)(self._network, clone=False)


class GradCAM(_VisExplainer):
    """Grad-CAM, by tf-keras-vis: channels weighted by their mean gradient.

    Args:
        view: `ClassifierView`.

    Reference:
        [Selvaraju et al., 2016](https://arxiv.org/abs/1610.02391)
    """

    _path = ("gradcam", "Gradcam")


class LayerCAM(_VisExplainer):
    """Layer-CAM, by tf-keras-vis: features times their positive gradients.

    Args:
        view: `ClassifierView`.

    Reference:
        [Jiang et al., 2021](https://ieeexplore.ieee.org/document/9462463)
    """

    _path = ("layercam", "Layercam")


class ScoreCAM(_VisExplainer):
    """Score-CAM, by tf-keras-vis: channels weighted by the scores that they leave.

    Each channel of the features masks the image once, and the softmax probability
    of the class is its weight. One image costs as many forward passes as there are
    channels, and memory for as many images, which is why images are explained one
    at a time.

    Args:
        view: `ClassifierView`.
        max_channels: Number of channels to use, those that vary most over the
            image (known as Faster Score-CAM), or `None` for all of them. Defaults
            to `None`.

    Raises:
        ValueError: The features do not have that many channels.

    Reference:
        [Wang et al., 2019](https://arxiv.org/abs/1910.01279)
    """

    _path = ("scorecam", "Scorecam")

    def __init__(self, view, max_channels=None):
        if max_channels is not None:
            channels = view.flat.outputs[0].shape[-1]
            checks.within("max_channels", max_channels, 1, channels)
        super().__init__(view)
        self._max_channels = max_channels

    def _maps(self, images, labels):
        maps = [
            self._feature_maps(image[None], label[None], max_N=self._max_channels)
            for image, label in zip(images, labels, strict=True)
        ]
        return tf.concat(maps, axis=0)


class Saliency(_VisExplainer):
    """Saliency, by tf-keras-vis: the largest absolute gradient of a pixel's channels.

    Args:
        view: `ClassifierView`.

    Reference:
        [Simonyan et al., 2013](https://arxiv.org/abs/1312.6034)
    """

    _path = ("saliency", "Saliency")

    def _maps(self, images, labels):
        score = _class_score(labels)
        return self._method()(score, images, normalize_map=False)


class SmoothGrad(Saliency):
    """SmoothGrad: the mean of the saliency of noisy copies of an image.

    The saliency is that of tf-keras-vis, but the noise is drawn here: every image
    gets the same noise, whatever batch it is in, NumPy's global generator is left
    alone, and memory does not grow with the number of samples.

    Args:
        view: `ClassifierView`.
        samples: Number of noisy copies. Defaults to 20.
        noise: Standard deviation of the normal noise, as a share of the image's
            range, `max - min`. Defaults to 0.2.
        seed: Integer that the noise is drawn with. Defaults to 0.

    Raises:
        ValueError: `samples` is below 1, or `noise` below 0.

    Reference:
        [Smilkov et al., 2017](https://arxiv.org/abs/1706.03825)
    """

    def __init__(self, view, samples=20, noise=0.2, seed=0):
        checks.within("samples", samples, 1, None)
        checks.within("noise", noise, 0.0, None)
        super().__init__(view)
        self._samples = samples
        self._noise = noise
        self._seed = seed

    def _maps(self, images, labels):
        random = np.random.default_rng(self._seed)
        pixels = (1, 2, 3)
        span = tf.reduce_max(images, pixels) - tf.reduce_min(images, pixels)
        deviation = self._noise * span[:, None, None, None]
        total = 0.0
        for _ in range(self._samples):
            noise = random.standard_normal(images.shape[1:], "float32")
            total += super()._maps(images + deviation * noise, labels)
        return total / self._samples


def _class_score(labels):
    """The score of tf-keras-vis that reads one class an image off the outputs."""
    return lambda outputs: tf.gather(outputs, labels, batch_dims=1)


def _float32_copy(graph, copies):
    """A float32 model that computes what `graph` does, with layers of its own.

    Args:
        graph: Flat functional model.
        copies: Dict to put each copied layer in, keyed by the layer it stands for.
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
        return {
            key: "float32" if _is_policy(key, value) else _in_float32(value)
            for key, value in config.items()
        }
    if isinstance(config, list | tuple):
        return type(config)(_in_float32(value) for value in config)
    return config


def _is_policy(key, value):
    if isinstance(value, dict):
        return "DTypePolicy" in str(value.get("class_name"))
    return key == "dtype" and "float16" in str(value)
