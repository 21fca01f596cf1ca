"""Which records of a TFDS split can be read."""

import collections
import pathlib
import re

import numpy as np
import tensorflow as tf

from keras_xcons.data.records import Records


def read_all(builder, split, examples, features):
    """Reads every record of a split and decodes every image.

    A record that is damaged takes those behind it in its file along, since nothing
    tells where the next one begins; the file is then named. An image that cannot be
    decoded is named as TFDS names it, by its file and its place there.

    Args:
        builder: The `tfds.core.DatasetBuilder`.
        split: str, a TFDS split specification.
        examples: Function from arguments of `tfds.ReadConfig` to a `tf.data.Dataset`
            of `(name, label)` of what can be read and decoded, the name empty unless
            `add_tfds_id` asks for it.
        features: Dict from a name to the `Image` features that will be read.

    Returns:
        `Records`.
    """
    parts = builder.info.splits[split].file_instructions
    total = sum(part.take for part in parts)
    labels = [label for _, label in examples().as_numpy_iterator()]
    bad = ()
    if len(labels) < total:
        named = examples(add_tfds_id=True).as_numpy_iterator()
        good = {name for name, _ in named}
        bad = tuple(_name(builder, split, parts, good, features))
    return Records(np.array(labels), bad, total)


def _name(builder, split, parts, good, features):
    """Yields names of what is not among the good records, and why."""
    import tensorflow_datasets as tfds

    skipped = {name: tfds.decode.SkipDecoding() for name in features}
    encoded = builder.as_dataset(
        split=split,
        decoders=skipped,
        read_config=tfds.ReadConfig(
            try_autocache=False, assert_cardinality=False, add_tfds_id=True
        ),
        shuffle_files=False,
    ).ignore_errors()
    readable = collections.Counter()
    for example in encoded:
        name = example["tfds_id"].numpy()
        readable[name.decode().rpartition("__")[0]] += 1
        if name not in good:
            yield name.decode(), _why(example, features)
    for part in parts:
        path = pathlib.Path(part.filename)
        if lost := part.take - readable[path.name]:
            yield str(path), f"is damaged, {lost} of its records are lost"


def _why(example, features):
    """Why the images of an example cannot be decoded, in one line."""
    for name, feature in features.items():
        try:
            feature.decode_example(example[name])
        except (tf.errors.OpError, ValueError) as error:
            return first_line(error)
    return "cannot be decoded"


def first_line(error):
    """What TensorFlow says, without the names of its operations."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return re.sub(r"^\{\{.*?\}\} ?| ?\[Op:.*$", "", lines[0])
