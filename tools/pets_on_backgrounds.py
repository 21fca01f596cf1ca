"""Animals on photographs whose kind tells the class in training, and not in the test.

    python tools/pets_on_backgrounds.py --data_dir=DIR_OF_TFDS_SETS --pretrained=FILE \
        --output=FOLDER

The animals of `pets_three`, cut out by their masks, are put in their own places onto
the photographs of `backgrounds_google`. These are parted into as many clusters as
there are classes, by k-means on the features of the pretrained network. In training an
animal stands with the probability `--share` on a background of the cluster of its
class, in the test on any, so that a network that looks at backgrounds is wrong there.
No background is in both. Written are folders `train` and `test` of PNG files, which
`keras-xcons train --dataset FOLDER` takes; `tools/evidence.py` makes them anew for each
seed, and keeps none.
"""

import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

FLAGS = flags.FLAGS


def clusters_of(photographs, pretrained, count, seed):
    """The cluster of each photograph, ints `(N,)`.

    Args:
        photographs: uint8 array `(N, H, W, 3)`.
        pretrained: File of weights of MobileNetV2 without its top.
        count: Number of clusters.
        seed: Of the start of k-means.
    """
    import keras
    from scipy.cluster.vq import kmeans2

    from keras_xcons import models

    size = photographs.shape[1]
    network = models.create("mobilenet_v2", 2, size, pretrained=pretrained)
    features = keras.Model(network.inputs[0], network.get_layer("logits").input)
    found = features.predict(photographs, batch_size=16, verbose=0)
    found = found / ((found**2).sum(axis=1, keepdims=True) ** 0.5)
    return kmeans2(found, count, minit="++", seed=seed)[1]


def drawn(labels, clusters, share, random):
    """The background of each image, ints `(N,)`.

    Args:
        labels: Ints `(N,)`.
        clusters: The cluster of each background, ints.
        share: Probability of a background of the cluster of the label; else it is of
            any other cluster.
        random: `numpy.random.Generator`.
    """
    import numpy as np

    own = random.random(len(labels)) < share
    places = np.arange(len(clusters))
    return np.array(
        [
            random.choice(places[(clusters == label) == is_own])
            for label, is_own in zip(labels, own, strict=True)
        ]
    )


def write(folder, data_dir, pretrained, size=160, share=0.9, seed=0):
    """Writes the data set into a folder.

    Args:
        folder: Where to.
        data_dir: Folder of the TFDS sets.
        pretrained: As for `clusters_of`.
        size: Height and width in pixels. Defaults to 160.
        share: As for `drawn`, in training. Defaults to 0.9.
        seed: Of all draws. Defaults to 0.
    """
    import numpy as np
    from PIL import Image

    from keras_xcons import data, recipes

    pets = recipes.find_dataset("pets_three", data_dir)
    photographs = data.backgrounds(
        recipes.find_dataset("backgrounds_google", data_dir), image_size=size
    )
    photographs = np.stack([np.array(one) for one in photographs]).astype("uint8")
    names = data.info(pets).class_names
    clusters = clusters_of(photographs, pretrained, len(names), seed)
    random = np.random.default_rng(seed)
    # Every second one, so that each cluster is in both.
    order = random.permutation(len(clusters))
    order = order[np.argsort(clusters[order], kind="stable")]
    for split, kept, own in (
        ("train", order[::2], share),
        ("test", order[1::2], 1.0 / len(names)),
    ):
        batches = data.load(
            pets, split, image_size=size, batch_size=32, annotations=True
        )
        parts = zip(*(map(np.array, batch) for batch in batches), strict=True)
        images, labels, masks = map(np.concatenate, parts)
        chosen = kept[drawn(labels, clusters[kept], own, random)]
        mixed = data.paste(images, masks, photographs[chosen].astype(images.dtype))
        for number, (image, label) in enumerate(zip(mixed, labels, strict=True)):
            path = pathlib.Path(folder) / split / names[label] / f"{number:04}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.astype("uint8")).save(path)


def main(argv):
    """Writes the set where the flags say."""
    if len(argv) > 1:
        raise app.UsageError(f"Takes flags alone. Received: {argv[1:]}")
    told = FLAGS.flag_values_dict()
    names = ("data_dir", "pretrained", "size", "share", "seed")
    write(told["output"], **{name: told[name] for name in names})


if __name__ == "__main__":
    flags.DEFINE_string("data_dir", None, "Folder of TFDS sets.", required=True)
    flags.DEFINE_string("pretrained", None, "Weights of the network.", required=True)
    flags.DEFINE_string("output", None, "Folder to write into.", required=True)
    flags.DEFINE_integer("size", 160, "Height and width in pixels.", 32)
    flags.DEFINE_float("share", 0.9, "Share on a background of its class.", 0.0, 1.0)
    flags.DEFINE_integer("seed", 0, "Seed.")
    app.run(main)
