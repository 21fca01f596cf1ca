"""Shows which samples of a training set XCons would weight how much.

    python tools/inspect_weights.py
    python tools/inspect_weights.py --model=resnet18_cub_plain --dataset=DIR

A classifier, by default a small CNN trained plainly on the shapes set, is swept once;
`v / mean(v)`, without the floor, is then compared between classes and between right and
wrong predictions.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_integer("epochs", 6, "Epochs of plain training before the sweep.")
flags.DEFINE_integer("seed", 0, "Seed of the training.")
flags.DEFINE_string(
    "model", None, "A trained model in the place of the small CNN: name or file."
)
flags.DEFINE_string("dataset", None, "Name or folder of the model's data set.")
_BATCH = 32


def classifier():
    """The classifier, and a function that loads its training set."""
    import functools

    from keras_xcons import data, recipes

    if FLAGS.model:
        model, _ = recipes.open_model(FLAGS.model)
        size = model.input_shape[1:3]
        load = functools.partial(
            data.load,
            FLAGS.dataset,
            "train",
            image_size=size,
            batch_size=_BATCH,
        )
        return model, load
    options = recipes.TrainOptions(epochs=FLAGS.epochs, seed=FLAGS.seed)
    model, _ = recipes.Experiment(options).train("plain")
    return model, functools.partial(options.load, "train")


def sweep():
    """v, labels, and whether each prediction is right, arrays `(N,)`."""
    import keras
    import numpy as np

    from keras_xcons.methods import XConsModel
    from keras_xcons.models import split

    model, load = classifier()
    view, labels, right = split(model), [], []
    for images, truth in load():
        logits = view(images)[1].numpy()
        labels.append(truth.numpy())
        right.append(logits.argmax(axis=-1) == truth.numpy())
    labels, right = np.concatenate(labels), np.concatenate(right)
    trainer = XConsModel(model, schedule="epoch", num_samples=len(labels))
    trainer.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    trainer.refresh_table(load(sample_ids=True))
    values = trainer.table.values.numpy()
    known = values >= 0.0  # The others have an empty heatmap.
    return values[known], labels[known], right[known]


def main(argv):
    """Prints the comparison."""
    if len(argv) > 1:
        raise app.UsageError(f"Takes flags alone. Received: {argv[1:]}")
    if (FLAGS.model is None) != (FLAGS.dataset is None):
        raise app.UsageError("--model and --dataset go together.")
    import numpy as np

    values, labels, right = sweep()
    weights = values / values.mean()
    classes = np.array([weights[labels == each].mean() for each in np.unique(labels)])
    quantiles = np.quantile(weights, [0.1, 0.5, 0.9, 0.99])
    between = ((classes - 1.0) ** 2).mean() / weights.var()
    print(f"{len(weights)} samples, {100 * right.mean():.1f} % classified rightly")
    print(f"mean of v: {values.mean():.4f}")
    print(f"weight, 10/50/90/99th percentile: {np.round(quantiles, 2)}")
    effective = weights.sum() ** 2 / (weights**2).sum()
    print(f"effective number of samples (Kish): {effective:.0f}")
    print(f"mean weight of a class, lowest to highest: {np.round(np.sort(classes), 2)}")
    print(f"share of the variance that lies between classes: {between:.2f}")
    for name, those in (("right", right), ("wrong", ~right)):
        if those.any():
            told = f"{weights[those].mean():.2f}, {those.sum()} samples"
            print(f"mean weight where the prediction is {name}: {told}")


if __name__ == "__main__":
    app.run(main)
