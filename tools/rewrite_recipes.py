"""Rewrites the recipes of the zoo in the present format; weights stay untouched.

    python tools/rewrite_recipes.py

Each recipe is read, in whatever format it is, checked, and written with its options
complete. What it says stays the same.
"""

import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

_ZOO = flags.DEFINE_string(
    "zoo", str(pathlib.Path(__file__).parents[1] / "zoo"), "Folder of the zoo."
)


def main(argv):
    """Rewrites every recipe whose file would change, and tells which."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown argument {argv[1]!r}")
    from keras_xcons.files import read_json, write_json
    from keras_xcons.recipes import read_recipe

    for path in sorted(pathlib.Path(_ZOO.value).glob("*/recipe.json")):
        written = read_recipe(path).to_dict()
        if read_json(path.read_bytes(), str(path)) != written:
            write_json(path, written)
            print(f"Rewritten: {path}")


if __name__ == "__main__":
    app.run(main)
