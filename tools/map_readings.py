"""What it changes in localisation to subtract a heatmap's minimum, of published models.

    python tools/map_readings.py --data_dir=DIR_OF_TFDS_SETS
    python tools/map_readings.py --models=shapes_cnn --images=200

From one pass of each model over its test split: each figure of maps divided by their
maximum (`normalize="max"`), of maps whose minimum is subtracted first (`"minmax"`), and
the paired difference with its interval, as a Markdown table; all figures and intervals
as CSV.
`readings.measured` takes any other ways to read maps.
"""

import functools
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

_RESULTS = pathlib.Path(__file__).parent / "results"

_MODELS = flags.DEFINE_list("models", None, "Published models. Default: all.")
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Folder of data sets, where a set may lie under its name."
)
_IMAGES = flags.DEFINE_integer("images", None, "Test images to take. Default: all.")
_OUTPUT = flags.DEFINE_string(
    "output", str(_RESULTS / "map_readings.csv"), "CSV file to write."
)

# The pointing game reads the maximum, which stays where it is.
SHOWN = {
    "energy_pointing_game": "energy",
    "max_box_acc": "MaxBoxAcc",
    "max_box_acc_v2": "MaxBoxAccV2",
}


def table(found):
    """Lines of Markdown, one a model, metric and reading.

    Args:
        found: Dict from the name of a model to what `readings.measured` returns.

    Yields:
        Strings.
    """
    yield f"| {' | '.join(['model', *SHOWN.values(), 'n'])} |"
    yield "|---" * (len(SHOWN) + 2) + "|"
    for model, lines in found.items():
        pairs = {}
        for line in lines:
            pairs.setdefault(line["metric"].name, []).append(line)
        cells = [f"`{model}`", *(_told(*pairs[name]) for name in SHOWN)]
        count = lines[0]["figure"]["n"]
        yield f"| {' | '.join(cells)} | {count:,} |"


def _told(first, second):
    """Percent by both readings, and the difference with its interval."""
    before, after = (100 * each["figure"]["value"] for each in (first, second))
    change = (100 * second["difference"][end] for end in ("value", "low", "high"))
    return f"{before:.1f} → {after:.1f}, " + "{:+.1f} [{:+.1f}, {:+.1f}]".format(
        *change
    )


def main(argv):
    """Measures and prints."""
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    import readings

    import keras_xcons as kx

    ways = {
        normalize: functools.partial(readings.placed, normalize=normalize)
        for normalize in ("max", "minmax")
    }
    found = {}
    for name in _MODELS.value or kx.list_models():
        print(f"Measuring {name}", flush=True)
        model, recipe, test = readings.published(name, _DATA_DIR.value, _IMAGES.value)
        found[name] = readings.measured(
            model, test, ways, explainer=recipe.evaluation["explainer"]
        )
        readings.write(found, _OUTPUT.value)
    print("\n".join(table(found)))


if __name__ == "__main__":
    app.run(main)
