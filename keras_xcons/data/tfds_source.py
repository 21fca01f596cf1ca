"""A TFDS data set as a source of `load`."""

import numpy as np
import tensorflow as tf

from keras_xcons.data import catalog, images, records, splits, tfds_records
from keras_xcons.offline import is_offline


def from_name(adapter, data_dir=None):
    """The source of a known TFDS set, which is downloaded when it is first read.

    Args:
        adapter: The set's `catalog.Adapter`.
        data_dir: Folder of the TFDS sets, or `None` for TFDS' own default.

    Returns:
        A `TfdsSource`.

    Raises:
        ValueError: TFDS does not know the name or its configuration.
    """
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(adapter.name, data_dir=data_dir)
    except (ValueError, tfds.core.DatasetNotFoundError) as error:
        raise ValueError(catalog.unknown_name(adapter.name)) from error
    return TfdsSource(builder, adapter)


def resolve(features, path):
    """Finds a feature by its dotted path.

    Args:
        features: The `FeaturesDict` of a set.
        path: str, as `"objects.bbox"`.

    Returns:
        `(feature, repeated)`: the innermost feature, `None` where there is none,
        and whether an image has a sequence of them.
    """
    import tensorflow_datasets as tfds

    node, repeated = features, False
    for key in path.split("."):
        if isinstance(node, tfds.features.Sequence):
            node, repeated = node.feature, True
        if not isinstance(node, tfds.features.FeaturesDict) or key not in node.keys():
            return None, False
        node = node[key]
    if isinstance(node, tfds.features.Sequence):
        node, repeated = node.feature, True
    return node, repeated


class TfdsSource:
    """Reads a TFDS set by the table entry that says where its features are.

    Args:
        builder: The `tfds.core.DatasetBuilder`.
        adapter: The set's `catalog.Adapter`.

    Raises:
        ValueError: The set lacks a feature that the adapter names.
    """

    def __init__(self, builder, adapter):
        self._builder, self._adapter = builder, adapter
        features = builder.info.features
        paths = (adapter.image, adapter.label, adapter.boxes, adapter.mask)
        for path in filter(None, paths):
            if resolve(features, path)[0] is None:
                raise ValueError(
                    f"The set {adapter.name!r} has no feature {path!r}, which its "
                    f"adapter names. Received: features={sorted(features.keys())}"
                )
        image, _ = resolve(features, adapter.image)
        if image.shape[-1] not in (1, 3) or np.dtype(image.np_dtype) != np.uint8:
            raise ValueError(
                "Images must be uint8 with 1 or 3 channels. Received: "
                f"image={image!r} in {adapter.name!r}"
            )
        self._label, self._multi_label = resolve(features, adapter.label)

    @property
    def info(self):
        """The `DatasetInfo`; of a set not yet downloaded, what the table says."""
        return catalog.DatasetInfo(
            name=self._adapter.name,
            class_names=tuple(self._adapter.class_names or self._label.names),
            splits={
                name: size
                for name, size in self._sizes().items()
                if name not in self._adapter.unlabelled
            },
            annotations=self._adapter.annotations,
            multi_label=self._multi_label,
        )

    def read(self, split, size, annotations, on_bad_record="error"):
        """Reads a split; downloads the set if it is not there.

        Args:
            split: str, a TFDS split specification.
            size: `(height, width)`, or `None` for the images' own sizes.
            annotations: Whether boxes or masks come, too.
            on_bad_record: `"error"`, or `"skip"` to leave out what cannot be read,
                for which everything is read once before.

        Returns:
            A `tf.data.Dataset` of known cardinality of `(image, label)`,
            `(image, label, boxes)` or `(image, label, mask)`: uint8, int32 or
            multi-hot float32, float32 `(N, 4)` or uint8.

        Raises:
            ValueError: The split is unknown, selects nothing, or has no labels.
            OSError: The set cannot be downloaded.
        """
        self._check_split(split)
        if not self._multi_label:
            self._check_first_label(split)
        paths = self._paths(annotations)
        examples = self._examples(split, paths)
        if on_bad_record == "skip":
            found, new = self.check(split)
            if new:
                records.warn_of_skipped(found, split)
            if found.bad:
                examples = self._readable(split, self._paths(True)).apply(
                    tf.data.experimental.assert_cardinality(found.count)
                )
        return examples.map(
            lambda example: self._adapt(example, size, annotations),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )

    def check(self, split):
        """Reads every record of a split and decodes what is in it, once a process.

        Args:
            split: str, a TFDS split specification.

        Returns:
            `(records, new)`, see `keras_xcons.data.records.look`.

        Raises:
            ValueError, OSError: As of `read`.
        """
        self._check_split(split)
        paths = self._paths(True)
        keys = {path.partition(".")[0] for path in paths}
        features = {
            key: feature
            for key, feature in self._builder.info.features.items()
            if key in keys and is_image(feature)
        }

        def examples(**config):
            return self._readable(split, paths, **config).map(
                lambda x: (x.get("tfds_id", ""), self._label_of(x))
            )

        parts = self._builder.info.splits[split].file_instructions
        key = (split, *(records.state(part.filename) for part in parts))
        return records.look(
            key,
            lambda: tfds_records.read_all(self._builder, split, examples, features),
        )

    def mask_range(self, split, count):
        """Smallest and largest value in the first `count` masks of a split."""
        path = self._adapter.mask
        masks = [get(x, path) for x in self._readable(split, [path]).take(count)]
        return (
            min((int(tf.reduce_min(mask)) for mask in masks), default=0),
            max((int(tf.reduce_max(mask)) for mask in masks), default=0),
        )

    def _check_split(self, split):
        """Downloads the set if it is not there, and refuses an unusable split."""
        # Before the download, so that a slip does not cost one, and after it.
        if self._sizes():
            self._check_labelled(split)
        self._prepare()
        self._check_labelled(split)
        splits.ranges(split, self._sizes())

    def _paths(self, annotations):
        """Of the features that are read."""
        paths = [self._adapter.image, self._adapter.label]
        where = self._adapter.boxes or self._adapter.mask
        return [*paths, where] if annotations and where else paths

    def _sizes(self):
        prepared = self._builder.info.splits
        return {name: split.num_examples for name, split in prepared.items()} or dict(
            self._adapter.splits
        )

    def _check_labelled(self, split):
        for name in splits.check_names(split, self._sizes()):
            if name in self._adapter.unlabelled:
                raise ValueError(
                    f"The split {name!r} of {self._adapter.name!r} has no labels. "
                    f"Accepted: {', '.join(map(repr, self.info.splits))}. "
                    f"Received: split={split!r}"
                )

    def _check_first_label(self, split):
        path = self._adapter.label
        # A damaged first record is none of this check's business.
        for example in self._readable(split, [path]).take(1):
            if get(example, path) < 0:
                raise ValueError(
                    f"The set {self._adapter.name!r} has no labels in this split: "
                    f"they are -1. Received: split={split!r}"
                )

    def _prepare(self):
        """Downloads the set and converts it, if that has not been done."""
        if self._builder.is_prepared():
            return
        wanted = f"{self._adapter.name!r} is not in {str(self._builder.data_path)!r}"
        if is_offline():
            raise OSError(
                f"The set {wanted}, and KERAS_XCONS_OFFLINE forbids to download it."
            )
        try:
            self._builder.download_and_prepare()
        except Exception as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise OSError(
                f"The set {wanted} and could not be downloaded: {lines[0]}"
            ) from error

    def _readable(self, split, paths, **config):
        """The examples that can be read and decoded."""
        # TFDS asserts the number of records, again and again where errors are ignored.
        examples = self._examples(split, paths, assert_cardinality=False, **config)
        return examples.ignore_errors()

    def _examples(self, split, paths, **config):
        """The raw examples, with no image decoded but those named."""
        import tensorflow_datasets as tfds

        # Of what is not wanted, only images cost anything to decode.
        keys = {path.partition(".")[0] for path in paths}
        skipped = {
            key: tfds.decode.SkipDecoding()
            for key, feature in self._builder.info.features.items()
            if key not in keys and is_image(feature)
        }
        return self._builder.as_dataset(
            split=split,
            decoders=skipped,
            read_config=tfds.ReadConfig(try_autocache=False, **config),
            shuffle_files=False,
        )

    def _adapt(self, example, size, annotations):
        image = images.resize_image(get(example, self._adapter.image), size)
        label = self._label_of(example)
        if not annotations:
            return image, label
        if self._adapter.boxes:
            return image, label, self._boxes(get(example, self._adapter.boxes))
        mask = get(example, self._adapter.mask)
        inside = tf.cast(mask != self._adapter.mask_background, tf.uint8)
        return image, label, images.resize_mask(inside, size)

    def _label_of(self, example):
        label = get(example, self._adapter.label)
        if not self._multi_label:
            return tf.cast(label, tf.int32)
        hot = tf.one_hot(label, self._label.num_classes, dtype=tf.float32)
        # The maximum over no labels at all would be minus infinity.
        return tf.minimum(tf.reduce_sum(hot, axis=0), 1.0)

    def _boxes(self, boxes):
        if boxes.shape.rank == 1:
            return boxes[None]
        boxes = boxes[: self._adapter.max_boxes]
        missing = self._adapter.max_boxes - tf.shape(boxes)[0]
        padded = tf.pad(boxes, [[0, missing], [0, 0]])
        return tf.ensure_shape(padded, (self._adapter.max_boxes, 4))


def is_image(feature):
    """Whether a feature is an image, which costs something to decode."""
    import tensorflow_datasets as tfds

    return isinstance(feature, tfds.features.Image)


def get(example, path):
    """The value at a dotted path of an example."""
    for key in path.split("."):
        example = example[key]
    return example
