"""Measures what XCons training and heatmaps cost, as ratios within one run.

    python tools/benchmark.py --output benchmark.csv

Every variant of a group is timed in turn, round after round, so that a machine that
slows down slows all of them; a ratio is the median over rounds of the ratio within
a round. Memory is the peak resident size of a process of its own that does nothing
else, and the import is timed in fresh processes.
"""

import csv
import os
import platform
import statistics
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_list("models", ["mobilenet_v2", "resnet50"], "Architectures to time.")
flags.DEFINE_list(
    "groups",
    ["training", "heatmaps", "parts", "xnn", "memory", "data", "import"],
    "What to measure: training, heatmaps, parts, xnn, memory, data, import, load, "
    "faithfulness. The last needs Xplique; benchmark_faithfulness.py says how it is "
    "run. For load, --models are names of published models.",
)
flags.DEFINE_integer(
    "image_size", 128, "Height and width of the images in pixels.", 16, 2**14
)
flags.DEFINE_integer("batch_size", 16, "Images a step.", 1, 2**14)
flags.DEFINE_integer(
    "rounds", 15, "Timed rounds; each variant runs once a round.", 1, 2**14
)
flags.DEFINE_string("output", None, "CSV file to write.")
flags.DEFINE_string("memory_of", None, "Internal: print the memory of a variant.")

# What others are divided by.
PLAIN = "Keras"
# XCons as it is by default, and without what it learns from attacked images.
XCONS = {
    "xcons": {},
    "xcons every 2": {"every": 2},
    **{
        f"xcons {name}": {"schedule": name, "preset": "paper"}
        for name in ("memory", "batch", "epoch")
    },
}
NUM_CLASSES = 50


def classifier(name):
    """A classifier with frozen batch normalisation, as one fine-tunes it."""
    import keras

    from keras_xcons import models

    keras.utils.set_random_seed(0)
    model = models.create(name, NUM_CLASSES, FLAGS.image_size)
    models.freeze_batch_norm(model)
    return model


def batches():
    """An endless dataset of one random batch, with sample ids."""
    import numpy as np
    import tensorflow as tf

    rng = np.random.default_rng(0)
    size, side = FLAGS.batch_size, FLAGS.image_size
    images = rng.integers(0, 256, (size, side, side, 3)).astype("float32")
    labels = rng.integers(0, NUM_CLASSES, size).astype("int32")
    ids = np.arange(size, dtype="int32")
    with_ids = ({"image": images, "sample_id": ids}, labels)
    return (
        tf.data.Dataset.from_tensors((images, labels)).repeat(),
        tf.data.Dataset.from_tensors(with_ids).repeat(),
    )


def training_variants():
    """Names of what is trained: Keras itself, each method, XCons' other forms."""
    from keras_xcons.methods import method_of, methods

    others = [
        name
        for name in methods()
        if name != "xcons" and method_of(name).follows is None
    ]
    return (PLAIN, *others, *XCONS)


def training_step(name, variant):
    """The function that `fit` calls for each step, on a batch of its own."""
    import keras

    from keras_xcons.methods import method_of, trainer

    model = classifier(name)
    plain, with_ids = batches()
    dataset = plain
    if variant in XCONS:
        options = {"num_samples": FLAGS.batch_size, **XCONS[variant]}
        model = trainer("xcons", model, **options)
        dataset = with_ids if model.options.needs_sample_ids else plain
    elif variant != PLAIN:
        # What a method trains before its own first step is plain training.
        model = trainer(variant, model, **method_of(variant).trainer.started)
    model.compile(
        keras.optimizers.AdamW(1e-5),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.make_train_function()
    iterator = iter(dataset)

    def step():
        for _ in range(step.calls):
            logs = model.train_function(iterator)
            float(logs["loss"])  # waits for the step to end

    # Of steps that differ each kind counts.
    step.calls = XCONS.get(variant, {}).get("every", 1)
    return step


def heatmap_functions(name):
    """Forward pass, our two forms of Grad-CAM++, and that of tf-keras-vis."""
    import dataclasses

    import numpy as np
    import tensorflow as tf
    from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
    from tf_keras_vis.utils.model_modifiers import ReplaceToLinear
    from tf_keras_vis.utils.scores import CategoricalScore

    from keras_xcons import models
    from keras_xcons.explainers import GradCAMPlusPlus as OurGradCAMPlusPlus

    view = models.split(classifier(name))
    images, labels = next(iter(batches()[0]))
    forward = tf.function(lambda x: view.model(x, training=False))
    closed = OurGradCAMPlusPlus(view)
    tape = OurGradCAMPlusPlus(dataclasses.replace(view, dense=None))
    # tf-keras-vis fails on nested models, so it gets ours, inlined.
    flat = models.flatten(view.model)
    peer = GradcamPlusPlus(flat, model_modifier=ReplaceToLinear(), clone=True)
    score = CategoricalScore([int(label) for label in labels])
    layer = view.feature_layer
    return {
        "forward": lambda: np.asarray(forward(images)),
        "closed form": lambda: np.asarray(closed(images, labels)),
        "tape": lambda: np.asarray(tape(images, labels)),
        "tf-keras-vis": lambda: peer(
            score, images, penultimate_layer=layer, expand_cam=False
        ),
    }


def race(variants):
    """Seconds of each variant in each round, after two calls that do not count."""
    seconds = {name: [] for name in variants}
    for number in range(FLAGS.rounds + 2):
        for name, function in variants.items():
            start = time.perf_counter()
            function()
            if number >= 2:
                calls = getattr(function, "calls", 1)
                seconds[name].append((time.perf_counter() - start) / calls)
    return seconds


def rows_of_race(group, model, seconds, base, limits):
    """One row a variant, with the ratio to the base variant."""
    for name, values in seconds.items():
        ratios = [a / b for a, b in zip(values, seconds[base], strict=True)]
        yield {
            "group": group,
            "model": model,
            "variant": name,
            "median": round(statistics.median(values) * 1000, 1),
            "unit": "ms",
            "n": len(values),
            "ratio": round(statistics.median(ratios), 3),
            "ratio_low": round(sorted(ratios)[len(ratios) // 10], 3),
            "ratio_high": round(sorted(ratios)[-1 - len(ratios) // 10], 3),
            "to": base,
            "limit": limits.get(name, ""),
        }


def training(model):
    """Steps of every method, beside a step of Keras."""
    seconds = race({name: training_step(model, name) for name in training_variants()})
    limits = {
        "plain": "<= 1.05",
        "xcons": "<= 2.70",
        "xcons every 2": "<= 1.90",
        "xcons memory": "<= 1.40",
        "xcons batch": "<= 1.80",
        "xcons epoch": "<= 1.05",
        "scaat": "<= 6",
        "cgc": "<= 6",
        # Of the classifier's, whose steps cost less than the selector's own.
        "comet": "<= 3.00",
    }
    yield from rows_of_race("training", model, seconds, PLAIN, limits)


def heatmaps(model):
    """Heatmaps of a batch, beside a forward pass."""
    seconds = race(heatmap_functions(model))
    limits = {"closed form": "<= 1.05", "tape": "<= 1.25"}
    yield from rows_of_race("heatmaps", model, seconds, "forward", limits)
    pair = {name: seconds[name] for name in ("tf-keras-vis", "closed form")}
    rows = rows_of_race("heatmaps", model, pair, "closed form", {})
    yield {**next(rows), "limit": ">= 5"}


def parts(model):
    """Explanations by a part of a model, beside a forward pass of model and part."""
    import benchmark_parts

    images = next(iter(batches()[0]))[0]
    functions = benchmark_parts.part_functions(classifier(model), images)
    for pair in functions.values():
        base, name = pair
        rows = rows_of_race("parts", model, race(pair), base, {name: "<= 1.20"})
        yield from rows


def faithfulness(model):
    """Insertion and deletion of a batch, beside Xplique's of the same."""
    import benchmark_faithfulness
    import numpy as np

    images, labels = next(iter(batches()[0]))
    functions = benchmark_faithfulness.faithfulness_functions(
        classifier(model), images, labels
    )
    found = np.array([function() for function in functions.values()])
    if np.ptp(found, axis=0).max() > 1e-3:
        raise ValueError(f"The areas under the curves differ. Received: {found}")
    seconds = race(functions)
    limits = {"Xplique": ">= 1.5"}
    for name in list(seconds)[1:]:
        pair = {"Xplique": seconds["Xplique"], name: seconds[name]}
        yield from rows_of_race("faithfulness", model, pair, name, limits)


def memory(model):
    """Peak and growth of the resident memory of processes that run steps."""
    import benchmark_memory

    command = [sys.executable, __file__, f"--image_size={FLAGS.image_size}"]
    command += [f"--batch_size={FLAGS.batch_size}"]
    yield from benchmark_memory.rows(model, training_variants(), PLAIN, command)


def rows_of_group(group):
    """The rows of one group of measurements."""
    import benchmark_parts
    import benchmark_single

    if group in ("data", "import", "xnn"):
        measure = {
            "data": benchmark_single.shapes_rate,
            "import": benchmark_single.import_seconds,
            "xnn": benchmark_parts.fit_seconds,
        }[group]
        return [measure(FLAGS.rounds)]
    if group == "load":
        return (benchmark_single.load_seconds(m, FLAGS.rounds) for m in FLAGS.models)
    measure = {
        "training": training,
        "heatmaps": heatmaps,
        "parts": parts,
        "faithfulness": faithfulness,
        "memory": memory,
    }[group]
    return (row for model in FLAGS.models for row in measure(model))


def main(argv):
    """Measures, prints and writes the table."""
    del argv
    if FLAGS.memory_of:
        import benchmark_memory

        benchmark_memory.report(training_step(*FLAGS.memory_of.split(":")))
        return
    rows = []
    for group in FLAGS.groups:
        for row in rows_of_group(group):
            rows.append(row)
            print({key: value for key, value in row.items() if value}, flush=True)
    print("\n".join(markdown(rows)))
    print(f"{platform.machine()}, {os.cpu_count()} cores, {versions()}")
    if FLAGS.output:
        from keras_xcons.files import whole_file

        with (
            whole_file(FLAGS.output) as unfinished,
            unfinished.open("w", newline="") as file,
        ):
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)


def markdown(rows):
    """The table as the README shows it."""
    yield "| | | median | ratio (10th – 90th percentile) | to | limit |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        ratio = f"{row['ratio']:.2f}" if "ratio" in row else ""
        if "ratio_low" in row:
            ratio += f" ({row['ratio_low']:.2f} – {row['ratio_high']:.2f})"
        if row["variant"] == row.get("to"):
            ratio = "1"
        yield (
            f"| {row['group']}, {row['model']} | {row['variant']} "
            f"| {row['median']:g} {row['unit']} | {ratio} | {row.get('to', '')} "
            f"| {row['limit']} |"
        )


COLUMNS = (
    *("group", "model", "variant", "median", "unit", "n"),
    *("ratio", "ratio_low", "ratio_high", "to", "limit"),
)


def versions():
    """What was measured, beside the machine."""
    import keras
    import tensorflow as tf

    return f"TensorFlow {tf.__version__}, Keras {keras.__version__}"


if __name__ == "__main__":
    app.run(main)
