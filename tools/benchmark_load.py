"""How long the published models take to load: a group of `benchmark.py`.

    python tools/benchmark.py --groups=load --models=resnet50_cub,mobilenet_v2_cub

Warm: TensorFlow is imported and the file is in the cache of the disk, as it is once a
first load has been made; that one is not timed.
"""

import statistics
import time


def load_row(name, rounds):
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
