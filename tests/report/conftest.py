"""Reports of made-up figures on images of the shapes set."""

import copy

import numpy as np
import pytest

from keras_xcons.data.shapes import CLASS_NAMES, shapes
from keras_xcons.report import Report, Sample, SampleView

# name, label, group, better, value, half of the interval
TABLE = """
accuracy | Accuracy (top-1) | accuracy | higher | 0.874 | 0.03
top_5_accuracy | Accuracy (top-5) | accuracy | higher | 0.98 | 0.012
pointing_game | Pointing game | localisation | higher | 0.71 | 0.04
content_heatmap | Content Heatmap | localisation | higher | 0.46 | 0.02
max_box_acc | MaxBoxAcc (IoU 0.5) | localisation | higher | 0.58 | 0.05
max_box_acc_v2 | MaxBoxAccV2 | localisation | higher | 0.55 | 0.03
insertion | Insertion AUC | faithfulness | higher | 0.62 | 0.02
deletion | Deletion AUC | faithfulness | lower | 0.21 | 0.02
explanation_consistency | Explanation consistency E | consistency | higher | 0.78 | 0.02
pgd_accuracy | Accuracy under PGD | robustness | higher | 0.31 | 0.04
max_sensitivity | Max-sensitivity | robustness | lower | 0.34 | 0.03
mixed_rand | Accuracy, mixed-rand | backgrounds | higher | 0.52 | 0.04
bg_gap | BG-gap | backgrounds | lower | 0.29 | 0.03
"""
METRICS = tuple(
    (*row[:4], float(row[4]), float(row[5]))
    for row in (line.split(" | ") for line in TABLE.strip().splitlines())
)
NO_PERCENT = {"explanation_consistency", "max_sensitivity"}
RANGES = {"max_sensitivity": [0.0, None], "bg_gap": [-1.0, 1.0]}
BASELINES = {"max_box_acc": 0.447, "max_box_acc_v2": 0.433}
DESCRIPTIONS = {
    "pointing_game": (
        "The heatmap's maximum lies on the object, or within the tolerance of it.",
        "Zhang et al. 2016, arXiv 1608.00507",
    ),
}


def figure(value, half, n=500, skipped=0):
    low, high = round(value - half, 4), round(value + half, 4)
    return {"value": value, "low": low, "high": high, "n": n, "skipped": skipped}


def metric_card(name, label, group, direction):
    description, source = DESCRIPTIONS.get(name, (f"What {label} says.", ""))
    return {
        "name": name,
        "label": label,
        "group": group,
        "direction": direction,
        "range": RANGES.get(name, [0.0, 1.0]),
        "percent": name not in NO_PERCENT,
        "description": description,
        "source": source,
    }


def figures_of(place):
    """Figures of a model, better the later it comes but for its accuracy."""
    found = {}
    for name, _, _, direction, value, half in METRICS:
        step = {"accuracy": 0.004, "top_5_accuracy": 0.0}.get(name, -0.06)
        sign = 1 if direction == "lower" else -1
        skipped = 7 if name == "content_heatmap" else 0
        value = round(value + sign * step * place, 4)
        found[name] = figure(value, half, 500 - skipped, skipped)
    return found


def differences_of(name, first, found, before):
    made = {}
    for metric, _, _, direction, _, half in METRICS:
        value = round(found[metric]["value"] - before[metric]["value"], 4)
        low, high = round(value - half, 4), round(value + half, 4)
        winner = name if (value > 0) == (direction == "higher") else first
        better = None if low <= 0 <= high else winner
        made[metric] = dict(value=value, low=low, high=high, n=500, better=better)
    return made


def curves_of(names):
    steps = np.linspace(0.0, 1.0, 21)
    bins = np.linspace(0.0, 1.0, 21)
    middles = (bins[1:] + bins[:-1]) / 2
    made = {
        "insertion": {"x": steps.tolist(), "y": {}},
        "deletion": {"x": steps.tolist(), "y": {}},
        "max_box_acc": {"x": steps.tolist(), "y": {}},
        "consistency": {"edges": bins.tolist(), "counts": {}},
    }
    for place, name in enumerate(names):
        rate = 2.2 + 1.4 * place
        rise = 0.1 + 0.78 * (1 - np.exp(-rate * steps))
        fall = 0.05 + 0.83 * np.exp(-2.0 * rate * steps)
        boxes = (0.62 + 0.07 * place) * np.exp(-(((steps - 0.35) / 0.25) ** 2))
        counts = np.exp(-(((middles - 0.6 - 0.12 * place) / 0.17) ** 2))
        made["insertion"]["y"][name] = rise.round(4).tolist()
        made["deletion"]["y"][name] = fall.round(4).tolist()
        made["max_box_acc"]["y"][name] = boxes.round(4).tolist()
        counts = np.rint(500 * counts / counts.sum()).astype(int)
        made["consistency"]["counts"][name] = counts.tolist()
    centre = 0.447 * np.exp(-(((steps - 0.4) / 0.3) ** 2))
    made["max_box_acc"]["y"]["centre Gaussian"] = centre.round(4).tolist()
    return made


def data_of(names):
    """What `Report.to_dict` returns for models of these names."""
    figures = {name: figures_of(place) for place, name in enumerate(names)}
    first = names[0]
    return {
        "title": "Shapes: plain training beside XCons",
        "models": [
            {
                "name": name,
                "parameters": 2_257_984 + 1000 * place,
                "feature_layer": "out_relu",
                "closed_form": place == 0,
            }
            for place, name in enumerate(names)
        ],
        "metrics": [metric_card(*row[:4]) for row in METRICS],
        "figures": figures,
        "baselines": {
            name: {"centre Gaussian": figure(value, 0.04)}
            for name, value in BASELINES.items()
        },
        "differences": {
            name: differences_of(name, first, figures[name], figures[first])
            for name in names[1:]
        },
        "left_out": [
            {
                "metrics": ["mean_average_precision"],
                "reason": "every image of this data set has one label",
            }
        ],
        "notes": ["2 of 10 classes have no image in this split."],
        "curves": curves_of(names),
        "provenance": {
            "dataset": "shapes",
            "split": "original",
            "images": 500,
            "classes": 10,
            "seed": 0,
            "interval": "95 %, bootstrap of 2,000 draws over images, paired",
            "heatmaps": "Grad-CAM++ of the label",
            "options": {"epsilon": 8.0, "tolerance": 15, "metrics": ["all"]},
            "commit": "60130a2c77aa",
            "versions": {"keras_xcons": "0.1.0", "keras": "3.15.1"},
        },
    }


def samples_of(names, count=12, attacked=True, truth="masks", image_size=64):
    """Images of the shapes set with heatmaps that look like heatmaps."""
    if count == 0:
        return []
    images, labels, masks = shapes("original", count, image_size=image_size)
    draws = np.random.default_rng(0)
    made = []
    for index in range(count):
        mask = masks[index, ..., 0] == 1
        rows, columns = np.nonzero(mask)
        box = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
        boxes = np.array([np.array(box) / image_size, [0, 0, 0, 0]])
        views = {}
        for place, name in enumerate(names):
            right = (index + place) % (3 + place) != 0
            predicted = CLASS_NAMES[
                labels[index] if right else (labels[index] + 3) % 10
            ]
            noise = draws.normal(0.0, 9.0, images[index].shape) * ~mask[..., None]
            adversary = np.clip(images[index] + noise, 0, 255).astype("uint8")
            centre = np.array([rows.mean(), columns.mean()]) / image_size
            drift = draws.normal(0.0, 0.16 / (1 + 2 * place), 2)
            views[name] = SampleView(
                predicted=predicted,
                correct=bool(right),
                confidence=round(0.5 + 0.03 * ((7 * index + 5 * place) % 16), 2),
                consistency=None if index == 5 else round(draws.uniform(0.3, 1.0), 3),
                heatmap=blob(centre + drift / 3),
                adversary=adversary if attacked else None,
                adversary_heatmap=blob(centre + drift) if attacked else None,
            )
        sample = Sample(
            index=3 * index,
            label=CLASS_NAMES[labels[index]],
            image=images[index],
            boxes=boxes if truth == "boxes" else None,
            mask=mask if truth == "masks" else None,
            views=views,
        )
        made.append(sample)
    return made


def blob(centre, size=14):
    """A heatmap `(size, size)` with one hot place."""
    places = (np.arange(size) + 0.5) / size
    down, across = places[:, None] - centre[0], places[None] - centre[1]
    return np.exp(-(down**2 + across**2) / 0.03).astype("float32")


@pytest.fixture(scope="session")
def make_report():
    """`make_report(names, change=None, **samples)` makes a report of these models."""

    def make(names=("plain", "XCons"), change=None, **samples):
        data = copy.deepcopy(data_of(list(names)))
        if change is not None:
            change(data)
        return Report(data, samples_of(list(names), **samples))

    return make


@pytest.fixture
def data():
    return data_of(["plain", "XCons"])
