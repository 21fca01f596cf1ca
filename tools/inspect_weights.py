"""Shows which samples of the shapes set XCons would weight how much.

    python tools/inspect_weights.py

A plainly trained classifier is swept once; `v / mean(v)`, without the floor, is then
compared between classes and between right and wrong predictions.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_integer("epochs", 6, "Epochs of plain training before the sweep.")
flags.DEFINE_integer("seed", 0, "Seed of the training.")


def sweep():
    """Weights, labels, and whether each prediction is right, arrays `(N,)`."""
    import keras
    import numpy as np

    from keras_xcons import recipes
    from keras_xcons.training import XConsModel

    options = recipes.TrainOptions(epochs=FLAGS.epochs, seed=FLAGS.seed)
    experiment = recipes.Experiment(options)
    model, _ = experiment.plain()
    count = experiment.info.splits["train"]
    trainer = XConsModel(model, schedule="epoch", num_samples=count)
    trainer.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    trainer.refresh_table(options.load("train", sample_ids=True))
    values = trainer.table.values.numpy()
    labels, right = [], []
    for images, truth in options.load("train"):
        logits = model.predict_on_batch(images)
        labels.append(truth.numpy())
        right.append(logits.argmax(axis=-1) == truth.numpy())
    return values / values.mean(), np.concatenate(labels), np.concatenate(right)


def main(argv):
    """Prints the comparison."""
    del argv
    import numpy as np

    weights, labels, right = sweep()
    classes = np.array([weights[labels == each].mean() for each in np.unique(labels)])
    quantiles = np.quantile(weights, [0.1, 0.5, 0.9, 0.99])
    between = ((classes - 1.0) ** 2).mean() / weights.var()
    print(f"{len(weights)} samples, {100 * right.mean():.1f} % classified rightly")
    print(f"weight, 10/50/90/99th percentile: {np.round(quantiles, 2)}")
    print(f"mean weight of a class, lowest to highest: {np.round(np.sort(classes), 2)}")
    print(f"share of the variance that lies between classes: {between:.2f}")
    print(
        f"mean weight where the prediction is right: {weights[right].mean():.2f}, "
        f"wrong: {weights[~right].mean():.2f}"
    )


if __name__ == "__main__":
    app.run(main)
