"""Tiny data sets on disk: written by TFDS itself, and folders of image files."""

import numpy as np
import pytest
import tensorflow as tf


@pytest.fixture(scope="session")
def write_tfds():
    """`write_tfds(data_dir, name, splits, features=None)` writes a TFDS set.

    `splits` is `{split: list of examples}`. Without `features`, they are those of
    the set of this name in TFDS, in the version TFDS has: what is read back is what
    a download would have given.
    """
    import tensorflow_datasets as tfds

    def write(data_dir, name, splits, features=None):
        family, _, config = name.partition("/")
        version = "1.0.0"
        if features is None:
            builder = tfds.builder(name, data_dir=data_dir)
            features, version = builder.info.features, str(builder.info.version)
            config = builder.builder_config.name if builder.builder_config else ""
        return tfds.dataset_builders.store_as_tfds_dataset(
            name=family,
            version=version,
            features=features,
            split_datasets={
                split: list(enumerate(examples)) for split, examples in splits.items()
            },
            config=config or None,
            data_dir=data_dir,
            disable_shuffling=True,
        )

    return write


@pytest.fixture(scope="session")
def picture():
    """`picture(height, width, seed)`: a smooth uint8 image, so that JPEG keeps it."""

    def draw(height=40, width=60, seed=0):
        coarse = np.random.default_rng(seed).uniform(0, 255, (3, 3, 3))
        return tf.cast(tf.image.resize(coarse, (height, width)), tf.uint8).numpy()

    return draw


@pytest.fixture
def image_folder(tmp_path, picture):
    """`image_folder({"train/cat": 3})` writes that many PNG files in each folder."""

    def write(counts):
        seed = 0
        for folder, count in counts.items():
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                seed += 1
                data = tf.io.encode_png(picture(seed=seed)).numpy()
                (tmp_path / folder / f"{number}.png").write_bytes(data)
        return tmp_path

    return write
