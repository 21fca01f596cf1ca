"""What an explainer shows of an image beside its heatmap."""

import typing

import numpy as np
import tensorflow as tf

from keras_xcons.explainers.explaining import explainer_of


class Panel(typing.NamedTuple):
    """Pictures of one kind, one an image.

    Attributes:
        title: What they show, in a few words.
        pictures: Uint8 array `(B, H, W, 3)`.
        captions: List of a few words an image, in the place of the title where that
            says less; `None` for the title.
    """

    title: str
    pictures: np.ndarray
    captions: list | None = None

    def shown(self, number):
        """What is shown of an image.

        Args:
            number: Its place in the batch.

        Returns:
            `(words, picture)`.
        """
        words = self.title if self.captions is None else self.captions[number]
        return words, self.pictures[number]


def panels(view, images, labels=None, explainer=None):
    """What an explainer shows of images beside its heatmaps.

    An explainer that has more to show than a heatmap has a method `panels` of images
    and labels, as it is called with them.

    Args:
        view: `ClassifierView`.
        images: Float array `(B, H, W, channels)` in 0..255.
        labels: Integers `(B,)`, the classes that are explained, or `None` for the
            predicted ones.
        explainer: As for `keras_xcons.explain`.

    Returns:
        List of `Panel`; of most explainers none.

    Example:

    >>> [panel.title for panel in panels(keras_xcons.split(comet), images)]
    ['selected', 'left out']
    """
    show = getattr(explainer_of(view, explainer), "panels", None)
    if show is None:
        return []
    images = tf.constant(np.asarray(images, "float32"))
    return show(images, None if labels is None else tf.constant(labels))


def as_pictures(images):
    """Images as pictures.

    Args:
        images: Array or tensor `(B, H, W, channels)` of 1 or 3 channels, in 0..255.

    Returns:
        Uint8 array `(B, H, W, 3)`.

    Example:

    >>> as_pictures(np.full((1, 2, 2, 1), 127.6)).max()
    128
    """
    images = np.rint(np.clip(np.asarray(images), 0.0, 255.0)).astype("uint8")
    return np.broadcast_to(images, (*images.shape[:3], 3))
