"""Measures what the whole suite costs: peak memory and time, by number of images.

    python tools/evaluation_cost.py --model path/to/model.keras \
        --dataset path/to/cub200_first50/1.0.0 --split test --counts 500,1389

Flags of the command that follow `--` are passed on, as in `-- --pgd_steps=2`.
Each count is a `keras-xcons evaluate` in a process of its own, over the first images of
the split. Memory must not grow with the number of images.
"""

import csv
import os
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_string("model", "shapes_cnn", "Model, as for keras-xcons evaluate.")
flags.DEFINE_string("dataset", "shapes", "Data set, as for keras-xcons evaluate.")
flags.DEFINE_string("split", "original", "Split of the data set.")
flags.DEFINE_list("counts", ["500", "1000"], "Numbers of images, smallest first.")
flags.DEFINE_list("metrics", ["all"], "Metrics, as for keras-xcons evaluate.")
flags.DEFINE_integer("batch_size", 16, "Images computed at a time.")
flags.DEFINE_string("output", None, "CSV file to write.")

COLUMNS = ("images", "seconds", "images_per_second", "peak_mb", "ratio_to_first")


def cost(count, more):
    """Seconds and peak resident size in MB of an evaluation of so many images."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", _RUN, "evaluate", FLAGS.model]
        command += [f"--dataset={FLAGS.dataset}", f"--split={FLAGS.split}[:{count}]"]
        command += [f"--metrics={','.join(FLAGS.metrics)}", f"--output={folder}"]
        command += [f"--batch_size={FLAGS.batch_size}", *more]
        start = time.perf_counter()
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        seconds = time.perf_counter() - start
    return seconds, int(done.stdout.splitlines()[-1]) / 1024


# The command line in this process, and then the highest it has been.
_RUN = """
import sys
from keras_xcons import cli
code = cli.main(sys.argv[1:])
with open("/proc/self/status") as file:
    print(next(line.split()[1] for line in file if line.startswith("VmHWM")))
sys.exit(code)
"""


def main(argv):
    """Measures, prints and writes the table."""
    rows = []
    for count in map(int, FLAGS.counts):
        seconds, peak = cost(count, argv[1:])
        first = rows[0]["peak_mb"] if rows else round(peak)
        row = (count, round(seconds), round(count / seconds, 2), round(peak))
        rows.append(dict(zip(COLUMNS, (*row, round(peak / first, 3)), strict=True)))
        print(rows[-1], flush=True)
    if FLAGS.output:
        from keras_xcons.files import whole_file

        with (
            whole_file(FLAGS.output) as unfinished,
            unfinished.open("w", newline="") as file,
        ):
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    app.run(main)
