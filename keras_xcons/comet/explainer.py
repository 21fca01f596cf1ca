"""What a COMET classifier selects, as its heatmap."""

from keras_xcons.comet.view import comet_view, is_comet
from keras_xcons.explainers import Panel, as_pictures, register
from keras_xcons.models.compiling import CompiledMaps
from keras_xcons.models.frame import WHOLE


@register("selection", is_own=is_comet)
class SelectedPart:
    """The mask of a COMET classifier's selector.

    The mask tells what of an image the predictor sees. It is of the image and not of a
    class: whatever the label, it is the same. It is not divided by its maximum, which
    says how much of a pixel is left: a mask of 0.2 everywhere selects nothing.

    Args:
        view: `ClassifierView` of a COMET classifier.

    Call arguments:
        images: Float32 tensor `(B, H, W, channels)` in 0..255.
        labels: Integer tensor `(B,)`, or `None`; without effect.

    Returns, when called:
        Float32 tensor `(B, h, w)` in 0..1, in the selector's resolution.

    Raises:
        ValueError: The classifier is no COMET classifier.

    Example:

    >>> model = keras_xcons.models.create("comet", 5, 64, backbone="small_cnn")
    >>> SelectedPart(keras_xcons.split(model))(images).shape
    TensorShape([16, 16, 16])

    Reference:
        [Zhang et al., 2024](https://arxiv.org/abs/2407.19308)
    """

    # The mask is laid over the image, and what a cell of it selects is what lies there.
    frame = WHOLE

    def __init__(self, view):
        self._selection = comet_view(view).selection
        self._maps = CompiledMaps(self._masks)
        self._parts = CompiledMaps(self._both)

    def __call__(self, images, labels=None):
        return self._maps(images)

    def panels(self, images, labels=None):
        """What the predictor sees, and what is left for the detector.

        Args:
            images: Float32 tensor `(B, H, W, channels)` in 0..255.
            labels: Without effect.

        Returns:
            List of two `keras_xcons.explainers.Panel`.
        """
        parts = self._parts(images)
        titles = ("selected", "left out")
        return [
            Panel(title, as_pictures(part))
            for title, part in zip(titles, parts, strict=True)
        ]

    def _both(self, images, labels):
        selection = self._selection
        masks = selection.laid_over(selection.masks(images), images)
        return selection.selected_and_rest(images, masks)

    def _masks(self, images, labels):
        return self._selection.masks(images)[..., 0]
