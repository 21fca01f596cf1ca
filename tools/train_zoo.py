"""Trains a model of the zoo by its recipe and publishes it.

    python tools/train_zoo.py --name small_cnn_shapes

The recipe is that of `keras-xcons train`; what is published is its XCons run, with the
figures that the same command measured.
"""

import dataclasses
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_string("name", None, "Name of the model, see ZOO.", required=True)
flags.DEFINE_string("work", "runs", "Folder for the runs, kept until published.")
flags.DEFINE_string(
    "zoo", str(pathlib.Path(__file__).parents[1] / "zoo"), "Folder of the zoo."
)
flags.DEFINE_bool("overwrite", False, "Replace a published model of this name.")

ZOO = {
    "small_cnn_shapes": {
        # Longer than the command's default: the weights slow learning here.
        "options": {"epochs": 20},
        "trained_on": "the generated shapes set, train split of 4,000 images in which "
        "the background predicts the class 95 times of 100, from random weights",
        "data_license": "none, the images are generated",
    },
}
PAPER = "Wu et al. 2024, arXiv 2408.04600"


def main(argv):
    """Trains and publishes the model that the flag names."""
    del argv
    import keras

    from keras_xcons import checks, data, recipes, zoo

    if FLAGS.name not in ZOO:
        raise app.UsageError(checks.unknown("name", FLAGS.name, ZOO))
    entry = ZOO[FLAGS.name]
    work = pathlib.Path(FLAGS.work) / FLAGS.name
    options = recipes.TrainOptions(output=str(work), **entry["options"])
    metrics = recipes.train(options)
    recipe = dataclasses.asdict(options)
    # Where it was trained is nobody else's concern.
    del recipe["output"], metrics["options"]
    print(
        zoo.publish(
            keras.saving.load_model(work / "xcons.keras", compile=False),
            FLAGS.name,
            FLAGS.zoo,
            architecture=options.model,
            arguments={},
            class_names=data.info(options.dataset).class_names,
            method="xcons",
            recipe=recipe,
            metrics=metrics,
            data_license=entry["data_license"],
            weights_license="Apache-2.0",
            trained_on=entry["trained_on"],
            paper=PAPER,
            overwrite=FLAGS.overwrite,
        )
    )


if __name__ == "__main__":
    app.run(main)
