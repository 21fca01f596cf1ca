"""Shows what v of a training set is, and how XCons would weight its samples by it.

    python tools/inspect_weights.py
    python tools/inspect_weights.py --model=resnet18_cub_plain --dataset=DIR

A classifier, by default a small CNN trained plainly on the shapes set, is swept once
for each measure of how alike two maps are, on the images and on their mirror images.
Of each measure a line tells the mean E; the effective number of samples that
`v / mean(v)` leaves, and what is left with the default bound, as shares; the
reliability of v, its rank correlation with v of the mirror image; its rank correlation
with the loss and, where the set has boxes or masks, with the share of the map on the
object; the share of the variance of v that lies between classes; and the mean weight
where the prediction is wrong.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags, logging

FLAGS = flags.FLAGS
flags.DEFINE_integer("epochs", 6, "Epochs of plain training before the sweep.")
flags.DEFINE_integer("seed", 0, "Seed of the training.")
flags.DEFINE_string(
    "model", None, "A trained model in the place of the small CNN: name or file."
)
flags.DEFINE_string("dataset", None, "Name or folder of the model's data set.")
flags.DEFINE_string("split", "train", "Split that is swept, such as train[:400].")
_BATCH = 32


def classifier():
    """The classifier, and a function that loads the split."""
    import functools

    from keras_xcons import data, recipes

    if FLAGS.model:
        model, _ = recipes.open_model(FLAGS.model)
        size, name = model.input_shape[1:3], FLAGS.dataset
        how = {"image_size": size, "batch_size": _BATCH}
        return model, functools.partial(data.load, name, FLAGS.split, **how)
    options = recipes.TrainOptions(epochs=FLAGS.epochs, seed=FLAGS.seed)
    model, _ = recipes.Experiment(options).train("plain")
    return model, functools.partial(options.load, FLAGS.split)


def sweep(model, data, count, measure):
    """The v of every sample, array `(N,)`, NaN where there is none.

    Args:
        model: `keras.Model`.
        data: Batches with sample ids.
        count: Number of samples N.
        measure: See `keras_xcons.consistency.map_consistency`.
    """
    import keras
    import numpy as np

    from keras_xcons.methods import XConsModel

    options = {"schedule": "epoch", "num_samples": count, "measure": measure}
    trainer = XConsModel(model, **options)
    trainer.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    trainer.refresh_table(data)
    values = np.array(trainer.table.values)
    return np.where(values < 0.0, np.nan, values)


def told_of(values, mirrored, labels, right, others):
    """What a line of the table tells of v, a dict.

    Args:
        values: Array `(N,)`, NaN where there is none.
        mirrored: v of the mirror images, likewise.
        labels: Array `(N,)`.
        right: Boolean array `(N,)`, which predictions are right.
        others: Dict of further arrays `(N,)`, to correlate v with.

    Returns:
        Dict from the name of a column to a number.
    """
    import numpy as np
    from scipy import stats

    from keras_xcons import consistency

    def correlation(other):
        both = np.isfinite(values) & np.isfinite(other)
        return float(stats.spearmanr(values[both], other[both]).statistic)

    known = np.isfinite(values)
    v, labels, right = values[known], labels[known], right[known]
    weights, default = v / v.mean(), {"effective_share": 0.8}
    bounded = np.array(consistency.sample_weights(v, **default))
    classes = np.array([weights[labels == each].mean() for each in labels])
    return {
        "mean E": 1.0 - v.mean(),
        "effective share": float(consistency.effective_share(weights)),
        "with the bound": float(consistency.effective_share(bounded)),
        "reliability": correlation(mirrored),
        **{f"with {name}": correlation(other) for name, other in others.items()},
        "between classes": classes.var() / weights.var(),
        "weight of wrong ones": weights[~right].mean() if (~right).any() else np.nan,
    }


def main(argv):
    """Prints a line for each measure."""
    if len(argv) > 1:
        raise app.UsageError(f"Takes flags alone. Received: {argv[1:]}")
    if (FLAGS.model is None) != (FLAGS.dataset is None):
        raise app.UsageError("--model and --dataset go together.")
    import keras
    import numpy as np
    import tensorflow as tf

    # What is read, and that each measure is compiled anew, between the table's lines.
    logging.set_verbosity(logging.ERROR)
    tf.get_logger().setLevel("ERROR")
    from keras_xcons import data, evaluation
    from keras_xcons.consistency import MAP_MEASURES
    from keras_xcons.models import split

    model, load = classifier()
    view, labels, logits = split(model), [], []
    for images, truth in load():
        logits.append(np.array(view(images)[1]))
        labels.append(np.array(truth))
    labels, logits = np.concatenate(labels), np.concatenate(logits)
    loss = keras.losses.sparse_categorical_crossentropy(labels, logits, True)
    others = {"the loss": np.array(loss)}
    if data.info(FLAGS.dataset or "shapes").annotations is not None:
        energy = "energy_pointing_game"
        found = evaluation.measure(model, load(annotations=True), [energy])
        others["energy"] = found[energy]
    numbered = load(sample_ids=True)
    mirrored = numbered.map(lambda x, y: ({**x, "image": x["image"][:, :, ::-1]}, y))
    right = logits.argmax(axis=-1) == labels
    print(f"{len(labels)} samples, {100 * right.mean():.1f} % classified rightly")
    for place, measure in enumerate(MAP_MEASURES):
        v, other = (
            sweep(model, batches, len(labels), measure)
            for batches in (numbered, mirrored)
        )
        told = told_of(v, other, labels, right, others)
        if not place:
            print("| measure | " + " | ".join(told) + " |")
            print("|---" * (len(told) + 1) + "|")
        cells = (f"{value:.3f}" for value in told.values())
        print(f"| {measure} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    app.run(main)
