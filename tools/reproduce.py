"""Trains every run of the shapes table, over several seeds, and prints the table.

    python tools/reproduce.py --output shapes_table.csv

Plain training, XCons and each control start from the same weights and see the same
batches; a seed changes both. A cell is the mean over the seeds and their smallest and
largest value, each of n = 1,000 images a split. Finished cells are kept in the CSV
file, so a run that was stopped goes on where it was.
"""

import csv
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds of the runs.")
flags.DEFINE_list("runs", None, "Runs to train. Default: all.")
flags.DEFINE_string("output", "shapes_table.csv", "CSV file, one line a run and seed.")
flags.DEFINE_integer("epochs", 6, "Epochs of each run.")

# The method of each run, and what it is told.
# The bare paper, as which the table was measured.
PAPER = {"preset": "paper"}
RUNS = {
    "plain": ("plain", {}),
    "XCons": ("xcons", PAPER),
    "uniform": ("xcons", {**PAPER, "control": "uniform"}),
    "shuffled": ("xcons", {**PAPER, "control": "shuffled"}),
    "loss": ("xcons", {**PAPER, "control": "loss"}),
    "adversarial": ("xcons", {**PAPER, "control": "adversarial"}),
    "whole_image": ("xcons", {**PAPER, "control": "whole_image"}),
    "XCons + consistency loss": ("xcons", {**PAPER, "consistency_loss": 1.0}),
    "consistency loss alone": (
        "xcons",
        {**PAPER, "control": "uniform", "consistency_loss": 1.0},
    ),
    "SCAAT": ("scaat", {}),
    "CGC": ("cgc", {}),
    "CGC, the image alone": ("cgc", {"learned_views": "image"}),
}
FIGURES = {
    "original": "accuracy, original",
    "mixed_same": "mixed-same",
    "mixed_rand": "mixed-rand",
    "gap": "BG-gap",
    "pointing_game": "pointing, mixed-rand",
    "energy_pointing_game": "energy inside, mixed-rand",
}


def train_and_measure(seed, arguments):
    """One line of the table: the figures of one run with one seed, in percent."""
    from keras_xcons import evaluation, recipes

    # The table's setting, harder than the command's: the texture tells nearly all.
    options = {"epochs": FLAGS.epochs, "correlation": 0.95, "label_smoothing": 0.0}
    experiment = recipes.Experiment(recipes.TrainOptions(seed=seed, **options))
    method, arguments = arguments
    model, _ = experiment.train(method, **arguments)
    found = {}
    for split in experiment.test_splits:
        values = evaluation.measure(
            model,
            experiment.test_data(split),
            ["accuracy", "pointing_game", "energy_pointing_game"],
        )
        found[split] = values.pop("accuracy").mean()
    found |= {name: value.mean() for name, value in values.items()}
    found["gap"] = found["mixed_same"] - found["mixed_rand"]
    return {name: round(100 * float(found[name]), 2) for name in FIGURES}


def markdown(lines):
    """The table, with the mean and the range over the seeds."""
    yield "| run | " + " | ".join(FIGURES.values()) + " |"
    yield "|---|" + "---|" * len(FIGURES)
    for run in RUNS:
        seeds = [line for line in lines if line["run"] == run]
        cells = []
        for figure in FIGURES:
            values = [float(line[figure]) for line in seeds]
            if values:
                mean = sum(values) / len(values)
                cells.append(f"{mean:.1f} ({min(values):.1f} – {max(values):.1f})")
        if seeds:
            yield f"| {run} | " + " | ".join(cells) + " |"


def main(argv):
    """Trains what is missing and prints the table."""
    del argv
    from keras_xcons.files import whole_file

    path = pathlib.Path(FLAGS.output)
    columns = ["run", "seed", *FIGURES]
    lines = []
    if path.exists():
        with path.open(newline="") as file:
            lines = list(csv.DictReader(file))
    done = {(line["run"], line["seed"]) for line in lines}
    for seed in FLAGS.seeds:
        for run in FLAGS.runs or RUNS:
            if (run, seed) in done:
                continue
            figures = train_and_measure(int(seed), RUNS[run])
            lines.append({"run": run, "seed": seed, **figures})
            print(lines[-1], flush=True)
            with (
                whole_file(path) as unfinished,
                unfinished.open("w", newline="") as file,
            ):
                writer = csv.DictWriter(file, columns)
                writer.writeheader()
                writer.writerows(lines)
    print("\n".join(markdown(lines)))


if __name__ == "__main__":
    app.run(main)
