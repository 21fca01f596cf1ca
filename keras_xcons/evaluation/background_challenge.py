"""The background challenge: does the class survive another background?"""

import numpy as np

from keras_xcons import checks, data
from keras_xcons.data import arguments
from keras_xcons.evaluation.background_bank import BackgroundBank
from keras_xcons.evaluation.random_numbers import random_numbers

__all__ = ["BackgroundBank", "BackgroundChallenge"]

# What the random numbers are for; 0 is for the choice of the bank.
_SAME, _CLASS, _RANDOM, _CHALLENGE = range(1, 5)


class BackgroundChallenge:
    """Measures how much a classifier relies on backgrounds.

    The objects of images are put onto other backgrounds, in their own places. An
    image takes part if `keras_xcons.data.remove_objects` finds it valid; the draws
    for it depend on the seed and its id alone.

    Args:
        predict: Function of float32 images `(B, H, W, channels)` in 0..255 that gives
            logits `(B, C)`. Compile it: it runs `4 + challenge_size` times a batch.
        bank: `BackgroundBank` with labels, made of the data set to measure, so that
            no image gets its own background.
        foreign: `BackgroundBank` of photographs, of the size and channels of `bank`,
            to be used in place of the backgrounds of random and other classes; this
            is our choice. Defaults to `None`.
        challenge_size: Number of backgrounds that an image has to stand, or all
            where there are fewer, see `BackgroundBank.challenge_sizes`. Defaults to
            16, our choice: the paper tries each background of its test set.
        seed: Of the draws. Defaults to 0.

    Raises:
        ValueError: A bank is of the wrong kind, the banks are of two sizes, or
            `challenge_size` is below 1.

    Example:

    >>> challenge = BackgroundChallenge(model.predict_on_batch, bank)
    >>> rows = challenge(images, labels, masks, ids=np.arange(len(images)))
    >>> np.nanmean(rows["bg_gap"])

    Reference:
        [Xiao et al., 2020](https://arxiv.org/abs/2006.09994), sections 2 to 4
    """

    def __init__(self, predict, bank, foreign=None, challenge_size=16, seed=0):
        if bank.labels is None:
            raise ValueError(
                "`bank` must know the classes of its backgrounds; photographs go into "
                "`foreign`. Received: bank with labels=None"
            )
        if foreign is not None and foreign.labels is not None:
            raise ValueError(
                "`foreign` must be a bank of photographs without classes. Received: "
                f"foreign with {foreign.num_classes} classes"
            )
        size = bank.images.shape[1:]
        if foreign is not None and foreign.images.shape[1:] != size:
            raise ValueError(
                f"`foreign` must have images of shape {size}, as `bank` has them. "
                f"Received: foreign with images of shape {foreign.images.shape[1:]}"
            )
        arguments.check_count(challenge_size, "challenge_size")
        arguments.check_seed(seed)
        self._predict = predict
        self._bank = bank
        self._foreign = foreign
        self._challenge_size = challenge_size
        self._seed = seed

    def __call__(self, images, labels, masks, ids):
        """Measures a batch.

        Args:
            images: Array `(B, H, W, channels)` in 0..255.
            labels: Integers `(B,)`.
            masks: Array `(B, H, W, 1)` of 1 on the object and 0 elsewhere.
            ids: Integers `(B,)`, the places of the images in the data set.

        Returns:
            Dict of float32 arrays `(B,)`, NaN for an image that takes no part in a
            figure. Each is 1 where the class is told right and 0 elsewhere; higher
            is better if not said otherwise:

            - `original`: on the image as it is.
            - `mixed_same`: on the background of another image of its class.
            - `mixed_rand`: on the background of a random class, all classes being
              equally likely, its own as well, or on a foreign photograph.
            - `only_background`: on the image without its object. Lower is better.
            - `bg_gap`: `mixed_same - mixed_rand`, in -1..1. Lower is better.
            - `background_challenge`: on each of `challenge_size` backgrounds of
              other classes, or foreign photographs.

        Raises:
            ValueError: Images, labels, masks or ids are not as described, or the
                backgrounds are of another size.
        """
        images = np.asarray(images, "float32")
        own, valid = data.remove_objects(images, masks)
        labels = checks.class_labels(labels, len(images), self._bank.num_classes)
        ids = np.asarray(ids)
        if ids.shape != labels.shape or ids.dtype.kind not in "ui":
            raise ValueError(
                f"`ids` must be integers of shape {labels.shape}, one an image. "
                f"Received: ids of shape {ids.shape} and dtype {ids.dtype}"
            )

        def right(backgrounds=None):
            shown = images
            if backgrounds is not None:
                shown = data.paste(images, masks, backgrounds)
            return self._right(shown, labels)

        same, has_same = self._same_class(labels, ids)
        rand, has_rand = self._random_class(ids)
        rows = {
            "original": np.where(valid, right(), np.nan),
            "mixed_same": np.where(valid & has_same, right(same), np.nan),
            "mixed_rand": np.where(valid & has_rand, right(rand), np.nan),
            "only_background": np.where(valid, self._right(own, labels), np.nan),
        }
        rows["bg_gap"] = rows["mixed_same"] - rows["mixed_rand"]
        bank, places, drawn = self._others(labels, ids)
        stood = np.ones(len(images), bool)
        for place, is_drawn in zip(places.T, drawn.T, strict=True):
            stood &= right(bank.images[place]) | ~is_drawn
        takes_part = valid & drawn.any(axis=1)
        rows["background_challenge"] = np.where(takes_part, stood, np.nan)
        return {name: row.astype("float32") for name, row in rows.items()}

    def _right(self, images, labels):
        return np.argmax(np.asarray(self._predict(images)), axis=-1) == labels

    def _same_class(self, labels, ids):
        bank = self._bank
        allowed = (bank.labels == labels[:, None]) & (bank.ids != ids[:, None])
        places, drawn = self._draw(ids, _SAME, allowed)
        return bank.images[places[:, 0]], drawn[:, 0]

    def _random_class(self, ids):
        bank = self._foreign or self._bank
        allowed = np.ones((len(ids), len(bank)), bool)
        if self._foreign is None:
            allowed = bank.ids != ids[:, None]
            members = np.eye(bank.num_classes, dtype=bool)[bank.labels]
            classes, _ = self._draw(ids, _CLASS, allowed @ members)
            allowed &= bank.labels == classes
        places, drawn = self._draw(ids, _RANDOM, allowed)
        return bank.images[places[:, 0]], drawn[:, 0]

    def _others(self, labels, ids):
        """The bank, places in it, and which of the places are drawn, `(B, K)`."""
        bank = self._foreign or self._bank
        allowed = np.ones((len(ids), len(bank)), bool)
        if self._foreign is None:
            allowed = bank.labels != labels[:, None]
        count = min(self._challenge_size, len(bank))
        return bank, *self._draw(ids, _CHALLENGE, allowed, count)

    def _draw(self, ids, purpose, allowed, count=1):
        """Draws `count` of the allowed columns `(B, n)`, each at most once."""
        columns = np.arange(allowed.shape[1])
        numbers = random_numbers(self._seed, purpose, ids[:, None], columns)
        numbers = np.where(allowed, numbers, np.iinfo("uint64").max)
        places = np.argsort(numbers, axis=1)[:, :count]
        return places, np.take_along_axis(allowed, places, axis=1)
