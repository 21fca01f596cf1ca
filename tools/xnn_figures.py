r"""How true explanation networks are to published models: fitted and measured by seed.

    python tools/xnn_figures.py --models=shapes_cnn
    python tools/xnn_figures.py --models=mobilenet_v2_cub --classes=12 --data_dir=DIR

Networks of the first so many classes (0 for all) are fitted to the scores of a model
on the training images of its own data set, and measured on its test images, see
`keras_xcons.XNN.evaluate`. Prints a line a seed, with the seconds that the fit took,
and writes them to a CSV file.
"""

import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

_MODELS = flags.DEFINE_list("models", ["shapes_cnn"], "Published models.")
_CLASSES = flags.DEFINE_integer("classes", 0, "So many classes; 0 for all.")
_SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds.")
_EPOCHS = flags.DEFINE_integer("epochs", 50, "Epochs of the joint training.")
_HIDDEN = flags.DEFINE_list("hidden", ["100", "30"], "Widths of hidden layers.")
_PRESET = flags.DEFINE_string("preset", None, "images, or none.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of TFDS data sets.")
_OUTPUT = flags.DEFINE_string(
    "output", "tools/results/xnn.csv", "CSV file; lines of other runs stay."
)


def measured(name, seed):
    """What a fit to a published model gives, a dict of plain values."""
    import keras_xcons as kx
    from keras_xcons import data, recipes

    model, card = kx.load(name), kx.info(name)
    place = recipes.find_dataset(card["dataset"], _DATA_DIR.value)
    size = tuple(card["input_size"])
    train, test = (
        data.load(place, split, image_size=size, batch_size=32)
        for split in ("train", data.info(place).test_split)
    )
    count = _CLASSES.value or len(card["class_names"])
    xnn = kx.XNN(
        model,
        list(range(count)),
        seed=seed,
        epochs=_EPOCHS.value,
        hidden=tuple(map(int, _HIDDEN.value)),
        preset=_PRESET.value,
    )
    began = time.monotonic()
    xnn.fit(train, verbose=0)
    seconds = time.monotonic() - began
    return {
        "model": name,
        "classes": count,
        "hidden": " ".join(_HIDDEN.value),
        "preset": _PRESET.value or "",
        "epochs": _EPOCHS.value,
        "seed": seed,
        "seconds": round(seconds),
        **{key: round(value, 4) for key, value in xnn.evaluate(test).items()},
    }


def main(argv):
    """Fits, measures, prints and writes."""
    import csv
    import pathlib

    from keras_xcons.files import whole_file

    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    path, rows = pathlib.Path(_OUTPUT.value), []
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    told = ("model", "classes", "hidden", "preset", "epochs", "seed")
    for name in _MODELS.value:
        for seed in map(int, _SEEDS.value):
            row = measured(name, seed)
            print(row, flush=True)
            same = [str(row[key]) for key in told]
            rows = [each for each in rows if [each[key] for key in told] != same]
            rows.append({key: str(value) for key, value in row.items()})
            with whole_file(path) as unfinished:
                with unfinished.open("w", encoding="utf-8", newline="") as file:
                    writer = csv.DictWriter(file, list(row))
                    writer.writeheader()
                    writer.writerows(rows)


if __name__ == "__main__":
    app.run(main)
