"""Photographs without labels."""

import os
import warnings

import tensorflow as tf

from keras_xcons.data import arguments, image_files, images, tfds_directory


def backgrounds(directory, image_size=224, split="train"):
    """Loads photographs without labels, to serve as backgrounds.

    Args:
        directory: Path of a TFDS directory with a feature `"image"`, or of a
            folder of image files, at any depth.
        image_size: int or `(height, width)` in pixels, at least 16. Defaults to
            224.
        split: str, for a TFDS directory. Defaults to `"train"`.

    Returns:
        A `tf.data.Dataset` of float32 images `(H, W, 3)` in 0..255, in a fixed
        order, of known cardinality.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: It holds no image, or the split is unknown.

    Example:

    ```python
    pictures = kx.data.backgrounds("data/backgrounds_google", image_size=64)
    ```
    """
    size = arguments.check_image_size(image_size)
    directory = arguments.existing_folder(directory)
    found = tfds_directory.find_directory(directory)
    if found:
        dataset = tfds_directory.read_images(found, split)
    else:
        files, others = image_files.find(directory)
        if not files:
            raise ValueError(
                "The folder holds no image file ending in "
                f"{image_files.accepted()}. "
                f"Received: directory={str(directory)!r}"
            )
        if others:
            warnings.warn(
                f"Left out of the folder {str(directory)!r}: "
                f"{image_files.others_in_words(others)}",
                stacklevel=2,
            )
        paths = [os.fsencode(path) for path in files]
        dataset = tf.data.Dataset.from_tensor_slices(paths).map(
            images.read_image, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )
    return dataset.map(
        lambda image: tf.cast(images.resize_image(image, size), tf.float32),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    ).prefetch(tf.data.AUTOTUNE)
