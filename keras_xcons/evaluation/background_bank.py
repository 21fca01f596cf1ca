"""Backgrounds without objects, for the background challenge."""

import numpy as np
import tensorflow as tf

from keras_xcons import checks, data
from keras_xcons.data import arguments
from keras_xcons.evaluation import reading
from keras_xcons.evaluation.draws import random_numbers

# What the random numbers are for; 1 and on are for the challenge itself.
_KEPT = 0


class BackgroundBank:
    """A limited number of backgrounds without objects, held in memory as uint8.

    Made by `from_dataset` or `from_photographs`. Which backgrounds are kept depends
    on the seed and their places in the data set, not on the size of its batches.

    Args:
        images: uint8 array `(n, H, W, 3)`.
        labels: Ints `(n,)`, the class of the image that each background was taken
            from, or `None` for photographs of nothing in particular.
        ids: Ints `(n,)`, the place of that image in its data set.
        num_classes: Number of classes.

    Attributes:
        images: As given.
        labels: As given.
        ids: As given.
        num_classes: As given.
        empty_classes: Tuple of the classes without a background.

    Raises:
        ValueError: There are fewer backgrounds than classes.

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
            raise ValueError(
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

    @classmethod
    def from_dataset(cls, dataset, num_classes, limit=512, seed=0):
        """Takes the objects out of the images of a data set, in one pass.

        Args:
            dataset: `tf.data.Dataset` of batches `(images, labels, masks)`, as
                `keras_xcons.data.load` gives them with `annotations=True`: images
                `(B, H, W, 3)` in 0..255, integer labels `(B,)` or one-hot `(B, C)`,
                masks `(B, H, W, 1)`.
            num_classes: Number of classes.
            limit: Largest number of backgrounds, the same share of them for each
                class and at least one. Defaults to 512, our choice.
            seed: Of the choice of backgrounds. Defaults to 0.

        Returns:
            A `BackgroundBank`.

        Raises:
            ValueError: Images, labels or masks are not as described, the data set is
                empty or has fewer usable backgrounds than classes.

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
            labels = reading.class_indices(labels, multi_label=False).numpy()
            labels = checks.class_labels(labels, len(images), num_classes)
            found, valid = data.remove_objects(images, where["masks"])
            keeper.add(found, labels, valid)
        return cls(*keeper.kept(), num_classes)

    @classmethod
    def from_photographs(cls, photographs, image_size, num_classes, limit=512, seed=0):
        """Takes photographs that have nothing to do with the classes.

        Args:
            photographs: `tf.data.Dataset` of images `(H, W, 3)` or batches of them
                in 0..255, or what `keras_xcons.data.backgrounds` takes: a folder.
            image_size: int or `(height, width)` in pixels, that of the images which
                are to be put onto the photographs.
            num_classes: Number of classes.
            limit: Largest number of photographs, or `num_classes` where that is
                larger. Defaults to 512, our choice.
            seed: Of the choice of photographs. Defaults to 0.

        Returns:
            A `BackgroundBank` without labels.

        Raises:
            FileNotFoundError: The folder does not exist.
            ValueError: The photographs are of another size, or fewer than classes.

        Example:

        ```python
        foreign = BackgroundBank.from_photographs("data/backgrounds_google", 64, 10)
        ```
        """
        arguments.check_count(num_classes, "num_classes")
        arguments.check_count(limit, "limit")
        arguments.check_seed(seed)
        size = checks.image_size(image_size, "image_size")
        if not isinstance(photographs, tf.data.Dataset):
            photographs = data.backgrounds(photographs, size).batch(32)
        shape = getattr(photographs.element_spec, "shape", tf.TensorShape(None))
        if shape.rank not in (3, 4) or tuple(shape[-3:]) != (*size, 3):
            raise ValueError(
                f"`photographs` must be images of shape {(*size, 3)}, single or in "
                f"batches. Received: photographs of {photographs.element_spec}"
            )
        keeper = _Keeper(max(limit, num_classes), seed)
        for images in photographs.batch(1) if shape.rank == 3 else photographs:
            count = len(images)
            keeper.add(images.numpy(), np.zeros(count, int), np.ones(count, bool))
        images, _, ids = keeper.kept()
        return cls(images, None, ids, num_classes)


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
