r"""What XCons and its parts bring: data sets x arms x seeds, trained and measured.

    python tools/evidence.py --data_dir=DIR_OF_TFDS_SETS --pretrained=FILE \
        --sets=cub --seeds=0,1,2
    python tools/evidence.py --table

An arm is a way to train from the same start: the probe, plain training, the bare paper,
and XCons with its parts in and out (ARMS). A run that is recorded is not repeated: of
each, `tools/results/evidence/<set>/<arm>_<seed>.npz` holds the figures of every test
image and the seconds that its training took. `--table` writes what is recorded:
`runs.csv` has the figures of each run, `tables.md` each arm's difference to plain with
a 95 % interval over seeds and images together (`keras_xcons.evaluation.across_runs`).
The default is what RULE picks.
"""

import atexit
import csv
import functools
import os
import pathlib
import shutil
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import flags

RESULTS = pathlib.Path(__file__).parent / "results" / "evidence"
# Written down before the finalists ran.
RULE = (
    "Among the arms that on no set are below plain in top-1 or pointing by more than "
    "their interval, the one that is best in the sum of its gains in energy and in "
    "accuracy under background attacks, each over its spread between arms."
)
_UNIFORM = {"control": "uniform"}
_BOTH = {"attacked_loss": 1.0, "consistency_loss": 1.0}
# Method, its options, and what differs in the training.
ARMS = {
    "probe": ("probe", {}, {}),
    "plain": ("plain", {}, {}),
    # As many epochs as the wall time of "both" is of plain's.
    "plain_long": ("plain", {}, {"epochs": 2.0}),
    "paper": ("xcons", {"preset": "paper"}, {}),
    "weights": ("xcons", {}, {}),
    "shuffled": ("xcons", {"control": "shuffled"}, {}),
    "loss": ("xcons", {"control": "loss"}, {}),
    "adversarial": ("xcons", {"control": "adversarial"}, {}),
    "whole_image": ("xcons", {"control": "whole_image"}, {}),
    "attacked": ("xcons", {**_UNIFORM, "attacked_loss": 1.0}, {}),
    "consistency": ("xcons", {**_UNIFORM, "consistency_loss": 1.0}, {}),
    "both": ("xcons", {**_UNIFORM, **_BOTH}, {}),
    "both_light": (
        "xcons",
        {**_UNIFORM, "attacked_loss": 0.3, "consistency_loss": 1.0},
        {},
    ),
    "both_weights": ("xcons", _BOTH, {}),
    "both_every_2": ("xcons", {**_UNIFORM, **_BOTH, "every": 2}, {}),
    "swap": ("xcons", {**_UNIFORM, "attack": "swap", "attacked_loss": 1.0}, {}),
}
_FINE_TUNED = {"model": "mobilenet_v2", "pretrained": True, "learning_rate": 1e-4}
SETS = {
    "cub": {
        **_FINE_TUNED,
        **{"dataset": "cub200_first50", "image_size": 160, "epochs": 8},
    },
    "cub_224": {
        **_FINE_TUNED,
        **{"dataset": "cub200_first50", "image_size": 224, "epochs": 8},
    },
    "pets": {
        **_FINE_TUNED,
        **{"dataset": "pets_three", "image_size": 160, "epochs": 8},
    },
    "pets_on_backgrounds": {
        **_FINE_TUNED,
        **{"dataset": "pets_on_backgrounds", "image_size": 160, "epochs": 8},
    },
    "shapes": {"dataset": "shapes", "epochs": 10},
}
FIGURES = (
    *("accuracy", "pointing_game", "energy_pointing_game", "max_box_acc_v2", "pxap"),
    *("iou_auc", "fgsm_background_accuracy", "pgd_background_accuracy"),
    *("explanation_consistency", "insertion", "deletion"),
)
# Sharper maps want lower thresholds than the default grid has.
_HOW = {"pgd_steps": 3}


def options_of(name, arm, seed):
    """The `TrainOptions` of a run."""
    from keras_xcons import recipes

    told = dict(SETS[name])
    method, given, other = ARMS[arm]
    if "epochs" in other:
        told["epochs"] = round(told["epochs"] * other["epochs"])
    if told.get("pretrained"):
        told["pretrained"] = flags_of()["pretrained"]
    if told["dataset"] == "pets_on_backgrounds":
        told["dataset"] = generated(seed)
    elif told["dataset"] != "shapes":
        told["dataset"] = recipes.find_dataset(told["dataset"], flags_of()["data_dir"])
    methods = {"plain": {}} if method == "probe" else {method: given}
    return recipes.TrainOptions(**told, seed=seed, methods=methods)


@functools.cache
def generated(seed):
    """A folder with pets on backgrounds, for as long as the process runs."""
    from pets_on_backgrounds import write

    folder = tempfile.mkdtemp(prefix="pets_on_backgrounds_")
    atexit.register(shutil.rmtree, folder)
    told = flags_of()
    write(folder, told["data_dir"], told["pretrained"], seed=seed)
    return folder


def run(name, arm, seed):
    """Trains and measures a run, and records it.

    Returns:
        Path of what is recorded.
    """
    import numpy as np

    from keras_xcons import evaluation, recipes
    from keras_xcons.files import whole_file

    path = RESULTS / name / f"{arm}_{seed}.npz"
    if path.exists():
        return path
    experiment = recipes.Experiment(options_of(name, arm, seed))
    began = time.monotonic()
    if experiment.has_probe:
        model = probe_of(name, seed, experiment)
        experiment.start_from(model)
    method = ARMS[arm][0]
    if method == "probe":
        if not experiment.has_probe:
            return None
        seconds = time.monotonic() - began
    else:
        began = time.monotonic()
        model, _ = experiment.train(method)
        seconds = time.monotonic() - began
    found = {"seconds": np.array(seconds)}
    for split in experiment.test_splits:
        test = experiment.test_data(split)
        figures = FIGURES if split == experiment.test_splits[0] else FIGURES[:3]
        names = [one for one in figures if is_allowed(one, experiment)]
        for figure, rows in evaluation.measure(model, test, names, **_HOW).items():
            found[f"{split}/{figure}"] = rows.astype("float16")
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as unfinished, unfinished.open("wb") as file:
        np.savez_compressed(file, **found)
    print(f"{name}, {arm}, seed {seed}: {seconds:.0f} s", flush=True)
    return path


def is_allowed(figure, experiment):
    """Whether the annotations of a set allow a figure."""
    if figure in ("pxap", "iou_auc"):
        return experiment.info.annotations == "masks"
    located = ("pointing_game", "energy_pointing_game", "max_box_acc_v2")
    return experiment.info.annotations is not None or figure not in located


_probes = {}


def probe_of(name, seed, experiment):
    """The probe, the same for every arm of a set and seed."""
    if (name, seed) not in _probes:
        _probes.clear()
        _probes[name, seed] = experiment.probe()[0]
    return _probes[name, seed]


def recorded(name):
    """What is recorded of a set: dict from arm to dict from seed to arrays."""
    import numpy as np

    found = {}
    for path in sorted((RESULTS / name).glob("*.npz")):
        arm, _, seed = path.stem.rpartition("_")
        rows = dict(np.load(path))
        seconds = float(rows.pop("seconds"))
        rows = {key: value.astype("float32") for key, value in rows.items()}
        found.setdefault(arm, {})[int(seed)] = rows, seconds
    return {arm: found[arm] for arm in ARMS if arm in found}


def figure(key, runs, base=None):
    """A figure of several runs, or its difference to those of another arm."""
    from keras_xcons import evaluation

    metric = evaluation.METRICS[key.partition("/")[2]]
    how = {"statistic": metric.statistic, "limits": metric.range}
    if len(runs) > 1:
        return evaluation.across_runs(runs, *(() if base is None else (base,)), **how)
    if base is None:
        return evaluation.summarize(runs[0], **how)
    return evaluation.compare(runs[0], base[0], **how)


def tables():
    """Writes `runs.csv` and `tables.md` of what is recorded."""
    lines, pages = [], []
    for name in SETS:
        found = recorded(name)
        if "plain" not in found:
            continue
        keys = list(next(iter(found["plain"].values()))[0])
        pages += [f"## {name}", ""]
        head = ["arm", "seeds", "time", *(key.replace("/", ", ") for key in keys)]
        pages += ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
        plain = found["plain"]
        for arm, runs in found.items():
            for seed, (rows, seconds) in runs.items():
                line = {
                    "set": name,
                    "arm": arm,
                    "seed": seed,
                    "seconds": round(seconds),
                }
                values = {key: figure(key, [rows[key]])["value"] for key in keys}
                lines.append({**line, **{k: round(v, 4) for k, v in values.items()}})
            seeds = sorted(runs.keys() & plain.keys())
            if not seeds:
                continue
            times = [runs[seed][1] / plain[seed][1] for seed in seeds]
            cells = [arm, str(len(seeds)), f"{sum(times) / len(times):.1f}×"]
            for key in keys:
                own, base = (
                    [one[seed][0][key] for seed in seeds] for one in (runs, plain)
                )
                if arm == "plain":
                    cells.append(f"{100 * figure(key, own)['value']:.1f}")
                    continue
                told = figure(key, own, base)
                ends = f"{100 * told['low']:+.1f}, {100 * told['high']:+.1f}"
                cells.append(f"{100 * told['value']:+.1f} [{ends}]")
            pages.append("| " + " | ".join(cells) + " |")
        pages.append("")
    RESULTS.mkdir(parents=True, exist_ok=True)
    columns = list(dict.fromkeys(key for line in lines for key in line))
    with (RESULTS / "runs.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(lines)
    text = "\n".join(["<!-- Written by tools/evidence.py --table. -->", "", *pages])
    (RESULTS / "tables.md").write_text(text, encoding="utf-8")
    return text


def flags_of():
    """The flags, a dict."""
    return flags.FLAGS.flag_values_dict()


def main(argv):
    """Runs what is missing, seed by seed, then writes the tables."""
    flags.DEFINE_list("sets", list(SETS), "Data sets.")
    flags.DEFINE_list("arms", list(ARMS), "Arms.")
    flags.DEFINE_list("seeds", ["0"], "Seeds.")
    flags.DEFINE_string("data_dir", None, "Folder of TFDS data sets.")
    flags.DEFINE_string("pretrained", None, "Weights that are fine-tuned.")
    flags.DEFINE_bool("table", False, "Only write the tables.")
    flags.FLAGS(argv)
    told = flags_of()
    if not told["table"]:
        for name in told["sets"]:
            for seed in map(int, told["seeds"]):
                for arm in told["arms"]:
                    run(name, arm, seed)
    print(tables())


if __name__ == "__main__":
    main(sys.argv)
