r"""What XCons and its parts bring: data sets x arms x seeds, trained and measured.

    python tools/evidence.py --data_dir=DIR_OF_TFDS_SETS --pretrained=FILE \
        --sets=cub --seeds=0,1,2
    python tools/evidence_tables.py

An arm is a way to train from the same start: the probe, plain training, the bare
paper, and XCons with its parts in and out (`tools/evidence_arms.py`). A run that is
recorded is not repeated: of each, `tools/results/evidence/<set>/<arm>_<seed>.npz` holds
the figures of every test image and the seconds that its training took. To run it anew,
remove that file.
`tools/evidence_tables.py` makes tables and plots of what is recorded, and says what
`RULE` in `tools/evidence_arms.py` picks of it.
"""

import atexit
import functools
import json
import os
import pathlib
import shutil
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags
from evidence_arms import ARMS, PARTS, RESULTS, SETS

_SETS = flags.DEFINE_list("sets", list(SETS), "Data sets.")
_ARMS = flags.DEFINE_list("arms", list(ARMS), "Arms.")
_SEEDS = flags.DEFINE_list("seeds", ["0"], "Seeds.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of TFDS data sets.")
_PRETRAINED = flags.DEFINE_string(
    "pretrained", None, "ImageNet weights of MobileNetV2, a file, that are fine-tuned."
)
_MODELS = flags.DEFINE_string("models", None, "Folder where trained weights are kept.")

_QUICK = ("accuracy", "pointing_game", "energy_pointing_game")
_FIGURES = (
    *(*_QUICK, "max_box_acc", "max_box_acc_v2", "pxap", "iou_auc"),
    *("fgsm_background_accuracy", "pgd_background_accuracy", "explanation_consistency"),
)
# Figures that take many passes an image are of the first so many images.
_SLOW, _IMAGES = ("insertion", "deletion"), 320
# Sharp maps want low thresholds: from 0.01 up.
_HOW = {"pgd_steps": 3, "box_thresholds": 100}


def options_of(name, arm, seed):
    """The `TrainOptions` of a run."""
    from keras_xcons import recipes, zoo
    from keras_xcons.options import default_of

    told = dict(SETS[name])
    _, method, options, other = ARMS[arm]
    if "epochs" in other:
        usual = told.get("epochs") or default_of(recipes.TrainOptions, "epochs")
        told["epochs"] = round(usual * other["epochs"])
    if told.get("pretrained") is True:
        told["pretrained"] = _PRETRAINED.value
    elif "pretrained" in told:
        told["pretrained"] = str(zoo.download(told["pretrained"]))
    if told["dataset"] == "pets_on_backgrounds":
        told["dataset"] = generated(seed)
    elif told["dataset"] != "shapes":
        told["dataset"] = recipes.find_dataset(told["dataset"], _DATA_DIR.value)
    methods = {"plain": {}} if method == "probe" else {method: options}
    return recipes.TrainOptions(**told, seed=seed, methods=methods)


@functools.cache
def generated(seed):
    """A folder with pets on backgrounds, for as long as the process runs."""
    from pets_on_backgrounds import write

    folder = tempfile.mkdtemp(prefix="pets_on_backgrounds_")
    atexit.register(shutil.rmtree, folder)
    write(folder, _DATA_DIR.value, _PRETRAINED.value, seed=seed)
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
        print(f"{name}, {arm}, seed {seed}: recorded in {path}", flush=True)
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
    folder = _MODELS.value
    weights = folder and pathlib.Path(folder) / f"{name}_{arm}_{seed}.weights.h5"
    if weights and weights.exists():
        model = experiment.start()
        model.load_weights(weights)
        return model, json.loads(weights.with_suffix(".json").read_text())
    from keras_xcons.files import whole_file

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
        with whole_file(weights.with_suffix(".json")) as unfinished:
            unfinished.write_text(json.dumps(cost))
        with whole_file(weights) as unfinished:
            model.save_weights(unfinished)
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


def main(argv):
    """Runs what is missing, seed by seed."""
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    from keras_xcons import checks

    for kind, flag, known in (("set", _SETS, SETS), ("arm", _ARMS, ARMS)):
        for name in flag.value:
            if name not in known:
                raise app.UsageError(checks.unknown(kind, name, known))
    for flag in (_SETS, _ARMS, _SEEDS):
        if not flag.value:
            raise app.UsageError(f"--{flag.name} must name at least one")
    if not all(seed.isdecimal() for seed in _SEEDS.value):
        raise app.UsageError(f"--seeds are whole numbers. Received: {_SEEDS.value}")
    if any(SETS[name]["dataset"] != "shapes" for name in _SETS.value):
        for flag in (_DATA_DIR, _PRETRAINED):
            if flag.value is None:
                raise app.UsageError(f"Sets of photographs need --{flag.name}")
    for name in _SETS.value:
        for seed in map(int, _SEEDS.value):
            for arm in _ARMS.value:
                run(name, arm, seed)


if __name__ == "__main__":
    app.run(main)
