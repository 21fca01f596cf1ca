"""Trains methods from one start over several seeds, and measures what each is for.

    python tools/compare_methods.py --methods=plain,scaat,cgc --seeds=0,1,2 \
        --work=runs/shapes_methods --output=tools/results/shapes_methods.csv
    python tools/compare_methods.py --methods=plain,scaat,cgc --seeds=0 \
        --dataset=DIR/cub200_first50/1.0.0 --model=mobilenet_v2 --pretrained=FILE \
        --image_size=160 --epochs=8 --learning_rate=1e-4 --label_smoothing=0.1 \
        --work=runs/cub_methods --output=tools/results/cub_methods.csv

All flags of `keras-xcons train` set the training but for --method, and an option of a
method is set by --set=scaat.epsilon=8. Figures are of the first test split: of the
Grad-CAM++ map of the label, and of its saliency map. A run that is there already, in
the folder --work, is not repeated, whatever the flags: take another folder for other
flags. With two seeds and more the intervals are over seeds and images
(`keras_xcons.evaluation.across_runs`), with one over images alone.
"""

import csv
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import flags

# Of the Grad-CAM++ map of the label, and of its saliency map.
METRICS = {
    "gradcam++": (
        "accuracy",
        "content_heatmap",
        "energy_pointing_game",
        "pointing_game",
        "gini",
        "insertion",
        "deletion",
        "explanation_consistency",
        "fgsm_background_accuracy",
    ),
    "saliency": ("gini", "energy_pointing_game", "insertion", "deletion"),
}
COLUMNS = ("method", "figure", "value", "low", "high", "difference", "from", "to")


def measured(experiment, method, seed, folder):
    """What is measured of the test images of a run, trained if it is not there.

    Returns:
        Dict from `explainer/metric` to an array with a row an image.
    """
    import numpy as np

    from keras_xcons import evaluation

    path = pathlib.Path(folder) / f"{method}_{seed}.npz"
    if not path.exists():
        model, _ = experiment.train(method)
        model.save(path.with_suffix(".keras"))
        test = experiment.test_data(experiment.test_splits[0])
        found = {
            f"{explainer}/{name}": values
            for explainer, names in METRICS.items()
            for name, values in evaluation.measure(
                model, test, names, explainer=explainer
            ).items()
        }
        np.savez(path, **found)
        print(f"{method}, seed {seed}: done", flush=True)
    return dict(np.load(path))


def rows(values, methods, seeds):
    """The table: each figure of each method, and its difference to the first one."""
    from keras_xcons import evaluation

    for method in methods:
        for key in values[method, seeds[0]]:
            explainer, name = key.split("/")
            metric = evaluation.METRICS[name]
            own, base = (
                [values[one, seed][key] for seed in seeds]
                for one in (method, methods[0])
            )
            how = {"statistic": metric.statistic, "limits": metric.range}
            several = len(seeds) > 1
            summarize = evaluation.across_runs if several else evaluation.summarize
            compare = evaluation.across_runs if several else evaluation.compare
            own, base = (own, base) if several else (own[0], base[0])
            line = {"method": method, "figure": f"{name} ({explainer})"}
            found = summarize(own, **how)
            line |= {end: round(found[end], 4) for end in ("value", "low", "high")}
            if method != methods[0]:
                found = compare(own, base, **how)
                line |= {
                    "difference": round(found["value"], 4),
                    "from": round(found["low"], 4),
                    "to": round(found["high"], 4),
                }
            yield line


def markdown(lines):
    """The table as Markdown: a row a figure, a column a method."""
    methods = list(dict.fromkeys(line["method"] for line in lines))
    yield "| | " + " | ".join(methods) + " |"
    yield "|---|" + "---|" * len(methods)
    for figure in dict.fromkeys(line["figure"] for line in lines):
        cells = []
        for line in lines:
            if line["figure"] != figure:
                continue
            cell = f"{100 * line['value']:.1f}"
            if line["method"] != methods[0]:
                ends = f"{100 * line['from']:+.1f}, {100 * line['to']:+.1f}"
                cell += f" ({100 * line['difference']:+.1f} [{ends}])"
            cells.append(cell)
        yield f"| {figure} | " + " | ".join(cells) + " |"


def main(argv):
    """Trains and measures what is missing, writes the table and prints it."""
    from keras_xcons import command_flags, recipes
    from keras_xcons.files import whole_file

    values = command_flags.CommandFlags(argv[1:])
    flags.DEFINE_list("methods", ["plain", "xcons"], "Methods.", values)
    flags.DEFINE_list("seeds", ["0"], "Seeds of the runs.", values)
    flags.DEFINE_multi_string("set", [], "METHOD.OPTION=VALUE.", values)
    flags.DEFINE_string("work", "runs/methods", "Folder for the runs.", values)
    flags.DEFINE_bool("help", False, "Show this help.", values, short_name="h")
    command_flags.define_fields(recipes.TrainOptions, values)
    values(argv)
    if values.help:
        print(f"{__doc__}\n{command_flags.described(values)}")
        return
    told = command_flags.fields(recipes.TrainOptions, values)
    given = {method: {} for method in values.methods}
    for one in values.set:
        name, _, text = one.partition("=")
        method, _, option = name.partition(".")
        given[method][option] = _value(method, option, text)
    folder = pathlib.Path(values.work)
    folder.mkdir(parents=True, exist_ok=True)
    seeds, found = [int(seed) for seed in values.seeds], {}
    for seed in seeds:
        options = recipes.TrainOptions(**{**told, "seed": seed, "methods": given})
        experiment = recipes.Experiment(options)
        if experiment.has_probe:
            experiment.start_from(experiment.probe()[0])
        for method in values.methods:
            found[method, seed] = measured(experiment, method, seed, folder)
    lines = list(rows(found, values.methods, seeds))
    with (
        whole_file(values.output) as unfinished,
        unfinished.open("w", newline="") as file,
    ):
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(lines)
    print("\n".join(markdown(lines)))
    images = len(next(iter(found[values.methods[0], seeds[0]].values())))
    print(f"percent, {len(seeds)} seeds, n = {images} images")


def _value(method, option, text):
    """A value as it is typed, of the type of the option."""
    from keras_xcons.methods import method_of
    from keras_xcons.options import fields

    kinds, _ = fields(method_of(method).options)[option]
    return kinds[0](text)


if __name__ == "__main__":
    main(sys.argv)
