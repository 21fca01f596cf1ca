"""Localisation of the same heatmaps, read in several ways, from one pass of a model.

    python tools/map_readings.py --models=resnet50_cub,vgg16_cub --dataset=DIR
    python tools/map_readings.py --models=shapes_cnn --dataset=shapes --images=200

Prints one Markdown table: each figure of maps divided by their maximum, of maps whose
minimum is subtracted first, and the paired difference, with intervals; and writes the
same as CSV. `readings.measured` takes
any other ways to read maps.
"""

import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

_RESULTS = pathlib.Path(__file__).parent / "results"

_MODELS = flags.DEFINE_list("models", None, "Published models, one data set.")
_DATASET = flags.DEFINE_string("dataset", None, "Data set, by name or folder.")
_SPLIT = flags.DEFINE_string("split", "test", "Its split.")
_SIZE = flags.DEFINE_integer("image_size", None, "Default: what the model takes.")
_IMAGES = flags.DEFINE_integer("images", None, "Images to take. Default: all.")
_OUTPUT = flags.DEFINE_string(
    "output", str(_RESULTS / "map_readings.csv"), "CSV file to write."
)


def max_scaled(batch):
    """Heatmaps `(B, H, W)` of a batch, divided by their maximum."""
    from keras_xcons.training.measuring import shown_maps

    return batch.probe.frame.place(
        shown_maps(batch.computed.maps, batch.targets), batch.size
    )


def minmax_scaled(batch):
    """Heatmaps `(B, H, W)` of a batch, their minimum subtracted first."""
    from keras_xcons.layers import scale_to_one
    from keras_xcons.training.measuring import shown_maps

    maps = scale_to_one(batch.computed.maps, "minmax")
    return batch.probe.frame.place(shown_maps(maps, batch.targets), batch.size)


READINGS = {"max": max_scaled, "minmax": minmax_scaled}


def table(found):
    """Lines of Markdown, one a model, metric and reading.

    Args:
        found: Dict from the name of a model to what `readings.measured` returns.

    Yields:
        Strings.
    """
    yield "| model | metric | reading | figure | difference to the first | n |"
    yield "|---|---|---|---|---|---|"
    for model, lines in found.items():
        for line in lines:
            cells = (model, line["metric"].label, line["reading"])
            told = (_told(line["figure"]), _told(line["difference"], "+"))
            yield f"| {' | '.join(cells + told)} | {line['figure']['n']:,} |"


def _told(figure, sign=""):
    """A figure in percent with its interval."""
    if figure is None:
        return ""
    names = ("value", "low", "high")
    value, low, high = (f"{100 * figure[name]:{sign}.1f}" for name in names)
    return f"{value} [{low}, {high}]"


def main(argv):
    """Measures and prints."""
    del argv
    import readings

    import keras_xcons as kx

    found = {}
    for name in _MODELS.value:
        model = kx.load(name)
        size = _SIZE.value or model.input_shape[1:3]
        dataset = kx.data.load(
            *(_DATASET.value, _SPLIT.value),
            image_size=size,
            batch_size=16,
            annotations=True,
        )
        if _IMAGES.value:
            dataset = dataset.unbatch().take(_IMAGES.value).batch(16)
        found[name] = readings.measured(model, dataset, READINGS)
        readings.write(found, _OUTPUT.value)
    print("\n".join(table(found)))


if __name__ == "__main__":
    flags.mark_flags_as_required(["models", "dataset"])
    app.run(main)
