"""Rewrites recipes and cards of the zoo in the present formats, weights untouched.

    python tools/rewrite_zoo.py

Each recipe is read, in whatever format it is, checked, and written with its options
complete; what it says stays the same. Each card whose heatmap of the check image is
not recorded gets it, of the very weights and by the explainer of its recipe, once the
logits agree with those that it has. After it `python tools/zoo_results.py` renews the
pages.
"""

import json
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

_ZOO = flags.DEFINE_string(
    "zoo", str(pathlib.Path(__file__).parents[1] / "zoo"), "Folder of the zoo."
)


def main(argv):
    """Rewrites every file that would change, and tells which, and which could not."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown argument {argv[1]!r}")
    made = {"recipe.json": recipe, "card.json": card}
    found = [
        path for name in made for path in pathlib.Path(_ZOO.value).glob(f"*/{name}")
    ]
    if not found:
        raise SystemExit(
            "A zoo holds one folder a model, with a card.json or recipe.json. "
            f"Received: zoo={_ZOO.value!r}, which has none"
        )
    failed = False
    # A card after its recipe, of which it has the explainer.
    for path in sorted(
        found, key=lambda path: (path.parent, path.name != "recipe.json")
    ):
        try:
            _write_changed(path, made[path.name](path))
        except (OSError, ValueError) as error:
            # One model that cannot be rewritten keeps no other from it.
            failed = True
            print(f"Not rewritten: {path}: {error}", file=sys.stderr, flush=True)
    sys.exit(1 if failed else 0)


def recipe(path):
    """What a recipe says, in the present format."""
    from keras_xcons.recipes import read_recipe

    return read_recipe(path).to_dict()


def card(path):
    """What a card says, in the present format, with the heatmap of the check image."""
    from keras_xcons import zoo
    from keras_xcons.recipes import read_recipe
    from keras_xcons.zoo import card as cards
    from keras_xcons.zoo import store
    from keras_xcons.zoo.checking import answers

    told = cards.parse(path.read_bytes(), str(path))
    if told["check"]["heatmap"] is not None:
        return told
    # Refused where the weights do not answer as the card says.
    zoo.verify(path.parent)
    told["explainer"] = read_recipe(path.parent / told["recipe"]).evaluation[
        "explainer"
    ]
    received = answers(told, store.weights_file(store.find(path.parent)))
    told["check"]["heatmap"] = received["heatmap"]
    cards.check(told, str(path))
    return cards.in_order(told)


def _write_changed(path, content):
    from keras_xcons.files import read_json, write_json

    # As it will be read: a tuple is written as a list.
    content = json.loads(json.dumps(content))
    if read_json(path.read_bytes(), str(path)) != content:
        write_json(path, content)
        print(f"Rewritten: {path}", flush=True)


if __name__ == "__main__":
    app.run(main)
