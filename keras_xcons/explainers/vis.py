"""Further explainers: Grad-CAM, Layer-CAM, Score-CAM, saliency and SmoothGrad.

tf-keras-vis computes them, and these adapters give it what it can handle: a flat
float32 graph from the images to the logits, with the features within reach. Maps
come back as it computes them, at its own resolution, and are then divided by their
own maximum: its own scaling subtracts the minimum first and turns maps of small
gradients into zeros.
"""

import importlib
import threading
import warnings

import keras
import numpy as np
import tensorflow as tf

from keras_xcons import checks
from keras_xcons.explainers.float32_copy import float32_copy
from keras_xcons.explainers.placed import Placed
from keras_xcons.explainers.registry import register
from keras_xcons.layers import class_scores, scale_to_one
from keras_xcons.models.flatten import flat_model
from keras_xcons.models.frame import WHOLE


class _Quiet(keras.Model):
    """A functional model that predicts without a progress bar.

    Attributes:
        alone: A class whose logit z is returned as (0, z), of which a softmax makes the
            sigmoid of z; or `None` for the logits of all classes.
    """

    alone = None

    def predict(self, x, batch_size=None):
        logits = super().predict(x, batch_size=batch_size, verbose=0)
        if self.alone is None:
            return logits
        chosen = logits[:, self.alone]
        return np.stack([np.zeros_like(chosen), chosen], axis=-1)


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

    _differentiates = True

    def __init__(self, view):
        self._view = view
        self.frame = view.frame.aligned(None)
        self._copies = {}
        self._lock = threading.Lock()
        graph = flat_model(view.flat.inputs[0], view.flat.outputs[:2])
        layers = graph._flatten_layers(include_self=False)
        if self._differentiates and any(
            layer.quantization_mode == "float8" for layer in layers
        ):
            raise ValueError(
                "Layers that compute in float8 have gradients only in compiled code, "
                "and this explainer has none. Use the explainer 'gradcam++' or "
                "'scorecam', or the model before `quantize`. Received: "
                f"model={view.model.name!r}"
            )
        if any(layer.compute_dtype != "float32" for layer in layers):
            graph = float32_copy(graph, self._copies)
        self._features = _Output(graph.outputs[0])
        # The input in a list, as tf-keras-vis hands it over.
        self._network = _Quiet([graph.inputs[0]], graph.outputs[1], name="explained")

    def __call__(self, images, labels=None):
        if labels is None:
            labels = tf.argmax(self._view(images)[1], axis=-1)
        # What tf-keras-vis computes by is set for each batch, and threads may share it.
        with self._lock:
            self._update_copies()
            maps = self._maps(images, labels)
        return scale_to_one(tf.convert_to_tensor(maps, "float32"))

    def _update_copies(self):
        for layer, copy in self._copies.items():
            pairs = zip(layer._flatten_layers(), copy._flatten_layers(), strict=True)
            for source, target in pairs:
                # By a name of Keras: a quantized layer may hold them in any order.
                values = {}
                source.save_own_variables(values)
                target.load_own_variables(values)
            if isinstance(copy, keras.layers.Normalization):
                # Its statistics are what it computed of its weights.
                copy.finalize_state()

    def _maps(self, images, labels):
        """The maps of a batch, before they are scaled."""
        return self._feature_maps(images, labels)

    def _feature_maps(self, images, labels, **arguments):
        """Maps of the explainers that combine the channels of the features."""
        return self._visualizer()(
            self._class_score(labels),
            images,
            penultimate_layer=self._features,
            seek_penultimate_conv_layer=False,
            expand_cam=False,
            normalize_cam=False,
            **arguments,
        )

    def _class_score(self, labels):
        """The score of tf-keras-vis: that of one class an image."""
        return lambda outputs: class_scores(
            outputs, tf.reshape(labels, (-1, 1)), self._view.binary
        )[:, 0]

    def _visualizer(self):
        """The object of tf-keras-vis that computes the maps."""
        module, name = self._path
        with warnings.catch_warnings():
            # It imports SciPy's `zoom` from where it used to be.
            warnings.simplefilter("ignore", DeprecationWarning)
            module = importlib.import_module(f"tf_keras_vis.{module}")
        return getattr(module, name)(self._network, clone=False)


@register("gradcam")
class GradCAM(_VisExplainer):
    """Grad-CAM, by tf-keras-vis: channels weighted by their mean gradient.

    Args:
        view: `ClassifierView`.

    Reference:
        [Selvaraju et al., 2016](https://arxiv.org/abs/1610.02391)
    """

    _path = ("gradcam", "Gradcam")


@register("layercam")
class LayerCAM(_VisExplainer):
    """Layer-CAM, by tf-keras-vis: features times their positive gradients.

    Args:
        view: `ClassifierView`.

    Reference:
        [Jiang et al., 2021](https://ieeexplore.ieee.org/document/9462463)
    """

    _path = ("layercam", "Layercam")


@register("scorecam", by_probability=True)
class ScoreCAM(_VisExplainer):
    """Score-CAM, by tf-keras-vis: channels weighted by the scores that they leave.

    Each channel of the features masks the image once, and the probability of the
    class is its weight: a softmax, or a sigmoid where an image can be of several
    classes, so that evidence against a class weighs less than evidence for it. The
    maps depend on a factor of the logits, as probabilities do and no other explainer
    here: confident models weigh nearly all channels alike or not at all. One image
    costs as many forward passes as there are channels, and memory for as many images,
    which is why images are explained one at a time.

    Args:
        view: `ClassifierView`.
        max_channels: Number of channels to use, those that vary most over the
            image (known as Faster Score-CAM), or `None` for all of them. Defaults
            to `None`.
        multi_label: Whether an image can be of several classes. Defaults to what
            the model's final activation tells, `ClassifierView.multi_label`.

    Raises:
        ValueError: The features do not have that many channels.

    Reference:
        [Wang et al., 2019](https://arxiv.org/abs/1910.01279)
    """

    _path = ("scorecam", "Scorecam")
    _differentiates = False

    def __init__(self, view, max_channels=None, multi_label=None):
        if max_channels is not None:
            channels = view.flat.outputs[0].shape[-1]
            checks.within("max_channels", max_channels, 1, channels)
        super().__init__(view)
        if view.frame.shifts:
            # What masks the image has to lie where its features come from.
            features = [self._network.inputs[0], self._features.output]
            self._features = _Output(Placed(view.frame)(features))
            self.frame = WHOLE
        self._max_channels = max_channels
        if multi_label is None:
            multi_label = view.multi_label
        # The two classes of one output exclude each other.
        self._multi_label = multi_label and not view.binary

    def _maps(self, images, labels):
        return tf.concat(
            [self._map(*pair) for pair in zip(images, labels, strict=True)], axis=0
        )

    def _map(self, image, label):
        if self._multi_label:
            self._network.alone = int(label)
        return self._feature_maps(image[None], label[None], max_N=self._max_channels)

    def _class_score(self, labels):
        # Of probabilities, which tf-keras-vis has made of what the network predicts.
        chosen = 1 if self._multi_label else labels[0]
        return lambda outputs: outputs[:, chosen]


@register("saliency")
class Saliency(_VisExplainer):
    """Saliency, by tf-keras-vis: the largest absolute gradient of a pixel's channels.

    Args:
        view: `ClassifierView`.

    Reference:
        [Simonyan et al., 2013](https://arxiv.org/abs/1312.6034)
    """

    _path = ("saliency", "Saliency")

    def __init__(self, view):
        super().__init__(view)
        self.frame = WHOLE  # Gradients of the images themselves.

    def _maps(self, images, labels):
        score = self._class_score(labels)
        return self._visualizer()(score, images, normalize_map=False)


@register("smoothgrad")
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
        checks.within("samples", samples, 1, 10_000)
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
