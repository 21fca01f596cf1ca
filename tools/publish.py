"""Publishes a trained model into the zoo.

Example:
    python tools/publish.py --model=runs/shapes/model.keras \
        --name=shapes_cnn --architecture=small_cnn \
        --class_names=runs/shapes/class_names.txt --method=xcons \
        --recipe=runs/shapes/recipe.json --metrics=runs/shapes/metrics.json \
        --data_license=CC0-1.0 --weights_license=Apache-2.0 \
        --dataset=shapes --data="the generated shapes set, 4,000 training images" \
        --pretraining="none, random weights"
"""

import json
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

from keras_xcons import zoo
from keras_xcons.command_errors import first_line
from keras_xcons.methods import method_of, methods
from keras_xcons.models.keras_file import open_keras

_CHECKOUT = pathlib.Path(__file__).parents[1]

_MODEL = flags.DEFINE_string(
    "model", None, "Path of the .keras file of the trained classifier.", required=True
)
_NAME = flags.DEFINE_string(
    "name", None, "architecture_dataset[_method].", required=True
)
_ZOO = flags.DEFINE_string(
    "zoo", str(_CHECKOUT / "zoo"), "Folder that holds one folder a model."
)
_ARCHITECTURE = flags.DEFINE_string(
    "architecture", None, "Name of the architecture.", required=True
)
_ARGUMENTS = flags.DEFINE_string(
    "arguments", "{}", "Further arguments of the architecture, a JSON object."
)
_CLASS_NAMES = flags.DEFINE_string(
    "class_names", None, "Text file with one class name a line.", required=True
)
_FEATURE_LAYER = flags.DEFINE_string(
    "feature_layer", None, "Layer that heatmaps are made of; found when left out."
)
_EXPLAINER = flags.DEFINE_string(
    "explainer",
    None,
    "Explainer by which its heatmaps were measured. Default: the model's own, or "
    "gradcam++.",
)
_METHOD = flags.DEFINE_string(
    "method", None, "How it was trained, such as xcons or plain.", required=True
)
_RECIPE = flags.DEFINE_string("recipe", None, "JSON file.", required=True)
_METRICS = flags.DEFINE_string(
    "metrics", None, "JSON file that the evaluator wrote.", required=True
)
_DATA_LICENSE = flags.DEFINE_string(
    "data_license", None, "Licence of the training data.", required=True
)
_WEIGHTS_LICENSE = flags.DEFINE_string(
    "weights_license", None, "Licence of these weights.", required=True
)
_DATASET = flags.DEFINE_string(
    "dataset", None, "Short name of the data set.", required=True
)
_DATA = flags.DEFINE_string(
    "data", None, "Data set, subset, number of images, in words.", required=True
)
_PRETRAINING = flags.DEFINE_string(
    "pretraining", None, "What the weights were before, in words.", required=True
)
_PAPER = flags.DEFINE_string(
    "paper", None, "Reference of the method's paper, known of kx.methods()."
)
_URL = flags.DEFINE_string("url", None, "Where the weights file will be served.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace a model of this name.")


def _read_json(path):
    return json.loads(pathlib.Path(path).read_text(encoding="utf-8"))


def main(argv):
    """Publishes the model that the flags describe."""
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    try:
        print(_publish())
    except (OSError, TypeError, ValueError) as error:
        raise SystemExit(f"publish.py: error: {first_line(error)}") from error


def _publish():
    paper = _PAPER.value
    if paper is None and _METHOD.value in methods():
        paper = method_of(_METHOD.value).paper
    names = pathlib.Path(_CLASS_NAMES.value).read_text(encoding="utf-8").splitlines()
    return zoo.publish(
        open_keras(_MODEL.value),
        _NAME.value,
        _ZOO.value,
        architecture=_ARCHITECTURE.value,
        arguments=json.loads(_ARGUMENTS.value),
        class_names=[name for name in names if name],
        feature_layer=_FEATURE_LAYER.value,
        explainer=_EXPLAINER.value,
        method=_METHOD.value,
        recipe=_read_json(_RECIPE.value),
        metrics=_read_json(_METRICS.value),
        data_license=_DATA_LICENSE.value,
        weights_license=_WEIGHTS_LICENSE.value,
        dataset=_DATASET.value,
        data=_DATA.value,
        pretraining=_PRETRAINING.value,
        paper=paper,
        url=_URL.value,
        overwrite=_OVERWRITE.value,
    )


if __name__ == "__main__":
    app.run(main)
