r"""Compares insertion, deletion, average drop and increase with Xplique's.

    python tools/compare_xplique.py --environment=/tmp/xplique
    python tools/compare_xplique.py --xplique_python=/tmp/xplique/bin/python \
        --record=tests/metrics/xplique_reference.json

Xplique pins other versions than this package allows, so it runs in an environment
of its own, which the first form makes. Both sides see the same network, images, maps
and baselines (`xplique_case.py`), and every value must agree to 1e-3. `--record`
keeps Xplique's values for the tests.

Where the two differ by design, the case leaves it out:

- Equal values of a map rank in NumPy's order, reversed, there, which differs from
  one NumPy to the next; row by row here. The maps of the case have none.
- Insertion starts at any array there, zeros by default, and at a blurred image here.
  Xplique is given ours.
- Deletion ends at 0 there by default, at the middle of the range here. Both are given
  one value.
- Average drop and increase stretch a map to 0..1 there, and take it as it is here.
  The maps of the case reach from 0 to 1, as normalised heatmaps do.
- An image whose class has no probability at all has a drop of 0 there, and none,
  NaN, here; and 1e-8 is added there to what is divided by. The case has no such image,
  nor one whose probability is near 1e-8.
- A curve is the mean over images there, and one an image here, so Xplique is asked
  for one image at a time.
"""

import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_string("xplique_python", None, "Python that can import Xplique.")
flags.DEFINE_string("environment", None, "Folder of an environment to make and use.")
flags.DEFINE_string("record", None, "JSON file to write Xplique's values to.")
flags.DEFINE_string("case_file", None, "Internal: print Xplique's values of a case.")

CHECKOUT = pathlib.Path(__file__).resolve().parents[1]
XPLIQUE = "xplique==2.0.2"
# What Xplique asks for, less the GPU libraries and the linter that it demands.
REQUIREMENTS = (
    "tensorflow==2.20.0",
    "keras>=3.15",
    "tensorflow-probability[tf]>=0.20.1,<=0.25.0",
    "deprecated>=1.1.0",
    "einops",
    "matplotlib>=3.5",
    "numpy>=2.0.0",
    "opencv-python-headless",
    "scikit-image<=0.25.2",
    "scikit-learn<=1.7.2",
    "scipy<=1.15.3",
)
TOLERANCE = 1e-3


def made_environment(folder):
    """Returns the Python of an environment with Xplique, made if it is not there."""
    folder = pathlib.Path(folder).expanduser().resolve()
    if folder.is_relative_to(CHECKOUT):
        raise ValueError(
            "An environment does not belong inside the checkout. Received: "
            f"environment={str(folder)!r}"
        )
    python = folder / "bin" / "python"
    # Xplique comes last: without it the installation has broken off, and goes on.
    if not (python.exists() and can_import_xplique(python)):
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        install = [python, "-m", "pip", "install", "--quiet"]
        subprocess.run([*install, *REQUIREMENTS], check=True)
        subprocess.run([*install, "--no-deps", XPLIQUE], check=True)
    return python


def can_import_xplique(python):
    """Whether an environment is whole."""
    command = [python, "-c", "import xplique"]
    return subprocess.run(command, capture_output=True).returncode == 0


def xplique_values(case_file):
    """What Xplique makes of a case, in its own environment; see `our_values`."""
    import numpy as np
    import xplique_case
    from xplique import metrics

    case = np.load(case_file)
    weights = [case[f"weight_{number}"] for number in range(6)]
    model = xplique_case.network(weights)
    images = case["images"].astype("float32")
    targets = np.eye(10, dtype="float32")[list(xplique_case.TARGETS)]
    values = {}
    for number in range(len(images)):
        one = slice(number, number + 1)
        given = {"model": model, "inputs": images[one], "targets": targets[one]}
        start = case["start"][one]
        steps = xplique_case.STEPS
        causal = {
            "insertion": metrics.Insertion(
                **given,
                baseline_mode=lambda _, start=start: start,
                steps=steps,
            ),
            "deletion": metrics.Deletion(
                **given, baseline_mode=xplique_case.VALUE, steps=steps
            ),
        }
        masking = {
            "average_drop": metrics.AverageDropMetric(**given),
            "average_increase": metrics.AverageIncreaseMetric(**given),
        }
        heatmap = case["heatmaps"][one]
        for name, metric in causal.items():
            curve = metric.detailed_evaluate(heatmap)
            values.setdefault(f"{name}_curve", []).append(
                [float(score) for score in curve.values()]
            )
        for name, metric in {**causal, **masking}.items():
            values.setdefault(name, []).append(float(metric(heatmap)))
    return values


def print_xplique_values(case_file):
    """Prints Xplique's values and versions, in its own environment."""
    packages = ("xplique", "tensorflow", "keras", "numpy")
    versions = {name: importlib.metadata.version(name) for name in packages}
    print(json.dumps({"versions": versions, "values": xplique_values(case_file)}))


def asked_of_xplique(python, weights):
    """Runs the other half in its environment and returns what it prints."""
    import numpy as np
    import xplique_case

    from keras_xcons import metrics

    images = xplique_case.draw_images()
    arrays = {f"weight_{number}": weight for number, weight in enumerate(weights)}
    with tempfile.TemporaryDirectory() as folder:
        case_file = pathlib.Path(folder) / "case.npz"
        np.savez(
            case_file,
            images=images,
            heatmaps=xplique_case.heatmaps(),
            start=metrics.blurred_images(images, xplique_case.BLUR),
            **arrays,
        )
        command = [python, __file__, f"--case_file={case_file}"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def table(ours, theirs):
    """Yields the lines of the comparison, means over the images."""
    import numpy as np

    yield "| | keras-xcons | Xplique | largest difference |"
    yield "|---|---|---|---|"
    for name, values in ours.items():
        other = np.array(theirs[name])
        difference = np.abs(values - other).max()
        mean, other_mean = values.mean(), other.mean()
        yield f"| {name} | {mean:.6f} | {other_mean:.6f} | {difference:.1e} |"


def differing(ours, theirs):
    """Names of what differs by more than the tolerance, or in shape, or is NaN."""
    import numpy as np

    return [
        name
        for name, values in ours.items()
        if np.shape(theirs[name]) != values.shape
        or not np.all(np.abs(values - np.array(theirs[name])) <= TOLERANCE)
    ]


def main(argv):
    """Compares, prints the table, and fails where values differ."""
    del argv
    if FLAGS.case_file:
        print_xplique_values(FLAGS.case_file)
        return
    if (FLAGS.xplique_python is None) == (FLAGS.environment is None):
        raise app.UsageError("Give either --xplique_python or --environment.")
    python = FLAGS.xplique_python or made_environment(FLAGS.environment)
    import xplique_case

    weights = xplique_case.random_weights()
    found = asked_of_xplique(python, weights)
    ours = xplique_case.our_values(weights)
    print("\n".join(table(ours, found["values"])))
    print(", ".join(f"{name} {number}" for name, number in found["versions"].items()))
    wrong = differing(ours, found["values"])
    if wrong:
        sys.exit(f"These differ by more than {TOLERANCE:g}: {', '.join(wrong)}")
    if FLAGS.record:
        from keras_xcons.files import whole_file

        text = json.dumps({**found, "weights": weights})
        with whole_file(FLAGS.record) as unfinished:
            unfinished.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    app.run(main)
