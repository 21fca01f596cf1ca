"""The shapes set as a source of `load`."""

import numpy as np
import tensorflow as tf

from keras_xcons.data import arguments, catalog, splits
from keras_xcons.data.records import Records
from keras_xcons.data.shapes import (
    CLASS_NAMES,
    CORRELATION,
    IMAGE_SIZE,
    SPLITS,
    ShapesRenderer,
    check_correlation,
)


class ShapesSource:
    """Draws the shapes set piece by piece, as it is read.

    Args:
        num_samples: int or `None`, images a split; see `shapes`.
        correlation: float; see `shapes`.
        data_seed: int, the `seed` of `shapes`.

    Raises:
        ValueError: A number is out of its range.
    """

    def __init__(self, num_samples=None, correlation=CORRELATION, data_seed=0):
        self._arguments = {"seed": data_seed, "correlation": correlation}
        arguments.check_seed(data_seed, "data_seed")
        check_correlation(correlation)
        sizes = SPLITS
        if num_samples is not None:
            arguments.check_count(num_samples, "num_samples", arguments.MOST_GENERATED)
            sizes = dict.fromkeys(sizes, num_samples)
        self.info = catalog.DatasetInfo(
            name=catalog.SHAPES,
            class_names=CLASS_NAMES,
            splits=dict(sizes),
            annotations="masks",
            multi_label=False,
        )

    def read(self, split, size, annotations, on_bad_record="error"):
        """Reads a split.

        Args:
            split: str, a TFDS split specification.
            size: `(height, width)`, or `None` for 64 by 64.
            annotations: Whether the masks come, too.
            on_bad_record: Makes no difference: nothing is read.

        Returns:
            A `tf.data.Dataset` of known cardinality of `(image, label)` or
            `(image, label, mask)`: uint8, int32, uint8.
        """
        del on_bad_record
        dataset = None
        for name, start, stop in splits.ranges(split, self.info.splits):
            part = self._range(name, start, stop, size, annotations)
            dataset = part if dataset is None else dataset.concatenate(part)
        return dataset

    def check(self, split):
        """Nothing is read, so nothing is bad.

        Args:
            split: str, a TFDS split specification.

        Returns:
            `(records, new)`, see `keras_xcons.data.records.look`.
        """
        parts = splits.ranges(split, self.info.splits)
        total = sum(stop - start for _, start, stop in parts)
        return Records(labels=None, bad=(), total=total), True

    def _range(self, name, first, last, size, annotations):
        renderer = ShapesRenderer(
            name,
            self.info.splits[name],
            IMAGE_SIZE if size is None else size,
            **self._arguments,
        )
        height, width = renderer.image_size

        def draw(start):
            return renderer(int(start), min(int(start) + renderer.chunk, last))

        def draw_chunk(start):
            images, labels, masks = tf.numpy_function(
                draw, [start], (tf.uint8, tf.int32, tf.uint8), stateful=False
            )
            images = tf.ensure_shape(images, (None, height, width, 3))
            labels = tf.ensure_shape(labels, (None,))
            masks = tf.ensure_shape(masks, (None, height, width, 1))
            return (images, labels, masks) if annotations else (images, labels)

        starts = np.arange(first, last, renderer.chunk, dtype=np.int64)
        chunks = tf.data.Dataset.from_tensor_slices(starts).map(
            draw_chunk, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )
        dataset = chunks.unbatch()
        return dataset.apply(tf.data.experimental.assert_cardinality(last - first))
