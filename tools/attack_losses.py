"""Compares losses to attack by, as the logits of a model grow.

    python tools/attack_losses.py --data_dir=DIR_OF_TFDS_SETS
    python tools/attack_losses.py --models=shapes_cnn --factors=1,10

For each published model and each factor, its last layer (kernel and bias) is
multiplied by the factor, which changes no decision. Then the accuracy of the model
under FGSM and PGD (whole image, strengths as `keras_xcons.evaluate` has them by
default, PGD from the image itself) is measured by four losses: cross-entropy, which
evaluations mostly use; cross-entropy of logits divided by their standard deviation;
the margin loss; and the difference of logits ratio (DLR). The lower the accuracy, the
stronger the attack; a loss that does not depend on the factor gives a row of equal
figures. Writes a table in Markdown, and a CSV file with --output.
"""

import csv
import functools
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

_MODELS = flags.DEFINE_list(
    "models", ["shapes_cnn", "mobilenet_v2_pets", "resnet18_cub"], "Published models."
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of TFDS directories.")
_IMAGES = flags.DEFINE_integer("images", 200, "First images of the test split.")
_FACTORS = flags.DEFINE_list("factors", ["0.1", "1", "10", "100"], "Factors.")
_OUTPUT = flags.DEFINE_string("output", None, "CSV file to write.")

EPSILON, STEP_SIZE, STEPS, BATCH = 4.0, 1.0, 10, 25


def cross_entropy(logits, labels):
    """Cross-entropy, `(B,)`."""
    import tensorflow as tf

    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


def normalised_cross_entropy(logits, labels):
    """Cross-entropy of logits in units of their own standard deviation."""
    import tensorflow as tf

    deviation = tf.math.reduce_std(logits, axis=-1, keepdims=True)
    return cross_entropy(logits / tf.stop_gradient(deviation), labels)


def margin(logits, labels):
    """What `keras_xcons.evaluate` attacks by."""
    from keras_xcons import attacks

    return attacks.margin_loss(logits, labels)


def dlr(logits, labels):
    """Difference of logits ratio (Croce & Hein 2020, arXiv 2003.01690)."""
    import tensorflow as tf

    ranked = tf.sort(logits, axis=-1, direction="DESCENDING")
    return margin(logits, labels) / (ranked[:, 0] - ranked[:, 2])


LOSSES = {
    "cross-entropy": cross_entropy,
    "normalised": normalised_cross_entropy,
    "margin": margin,
    "DLR": dlr,
}


def accuracies(model, batches, loss):
    """Accuracy under FGSM and under PGD, by a loss."""
    import tensorflow as tf

    from keras_xcons import attacks

    @tf.function
    def gradient(images, labels):
        with tf.GradientTape() as tape:
            tape.watch(images)
            total = tf.reduce_sum(loss(model(images, training=False), labels))
        return tape.gradient(total, images)

    right, count = [0, 0], 0
    for images, labels in batches:
        here = functools.partial(gradient, labels=labels)
        attacked = (
            attacks.fgsm(images, here(images), EPSILON),
            attacks.pgd(images, here, EPSILON, STEP_SIZE, STEPS),
        )
        for place, each in enumerate(attacked):
            found = tf.argmax(model(each, training=False), axis=-1).numpy()
            right[place] += int((found == labels.numpy()).sum())
        count += len(labels)
    return [each / count for each in right]


def rows(name, data_dir, factors, count):
    """One row of plain values for each loss and factor."""
    import tensorflow as tf

    import keras_xcons as kx
    from keras_xcons import recipes

    place = recipes.find_dataset(kx.info(name)["dataset"], data_dir)
    model = kx.load(name)
    split = kx.data.info(place).test_split
    test = kx.data.load(
        place, f"{split}[:{count}]", image_size=model.input_shape[1:3], batch_size=BATCH
    )
    batches = [(tf.cast(x, tf.float32), tf.cast(y, tf.int32)) for x, y in test]
    last = kx.split(model).dense
    weights = last.get_weights()
    found = []
    for factor in factors:
        last.set_weights([each * factor for each in weights])
        for loss, function in LOSSES.items():
            fgsm, pgd = accuracies(model, batches, function)
            row = {"model": name, "loss": loss, "factor": factor}
            found.append({**row, "fgsm": fgsm, "pgd": pgd, "n": count})
            print(found[-1], flush=True)
    return found


def main(argv):
    """Measures and writes the table."""
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    factors = [float(each) for each in _FACTORS.value]
    found = []
    for name in _MODELS.value:
        found += rows(name, _DATA_DIR.value, factors, _IMAGES.value)
    print("\n" + "\n".join(table(found)))
    if _OUTPUT.value:
        with open(_OUTPUT.value, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, found[0].keys(), lineterminator="\n")
            writer.writeheader()
            writer.writerows(found)


def table(found):
    """The rows as lines of a Markdown table, percent FGSM / PGD by factor."""
    factors = list(dict.fromkeys(row["factor"] for row in found))
    heads = ["model", "loss", *(f"× {factor:g}" for factor in factors)]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name, loss in dict.fromkeys((row["model"], row["loss"]) for row in found):
        cells = [
            f"{100 * row['fgsm']:.1f} / {100 * row['pgd']:.1f}"
            for row in found
            if (row["model"], row["loss"]) == (name, loss)
        ]
        lines.append("| " + " | ".join([f"`{name}`", loss, *cells]) + " |")
    return lines


if __name__ == "__main__":
    app.run(main)
