"""Measures published models anew, as this version of the package measures.

    python tools/measure_zoo.py --data_dir=DIR_OF_TFDS_SETS
    python tools/measure_zoo.py --models=shapes_cnn,resnet18_cub --data_dir=DIR

Weights and recipes stay as they are. Of each model the offset of its heatmaps is
measured on training images and written into its card, its figures are measured by its
recipe and written into metrics.json, and every figure that moved by more than its
interval is printed: the old value lies outside the new interval, or the new value
outside the old one. `python tools/zoo_results.py` then renews the pages and the table.
"""

import json
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

_CHECKOUT = pathlib.Path(__file__).parents[1]

_MODELS = flags.DEFINE_list("models", None, "Published models. Default: all.")
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Folder of data sets, where a set may lie under its name."
)
_ZOO = flags.DEFINE_string("zoo", str(_CHECKOUT / "zoo"), "Folder of the zoo.")


def moved(before, after):
    """The figures that moved by more than an interval.

    Args:
        before: Dict of figures, each with `value`, `low` and `high`.
        after: Likewise.

    Returns:
        List of names, of figures that both have.
    """
    found = []
    for name in before.keys() & after.keys():
        old, new = before[name], after[name]
        inside = old["low"] <= new["value"] <= old["high"]
        if not (inside and new["low"] <= old["value"] <= new["high"]):
            found.append(name)
    return sorted(found)


def measure(folder, data_dir):
    """Measures a model and writes its card and its figures.

    Args:
        folder: `pathlib.Path` of the model's folder.
        data_dir: Folder of data sets, or `None`.

    Returns:
        Lines, one for each figure that moved by more than an interval.
    """
    from keras_xcons import recipes, zoo
    from keras_xcons.files import files_together, locked, write_json
    from keras_xcons.zoo import card as cards

    recipe = recipes.read_recipe(folder / "recipe.json")
    dataset = recipes.find_dataset(recipe.dataset, data_dir)
    model = zoo.load(str(folder))
    offset = recipes.calibrate_by(recipe, model, dataset)
    metrics = recipes.measure_by(recipe, model, dataset)
    card, before = (
        json.loads((folder / name).read_text(encoding="utf-8"))
        for name in ("card.json", "metrics.json")
    )
    before = before["figures"]
    card["offset"] = None if offset is None else offset.to_card()
    cards.check(card, folder / "card.json")
    together = files_together(folder, last="card.json")
    with locked(folder.parent), together as staging:
        write_json(staging / "card.json", cards.in_order(card))
        write_json(staging / "metrics.json", metrics)
    after = metrics["figures"]
    return [
        f"{folder.name} {name}: {_shown(before[name])} -> {_shown(after[name])}"
        for name in moved(before, after)
    ]


def _shown(figure):
    return "{value:.4f} [{low:.4f}, {high:.4f}]".format(**figure)


def main(argv):
    """Measures the models one after the other."""
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    zoo = pathlib.Path(_ZOO.value)
    names = _MODELS.value or sorted(
        path.parent.name for path in zoo.glob("*/card.json")
    )
    lines = []
    for name in names:
        print(f"Measuring {name}", flush=True)
        found = measure(zoo / name, _DATA_DIR.value)
        print("\n".join(found), flush=True)
        lines += found
    print("\n".join(["", f"{len(lines)} figures moved:", *lines]))


if __name__ == "__main__":
    app.run(main)
