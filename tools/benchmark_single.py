"""The groups of `benchmark.py` that have nothing to be compared with.

    python tools/benchmark.py --groups=load --models=resnet50_cub,mobilenet_v2_cub

`load` is warm: TensorFlow is imported and the file is in the cache of the disk, as it
is once a first load has been made; that one is not timed. `import` is timed in fresh
processes. `data` generates the shapes set.
"""

import statistics
import subprocess
import sys
import time


def shapes_rate(rounds):
    """Images a second of the generated shapes set, as a row of the benchmark.

    Args:
        rounds: Number of times that the set is generated.

    Returns:
        Dict of plain values.
    """
    from keras_xcons.data import shapes

    rates = []
    for seed in range(rounds):
        start = time.perf_counter()
        images, _, _ = shapes("train", num_samples=2000, image_size=64, seed=seed)
        rates.append(len(images) / (time.perf_counter() - start))
    return {
        "group": "data",
        "model": "shapes 64×64",
        "variant": "generate",
        "median": round(statistics.median(rates)),
        "unit": "images/s",
        "n": len(rates),
        "limit": ">= 2000",
    }


def import_seconds(rounds):
    """What `import keras_xcons` costs on top of Keras and TensorFlow, as a row.

    Args:
        rounds: Number of fresh processes.

    Returns:
        Dict of plain values.
    """
    code = (
        "import time, tensorflow, keras; start = time.perf_counter(); "
        "import keras_xcons; print(time.perf_counter() - start)"
    )
    seconds = []
    for _ in range(rounds):
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds.append(float(done.stdout.splitlines()[-1]))
    return {
        "group": "import",
        "model": "keras_xcons",
        "variant": "over keras",
        "median": round(statistics.median(seconds), 2),
        "unit": "s",
        "n": len(seconds),
        "limit": "<= 0.5",
    }


def load_seconds(name, rounds):
    """The time of `keras_xcons.load`, as a row of the benchmark.

    Args:
        name: Name of a published model.
        rounds: Number of timed loads.

    Returns:
        Dict of plain values.
    """
    import keras_xcons as kx

    kx.load(name)
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        kx.load(name)
        seconds.append(time.perf_counter() - start)
    return {
        "group": "load",
        "model": name,
        "variant": "warm",
        "median": round(statistics.median(seconds), 2),
        "unit": "s",
        "n": rounds,
        "limit": "<= 3",
    }
