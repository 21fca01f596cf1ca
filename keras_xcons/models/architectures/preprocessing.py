"""Image preprocessing inside a model, from built-in Keras layers alone.

A saved model therefore loads without this package. The modes are those of
`keras.applications.imagenet_utils.preprocess_input`.
"""

import keras

# ImageNet channel statistics as `keras.applications` has them: BGR means in 0..255,
# and RGB means and deviations in 0..1.
_BGR_MEAN = (103.939, 116.779, 123.68)
_RGB_MEAN = (0.485, 0.456, 0.406)
_RGB_STDDEV = (0.229, 0.224, 0.225)

# Scale and offset of each channel. "inside" is a backbone that preprocesses itself.
MODES = {
    "tf": (1 / 127.5, -1.0),
    "caffe": (1.0, [-mean for mean in _BGR_MEAN]),
    "torch": (
        [1 / (255 * stddev) for stddev in _RGB_STDDEV],
        [-mean / stddev for mean, stddev in zip(_RGB_MEAN, _RGB_STDDEV, strict=True)],
    ),
    "inside": None,
}


def preprocess(images, mode):
    """Scales images the way a backbone expects them.

    Args:
        images: Symbolic tensor `(B, H, W, 3)`, RGB in 0..255.
        mode: `"tf"` (to -1..1), `"caffe"` (to BGR, means subtracted), `"torch"`
            (to 0..1, then means and deviations) or `"inside"` (unchanged: the
            backbone does it).

    Returns:
        Symbolic float32 tensor of the same shape. The scaling is float32 under
        every dtype policy; what follows casts it.
    """
    if MODES[mode] is None:
        return images
    scale, offset = MODES[mode]
    if mode == "caffe":
        images = keras.ops.flip(images, axis=-1)
    rescaling = keras.layers.Rescaling(
        scale, offset, dtype="float32", name="preprocessing"
    )
    return rescaling(images)
