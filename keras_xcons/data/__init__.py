"""Data sets: TFDS and image folders, and the generated shapes set."""

from keras_xcons.data.augmentation import (
    augment,
    random_flip,
    random_resized_crop,
    random_shift,
)
from keras_xcons.data.backgrounds import backgrounds
from keras_xcons.data.catalog import Adapter, DatasetInfo, names, register
from keras_xcons.data.loading import info, load
from keras_xcons.data.mixing import paste, remove_objects
from keras_xcons.data.sample_ids import split_sample_ids, with_sample_ids
from keras_xcons.data.shapes import shapes
from keras_xcons.data.unlabelled import unlabelled_of, with_unlabelled
from keras_xcons.data.verifying import SplitFacts, verify

__all__ = [
    "Adapter",
    "DatasetInfo",
    "SplitFacts",
    "augment",
    "backgrounds",
    "info",
    "load",
    "names",
    "paste",
    "random_flip",
    "random_resized_crop",
    "random_shift",
    "register",
    "remove_objects",
    "shapes",
    "split_sample_ids",
    "unlabelled_of",
    "verify",
    "with_sample_ids",
    "with_unlabelled",
]
