"""The command in a process of its own."""

import os
import pathlib
import subprocess
import sys

import numpy as np
from PIL import Image

CHECKOUT = pathlib.Path(__file__).parents[2]
ENTRY = (
    "import sys; sys.argv = ['keras-xcons', *sys.argv[1:]]; "
    "from keras_xcons.cli import run; run()"
)


def process(*arguments, code=ENTRY, **options):
    """The command in a process of its own, as `pip` installs it."""
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)  # the command chooses it
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def pictures(places, count, names=("disc", "ring", "star")):
    """A folder `places/data` of so many pictures a split, of three classes."""
    random = np.random.default_rng(0)
    for split in ("train", "test"):
        for number in range(count):
            folder = places / "data" / split / names[number % len(names)]
            folder.mkdir(parents=True, exist_ok=True)
            pixels = random.integers(0, 256, (16, 16, 3)).astype("uint8")
            Image.fromarray(pixels).save(folder / f"{number}.png")
    return places / "data"
