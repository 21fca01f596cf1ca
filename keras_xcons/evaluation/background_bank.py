"""Backgrounds without objects, for the background challenge."""

import numpy as np
import tensorflow as tf

from keras_xcons import checks, data
from keras_xcons.data import arguments
from keras_xcons.evaluation import reading
from keras_xcons.evaluation.random_numbers import random_numbers

__all__ = ["BackgroundBank", "TooFewBackgrounds"]

# What the random numbers are for; 1 and on are for the challenge itself.
_KEPT = 0


class TooFewBackgrounds(ValueError):
    """There are fewer usable backgrounds than classes.

    Example:

    >>> try:
    ...     bank = BackgroundBank.from_dataset(test, num_classes=10)
    ... except TooFewBackgrounds:
    ...     bank = None
    """


class BackgroundBank:
    """A limited number of backgrounds without objects, held in memory as uint8.

    Made by `from_dataset` or `from_photographs`. Which backgrounds are kept depends
    on the seed and their places in the data set, not on the size of its batches.

    Args:
        images: uint8 array `(n, H, W, channels)`.
        labels: Ints `(n,)`, the class of the image that each background was taken
            from, or `None` for photographs of nothing in particular.
        ids: Ints `(n,)`, the place of that image in its data set.
        num_classes: Number of classes.

    Attributes:
        images: The backgrounds, uint8 array `(n, H, W, channels)`.
        labels: Ints `(n,)`, the class of the image that each background was taken
            from; `None` for photographs.
        ids: Ints `(n,)`, the place in its data set of the image, or of the
            photograph, that each background is.
        num_classes: Number of classes.
        empty_classes: Tuple of the classes without a background.

    Raises:
        TooFewBackgrounds: There are fewer backgrounds than classes.

    Example:

    ```python
    test = kx.data.load("shapes", "original", batch_size=50, annotations=True)
    bank = BackgroundBank.from_dataset(test, num_classes=10)
    ```

    Reference:
        [Xiao et al., 2020](https://arxiv.org/abs/2006.09994); the limit is our
        choice
    """

    def __init__(self, images, labels, ids, num_classes):
        if len(images) < num_classes:
            raise TooFewBackgrounds(
                "The background challenge needs at least as many usable backgrounds "
                f"as classes. Received: {len(images)} backgrounds for "
                f"{num_classes} classes"
            )
        self.images = images
        self.labels = labels
        self.ids = ids
        self.num_classes = num_classes
        self.empty_classes = ()
        if labels is not None:
            empty = np.setdiff1d(np.arange(num_classes), labels)
            self.empty_classes = tuple(empty.tolist())

    def __len__(self):
        return len(self.images)

    def challenge_sizes(self, challenge_size):
        """How many backgrounds an image really has to stand in the challenge.

        They are of other classes than its own, so that a small bank has fewer of
        them than asked for, and not as many for each class.

        Args:
            challenge_size: The number that is asked for.

        Returns:
            `(smallest, largest)` over the classes that have a background; twice the
            same number for photographs, which are of no class.

        Example:

        >>> bank = BackgroundBank.from_dataset(test, num_classes=10, limit=20)
        >>> bank.challenge_sizes(16), bank.challenge_sizes(100)
        ((16, 16), (18, 18))
        """
        usable = np.array([len(self)])
        if self.labels is not None:
            usable = len(self) - np.bincount(self.labels)[np.unique(self.labels)]
        sizes = np.minimum(usable, challenge_size)
        return int(sizes.min()), int(sizes.max())

    @classmethod
    def from_dataset(cls, dataset, num_classes, limit=512, seed=0):
        """Takes the objects out of the images of a data set, in one pass.

        Args:
            dataset: `tf.data.Dataset` of batches `(images, labels, masks)`, as
                `keras_xcons.data.load` gives them with `annotations=True`: images
                `(B, H, W, channels)` in 0..255, all of one size, integer labels
                `(B,)` or one-hot `(B, C)`, masks `(B, H, W, 1)`.
            num_classes: Number of classes.
            limit: Largest number of backgrounds, the same share of them for each
                class and at least one. Defaults to 512, our choice.
            seed: Of the choice of backgrounds. Defaults to 0.

        Returns:
            A `BackgroundBank`.

        Raises:
            TooFewBackgrounds: There are fewer usable backgrounds than classes.
            ValueError: Images, labels or masks are not as described, or the data set
                is empty.

        Example:

        >>> bank = BackgroundBank.from_dataset(test, num_classes=10, limit=100)
        >>> np.bincount(bank.labels).max()
        10
        """
        arguments.check_count(num_classes, "num_classes")
        arguments.check_count(limit, "limit")
        arguments.check_seed(seed)
        keeper = _Keeper(max(1, limit // num_classes), seed)
        for element in dataset:
            images, labels, where = reading.parts(element)
            if "masks" not in where:
                raise ValueError(
                    "Objects are taken out of images by their masks. Received: batches "
                    f"with {next(iter(where), 'neither boxes nor masks')}"
                )
            images = checks.image_batch(images)
            labels = reading.class_indices(labels, multi_label=False).numpy()
            labels = checks.class_labels(labels, len(images), num_classes)
            found, valid = data.remove_objects(images, where["masks"])
            keeper.add(found, labels, valid)
        return cls(*keeper.kept(), num_classes)

    @classmethod
    def from_photographs(
        cls, photographs, image_size, num_classes, limit=512, seed=0, channels=3
    ):
        """Takes photographs that have nothing to do with the classes.

        Args:
            photographs: `tf.data.Dataset` of images `(H, W, 3)`, or `(H, W, 1)`
                where `channels` is 1, or batches of them, in 0..255; or what
                `keras_xcons.data.backgrounds` takes: a folder.
            image_size: int or `(height, width)` in pixels, that of the images which
                are to be put onto the photographs.
            num_classes: Number of classes.
            limit: Largest number of photographs, or `num_classes` where that is
                larger. Defaults to 512, our choice.
            seed: Of the choice of photographs. Defaults to 0.
            channels: 3 or 1, that of the images which are to be put onto the
                photographs; for 1 these are made grey. Defaults to 3.

        Returns:
            A `BackgroundBank` without labels.

        Raises:
            FileNotFoundError: The folder does not exist.
            TooFewBackgrounds: There are fewer photographs than classes.
            ValueError: The photographs are of another size or not in 0..255, or
                `channels` is another number.

        Example:

        ```python
        foreign = BackgroundBank.from_photographs("data/backgrounds_google", 64, 10)
        ```
        """
        arguments.check_count(num_classes, "num_classes")
        arguments.check_count(limit, "limit")
        arguments.check_seed(seed)
        size = checks.image_size(image_size, "image_size")
        if channels not in (1, 3):
            raise ValueError(
                "Photographs go behind images of 1 or 3 channels. Received: "
                f"channels={channels!r}"
            )
        if not isinstance(photographs, tf.data.Dataset):
            photographs = data.backgrounds(photographs, size).batch(32)
        keeper = _Keeper(max(limit, num_classes), seed)
        for images in _checked(_batches(photographs, size, channels)):
            if images.shape[-1] != channels:
                images = tf.image.rgb_to_grayscale(images).numpy()
            count = len(images)
            keeper.add(images, np.zeros(count, int), np.ones(count, bool))
        images, _, ids = keeper.kept()
        return cls(images, None, ids, num_classes)


def _batches(photographs, size, channels):
    """Photographs in batches, if they are of the size."""
    spec = photographs.element_spec
    shape = getattr(spec, "shape", tf.TensorShape(None))
    accepted = {(*size, 3), (*size, channels)}
    if shape.rank not in (3, 4) or tuple(shape[-3:]) not in accepted:
        raise ValueError(
            f"`photographs` must be images of shape {(*size, 3)}, single or in "
            f"batches. Received: photographs of {spec}"
        )
    return photographs.batch(1) if shape.rank == 3 else photographs


def _checked(batches):
    """Yields the batches as float32 arrays, and refuses what is not in 0..255."""
    highest = 0.0
    for images in batches:
        images = tf.cast(images, tf.float32).numpy()
        low, high = images.min(), images.max()
        if not (low >= 0.0 and high <= 255.0):  # not(...) so that NaN is caught
            raise ValueError(
                "`photographs` must be finite and within 0..255. Received: photographs "
                f"with minimum {low} and maximum {high}"
            )
        highest = max(highest, high)
        yield images
    # Rounded, they would all but be black; black ones may be meant.
    if 0.0 < highest <= 1.0:
        raise ValueError(
            "`photographs` must be within 0..255, not 0..1. Received: photographs "
            f"with maximum {highest}"
        )


class _Keeper:
    """Keeps the images of the smallest random numbers, at most `share` a class."""

    def __init__(self, share, seed):
        self._share = share
        self._seed = seed
        self._seen = 0
        self._columns = None

    def add(self, images, labels, usable):
        """Takes in a batch, of which the usable ones may be kept."""
        ids = self._seen + np.arange(len(labels))
        self._seen += len(labels)
        numbers = random_numbers(self._seed, _KEPT, ids)
        images = np.clip(np.round(images), 0, 255).astype("uint8")
        columns = images, labels, ids, numbers
        columns = [column[usable] for column in columns]
        if self._columns is not None:
            size, other = self._columns[0].shape[1:], images.shape[1:]
            if size != other:
                raise ValueError(
                    "Backgrounds must come from images of one size. Received: images "
                    f"of shapes {size} and {other}"
                )
            pairs = zip(self._columns, columns, strict=True)
            columns = [np.concatenate(pair) for pair in pairs]
        _, labels, ids, numbers = columns
        order = np.lexsort((ids, numbers, labels))
        ordered = labels[order]
        rank = np.arange(len(order)) - np.searchsorted(ordered, ordered)
        order = order[rank < self._share]
        self._columns = [column[order] for column in columns]

    def kept(self):
        """Images, labels and ids, by class and, within a class, in random order."""
        if self._columns is None:
            raise ValueError("The data set of backgrounds is empty. Received: no batch")
        return self._columns[:3]
