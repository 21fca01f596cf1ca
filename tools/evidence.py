r"""What XCons and its parts bring: data sets x arms x seeds, trained and measured.

    python tools/evidence.py --data_dir=DIR_OF_TFDS_SETS --pretrained=FILE \
        --sets=cub --seeds=0,1,2
    python tools/evidence_tables.py

An arm is a way to train from the same start: the probe, plain training, the bare paper,
and XCons with its parts in and out (ARMS). A run that is recorded is not repeated: of
each, `tools/results/evidence/<set>/<arm>_<seed>.npz` holds the figures of every test
image and the seconds that its training took. `tools/evidence_tables.py` makes tables
and plots of what is recorded. The default is what RULE picks.
"""

import atexit
import functools
import json
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
_ALONE = {"attacked_loss": 0.0, "consistency_loss": 0.0}
# Both terms in equal parts, and with little of the attacked images.
_BOTH = {"attacked_loss": 1.0, "consistency_loss": 1.0}
_LIGHT = {"attacked_loss": 0.3, "consistency_loss": 1.0}
# The default.
_MILD = {"attacked_loss": 0.3, "consistency_loss": 0.3}
_ATTACKED = {"clean_loss": False, "attacked_loss": 1.0}
_WEIGHTED = {"sample_weights": "consistency"}
# What pages call it, the method, its options, and what differs in the training.
ARMS = {
    "probe": ("linear probe", "probe", {}, {}),
    "plain": ("plain", "plain", {}, {}),
    # As many epochs as the time of "mild" is of plain's.
    "plain_long": ("plain, for as long", "plain", {}, {"epochs": 2.25}),
    "paper": ("the bare paper", "xcons", {"preset": "paper"}, {}),
    "weights": ("sound weights alone", "xcons", {**_ALONE, **_WEIGHTED}, {}),
    "shuffled": (
        "the same, shuffled",
        "xcons",
        {**_ALONE, "sample_weights": "shuffled"},
        {},
    ),
    "loss": ("weights by the loss", "xcons", {**_ALONE, "sample_weights": "loss"}, {}),
    "adversarial": ("attacked images alone", "xcons", {**_ALONE, **_ATTACKED}, {}),
    "whole_image": (
        "default, whole image attacked",
        "xcons",
        {**_MILD, "region": "whole_image"},
        {},
    ),
    "attacked": ("α 0.3 alone", "xcons", {**_ALONE, "attacked_loss": 0.3}, {}),
    "consistency": ("λ 1 alone", "xcons", {**_ALONE, "consistency_loss": 1.0}, {}),
    "both": ("α 1, λ 1", "xcons", _BOTH, {}),
    "light": ("α 0.3, λ 1", "xcons", _LIGHT, {}),
    "light_weights": ("α 0.3, λ 1, weighted", "xcons", {**_WEIGHTED, **_LIGHT}, {}),
    "mild": ("default (α 0.3, λ 0.3)", "xcons", _MILD, {}),
    "mild_weights": ("default, weighted", "xcons", {**_WEIGHTED, **_MILD}, {}),
    "mild_every_2": ("default, every=2", "xcons", {**_MILD, "every": 2}, {}),
    "mild_unaligned": (
        "default, maps as they are",
        "xcons",
        {**_MILD, "align": False},
        {},
    ),
    "swap": ("default, backgrounds swapped", "xcons", {**_MILD, "attack": "swap"}, {}),
}
_FINE_TUNED = {
    **{"model": "mobilenet_v2", "pretrained": True, "learning_rate": 1e-4},
    **{"image_size": 160, "epochs": 8},
}
SETS = {
    "cub": {**_FINE_TUNED, "dataset": "cub200_first50"},
    "cub_224": {**_FINE_TUNED, "dataset": "cub200_first50", "image_size": 224},
    "cub_resnet18": {
        **_FINE_TUNED,
        **{"dataset": "cub200_first50", "model": "resnet18", "learning_rate": 1e-3},
        **{"pretrained": "resnet18_tiny_imagenet", "freeze_batch_norm": False},
    },
    "cub_protopnet": {
        **_FINE_TUNED,
        **{"dataset": "cub200_first50", "model": "protopnet", "learning_rate": 3e-3},
        **{"pretrained": "mobilenet_v2_cub_plain", "epochs": 10},
    },
    "pets": {**_FINE_TUNED, "dataset": "pets_three"},
    "pets_on_backgrounds": {**_FINE_TUNED, "dataset": "pets_on_backgrounds"},
    "shapes": {"dataset": "shapes"},
    "shapes_95": {"dataset": "shapes", "correlation": 0.95},
    "shapes_70": {"dataset": "shapes", "correlation": 0.7},
}
# What `recipes.Experiment` is told beside the options.
PARTS = {
    "cub_protopnet": {
        "architecture": {"backbone": "mobilenet_v2"},
        "stages": {"warm_epochs": 2, "push_start": 8, "last_epochs": 2},
    }
}
# What pages call figures; BG-gap is of two of them.
FIGURES = {
    "accuracy": "top-1",
    "pointing_game": "pointing game",
    "energy_pointing_game": "energy inside",
    "max_box_acc": "MaxBoxAcc, IoU 0.5",
    "max_box_acc_v2": "MaxBoxAccV2",
    "pxap": "PxAP",
    "iou_auc": "IoU AUC",
    "explanation_consistency": "E",
    "fgsm_background_accuracy": "right under background FGSM",
    "pgd_background_accuracy": "right under background PGD",
    "insertion": "insertion",
    "deletion": "deletion (less is better)",
    "bg_gap": "BG-gap (less is better)",
}
_QUICK = ("accuracy", "pointing_game", "energy_pointing_game")
_FIGURES = (
    *(*_QUICK, "max_box_acc", "max_box_acc_v2", "pxap", "iou_auc"),
    *("fgsm_background_accuracy", "pgd_background_accuracy", "explanation_consistency"),
)
# Figures that take many passes an image are of the first so many images.
_SLOW, _IMAGES = ("insertion", "deletion"), 320
# Sharp maps want low thresholds: from 0.01 up. E is of the measure that trains.
_HOW = {"pgd_steps": 3, "box_thresholds": 100, "consistency_measure": "soft_iou"}


def options_of(name, arm, seed):
    """The `TrainOptions` of a run."""
    from keras_xcons import recipes, zoo

    told, given = dict(SETS[name]), flags_of()
    _, method, options, other = ARMS[arm]
    if "epochs" in other:
        told["epochs"] = round(told["epochs"] * other["epochs"])
    if told.get("pretrained") is True:
        told["pretrained"] = given["pretrained"]
    elif "pretrained" in told:
        told["pretrained"] = str(zoo.download(told["pretrained"]))
    if told["dataset"] == "pets_on_backgrounds":
        told["dataset"] = generated(seed)
    elif told["dataset"] != "shapes":
        told["dataset"] = recipes.find_dataset(told["dataset"], given["data_dir"])
    methods = {"plain": {}} if method == "probe" else {method: options}
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

    Does nothing where it is recorded, or where there is no such run: a network that
    starts from nothing has no probe.
    """
    import numpy as np

    from keras_xcons import recipes
    from keras_xcons.files import whole_file

    path = RESULTS / name / f"{arm}_{seed}.npz"
    if path.exists():
        return
    experiment = recipes.Experiment(options_of(name, arm, seed), **PARTS.get(name, {}))
    method = ARMS[arm][1]
    if method == "probe" and not experiment.has_probe:
        return
    model, cost = trained(name, arm, seed, experiment)
    # A shift of the maps is no merit or fault of what they show.
    experiment.calibrate(model)
    began = time.monotonic()
    found = {"cost": np.array(cost), **figures_of(model, experiment)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as unfinished, unfinished.open("wb") as file:
        np.savez_compressed(file, **found)
    measured = time.monotonic() - began
    accuracy = found[f"{experiment.test_splits[-1]}/accuracy"].mean(dtype="float64")
    print(
        f"{name}, {arm}, seed {seed}: trained in {cost[0]:.0f} s, measured in "
        f"{measured:.0f} s, accuracy {accuracy:.3f}",
        flush=True,
    )


def trained(name, arm, seed, experiment):
    """The model of a run, of the folder `--models` if it is there, and its cost.

    The cost is the seconds by the clock, and those of all cores, which count nothing
    of what else the machine does.
    """
    folder = flags_of()["models"]
    weights = folder and pathlib.Path(folder) / f"{name}_{arm}_{seed}.weights.h5"
    if weights and weights.exists():
        model = experiment.start()
        model.load_weights(weights)
        return model, json.loads(weights.with_suffix(".json").read_text())
    method = ARMS[arm][1]
    began = _seconds()
    if experiment.has_probe:
        model = probe_of(name, seed, experiment)
        experiment.start_from(model)
    if method != "probe":
        began = _seconds()
        model, _ = experiment.train(method)
    cost = [after - before for after, before in zip(_seconds(), began, strict=True)]
    if weights:
        weights.parent.mkdir(parents=True, exist_ok=True)
        weights.with_suffix(".json").write_text(json.dumps(cost))
        model.save_weights(weights)
    return model, cost


def _seconds():
    return time.monotonic(), time.process_time()


def figures_of(model, experiment):
    """What is recorded of a model: dict from split/figure to an array of its images."""
    from keras_xcons import evaluation

    found = {}
    for place, split in enumerate(experiment.test_splits):
        test = experiment.test_data(split)
        parts = [(_QUICK if place else _FIGURES, test)]
        if not place:
            parts.append((_SLOW, test.unbatch().take(_IMAGES).batch(16)))
        for figures, images in parts:
            names = [one for one in figures if is_allowed(one, experiment)]
            measured = evaluation.measure(model, images, names, **_HOW)
            for figure, rows in measured.items():
                found[f"{split}/{figure}"] = rows.astype("float16")
    return found


def is_allowed(figure, experiment):
    """Whether the annotations of a set allow a figure."""
    if figure in ("pxap", "iou_auc"):
        return experiment.info.annotations == "masks"
    located = ("pointing_game", "energy_pointing_game", "max_box_acc", "max_box_acc_v2")
    return experiment.info.annotations is not None or figure not in located


_probes = {}


def probe_of(name, seed, experiment):
    """The probe, the same for every arm of a set and seed."""
    if (name, seed) not in _probes:
        _probes.clear()
        _probes[name, seed] = experiment.probe()[0]
    return _probes[name, seed]


def flags_of():
    """The flags, a dict."""
    return flags.FLAGS.flag_values_dict()


def main(argv):
    """Runs what is missing, seed by seed."""
    flags.DEFINE_list("sets", list(SETS), "Data sets.")
    flags.DEFINE_list("arms", list(ARMS), "Arms.")
    flags.DEFINE_list("seeds", ["0"], "Seeds.")
    flags.DEFINE_string("data_dir", None, "Folder of TFDS data sets.")
    flags.DEFINE_string("pretrained", None, "Weights that are fine-tuned.")
    flags.DEFINE_string("models", None, "Folder where trained weights are kept.")
    flags.FLAGS(argv)
    told = flags_of()
    for name in told["sets"]:
        for seed in map(int, told["seeds"]):
            for arm in told["arms"]:
                run(name, arm, seed)


if __name__ == "__main__":
    main(sys.argv)
