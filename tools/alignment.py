"""How far heatmaps are shifted against images, and what it brings to move them.

    python tools/alignment.py --data_dir=DIR_OF_TFDS_SETS
    python tools/alignment.py --models=shapes_cnn --images=200
    python tools/alignment.py --architectures

For each published model: the offset that strides and paddings make (geometric), the
offset of its card, measured by flips on 200 training images (without annotations), and
on the test split, from one pass of the model, the paired gain in localisation of maps
moved by the one or the other over maps that are not moved, with intervals. Prints a
Markdown table and writes all figures as CSV. With --architectures: the geometric
offset alone, of networks of `keras.applications` and this package, untrained.
"""

import functools
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

_HERE = pathlib.Path(__file__).parent

_MODELS = flags.DEFINE_list("models", None, "Published models. Default: all.")
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Folder of data sets, where a set may lie under its name."
)
_IMAGES = flags.DEFINE_integer("images", None, "Test images to take. Default: all.")
_ARCHITECTURES = flags.DEFINE_bool("architectures", False, "Untrained networks only.")
_OUTPUT = flags.DEFINE_string(
    "output", str(_HERE / "results" / "alignment.csv"), "CSV file to write."
)

SHOWN = {
    "energy_pointing_game": "energy",
    "pointing_game": "pointing",
    "max_box_acc": "MaxBoxAcc",
    "max_box_acc_v2": "MaxBoxAccV2",
}


def measure(name, data_dir, count):
    """What is known of one model.

    Args:
        name: Name of a published model.
        data_dir: Folder of data sets, or `None`.
        count: Number of test images, or `None` for all.

    Returns:
        Dict of `size`, `geometric` and `measured` offset, and `lines`, what
        `readings.measured` returns.
    """
    import readings as maps

    import keras_xcons as kx

    model, recipe, test = maps.published(name, data_dir, count)
    size = model.input_shape[1:3]
    geometric = kx.split(model).frame.aligned("geometric").offset(size)
    measured = kx.info(name)["offset"]
    ways = {"not moved": None, "geometric": "geometric"}
    if measured is not None:
        ways["measured"] = measured["rows"], measured["columns"]
    readings = {
        way: functools.partial(maps.placed, align=align) for way, align in ways.items()
    }
    lines = maps.measured(
        model, test, readings, align=False, explainer=recipe.evaluation["explainer"]
    )
    return {
        "size": size[0],
        "geometric": geometric,
        "measured": measured,
        "lines": lines,
    }


def table(found):
    """Lines of Markdown: a model's offsets, and the gain of either.

    Args:
        found: Dict from the name of a model to what `measure` returns.

    Yields:
        Strings.
    """
    heads = ["model", "px", "moved by", "rows, columns (px)", *SHOWN.values(), "n"]
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    for name, each in found.items():
        lines = {(line["metric"].name, line["reading"]): line for line in each["lines"]}
        for way in ("not moved", "geometric", "measured"):
            if ("pointing_game", way) not in lines:
                continue
            cells = [f"`{name}`", str(each["size"]), way, _offset(each, way)]
            still = way == "geometric" and not any(each["geometric"])
            for metric in SHOWN:
                line = lines[metric, way]
                told = _told(line["figure"], line["difference"])
                cells.append("the same maps" if still else told)
            count = lines["pointing_game", way]["figure"]["n"]
            yield f"| {' | '.join([*cells, f'{count:,}'])} |"


def _offset(each, way):
    if way == "not moved":
        return "0, 0"
    if way == "geometric":
        return "{:+.1f}, {:+.1f}".format(*each["geometric"])
    found = each["measured"]
    ends = [
        end
        for axis in ("rows", "columns")
        for end in (found[axis], *found[f"{axis}_interval"])
    ]
    return "{:+.1f} [{:.1f}, {:.1f}], {:+.1f} [{:.1f}, {:.1f}]".format(*ends)


def _told(figure, difference):
    """Percent of maps that are not moved; of others the gain in points."""
    if difference is None:
        return f"{100 * figure['value']:.1f}"
    ends = (100 * difference[end] for end in ("value", "low", "high"))
    return "{:+.1f} [{:+.1f}, {:+.1f}]".format(*ends)


NETWORKS = (
    *("MobileNetV2", "MobileNetV3Small", "EfficientNetB0", "ResNet50", "ResNet50V2"),
    *("DenseNet121", "Xception", "InceptionV3", "VGG16", "ConvNeXtTiny"),
)


def architectures(side=224):
    """Lines of Markdown: the geometric offset of untrained networks."""
    import keras

    import keras_xcons as kx

    yield f"| network at {side} px | rows, columns (px) |"
    yield "|---|---|"
    models = {
        f"`keras.applications.{name}`": getattr(keras.applications, name)(
            weights=None, input_shape=(side, side, 3)
        )
        for name in NETWORKS
    }
    for name in ("resnet18", "resnet34"):
        for variant in ("torchvision", "keras"):
            models[f"`{name}`, variant `{variant}`"] = kx.models.create(
                name, 10, side, variant=variant
            )
    for name, model in models.items():
        frame = kx.split(model).frame.aligned("geometric")
        yield "| {} | {:+.1f}, {:+.1f} |".format(name, *frame.offset((side, side)))


def main(argv):
    """Measures and prints."""
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    if _ARCHITECTURES.value:
        print("\n".join(architectures()))
        return
    import readings as maps

    import keras_xcons as kx

    found = {}
    for name in _MODELS.value or kx.list_models():
        print(f"Measuring {name}", flush=True)
        found[name] = measure(name, _DATA_DIR.value, _IMAGES.value)
        lines = {one: each["lines"] for one, each in found.items()}
        maps.write(lines, _OUTPUT.value)
    print("\n".join(table(found)))


if __name__ == "__main__":
    app.run(main)
