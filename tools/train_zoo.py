"""Trains a model of the zoo by its recipe, measures it and publishes it.

    python tools/train_zoo.py shapes_cnn
    python tools/train_zoo.py resnet18_cub --data_dir=DIR_OF_TFDS_SETS
    python tools/train_zoo.py mobilenet_v2_cub200 --dataset=caltech_birds2011 \
        --recipe=zoo/mobilenet_v2_cub/recipe.json

The recipe is zoo/NAME/recipe.json; what is published goes into the same folder. A run
that was stopped goes on when the same command is given again. Of a finished run the
model is loaded; to train it anew, remove its folder in --work. A recipe that starts
from another model of the zoo takes the weights of its run in --work if that was a
pretraining, else the published ones.
"""

import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

_CHECKOUT = pathlib.Path(__file__).parents[1]

_RECIPE = flags.DEFINE_string("recipe", None, "Default: recipe.json of the model.")
_DATASET = flags.DEFINE_string(
    "dataset", None, "Name or folder of a data set in the place of the recipe's."
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Folder of data sets, where the set may lie under its name."
)
_PRETRAINED = flags.DEFINE_string(
    "pretrained",
    None,
    "Weights file to start from, in the place of the recipe's. Not for a pretraining.",
)
_PRETRAINING = flags.DEFINE_string(
    "pretraining", None, "What the file of --pretrained was trained on, for the card."
)
_WORK = flags.DEFINE_string("work", "runs", "Folder for the runs.")
_ZOO = flags.DEFINE_string("zoo", str(_CHECKOUT / "zoo"), "Folder of the zoo.")
_OVERWRITE = flags.DEFINE_bool(
    "overwrite", False, "Replace a published model of this name."
)


def find_pretrained(name, work):
    """The file of weights that a recipe starts from, where it names a model.

    Args:
        name: `pretrained` of a recipe: `None`, `"imagenet"`, a file, or a model of
            the zoo.
        work: `pathlib.Path` of the folder of the runs.

    Returns:
        `None`, `"imagenet"` or the path of a file.
    """
    from keras_xcons import zoo

    if name in (None, "imagenet") or name.endswith(".h5"):
        return name
    run = work / name / "model.weights.h5"
    if run.is_file():
        return str(run)
    if name in zoo.list_models():
        return str(zoo.download(name))
    raise FileNotFoundError(
        f"The recipe starts from {name}, which is neither published nor trained yet: "
        f"python tools/train_zoo.py {name}"
    )


def main(argv):
    """Trains and publishes the model that is named."""
    if len(argv) != 2:
        raise app.UsageError(f"Give the name of one model. Received: {argv[1:]}")
    name = argv[1]
    from keras_xcons import recipes
    from keras_xcons.files import InUseError, locked
    from keras_xcons.zoo import card as cards
    from keras_xcons.zoo.publishing import check_place

    if not cards.is_name(name):
        raise app.UsageError(
            "The name of a model is lower-case letters, digits, `_`, `-` and `.`. "
            f"Received: {name!r}"
        )
    zoo_folder, work = pathlib.Path(_ZOO.value), pathlib.Path(_WORK.value)
    recipe = recipes.read_recipe(
        zoo_folder / name / "recipe.json" if _RECIPE.value is None else _RECIPE.value
    )
    final = zoo_folder / name
    if (final / "card.json").exists() and not _OVERWRITE.value:
        raise app.UsageError(f"{final} is published; pass --overwrite to replace it")
    given = _DATASET.value is not None
    dataset = _DATASET.value if given else recipe.dataset
    dataset = recipes.find_dataset(dataset, _DATA_DIR.value)
    if given:
        recipe = recipe.on_dataset(dataset)
    replaced, words = {"dataset": dataset}, recipe.card["pretraining"]
    if recipe.method["name"] != "pretraining" and not recipe.follows:
        replaced["pretrained"] = (
            find_pretrained(recipe.training.get("pretrained"), work)
            if _PRETRAINED.value is None
            else _PRETRAINED.value
        )
    elif _PRETRAINED.value is not None:
        begins = "A pretraining begins with random weights"
        if recipe.follows:
            begins = "The recipe begins with the model that it names"
        raise app.UsageError(f"{begins}. Received: --pretrained={_PRETRAINED.value}")
    if _PRETRAINED.value is not None:
        words = _PRETRAINING.value or f"a file of weights in the place of: {words}"
    elif _PRETRAINING.value is not None:
        raise app.UsageError(
            "It tells what a file of weights was trained on, and is for --pretrained "
            f"alone. Received: --pretraining={_PRETRAINING.value}"
        )
    run = recipes.writable_folder(work / name)
    try:
        check_place(zoo_folder, name, overwrite=True)
        # Or another process could train anew what this one is measuring.
        with locked(run):
            model = recipes.train_by(recipe, run, **replaced)
            offset = recipes.calibrate_by(recipe, model, dataset)
            metrics = recipes.measure_by(recipe, model, dataset)
            final = recipes.publish_by(
                recipe,
                model,
                name=name,
                folder=zoo_folder,
                metrics=metrics,
                run=run,
                pretraining=words,
                offset=offset,
                **replaced,
            )
    except (InUseError, FileExistsError) as error:
        sys.exit(f"train_zoo: error: {error}")
    print(final)


if __name__ == "__main__":
    app.run(main)
