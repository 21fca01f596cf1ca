import json
import pathlib

import pytest

from keras_xcons.zoo.readme import readme
from tests.zoo.published import ABOUT, NAME

CARD = {
    "name": "resnet50_cub",
    "architecture": "resnet50",
    "arguments": {"dropout": 0.2},
    "class_names": [f"bird {number}" for number in range(50)],
    "input_size": [224, 192],
    "bytes": 47_400_000,
    "parameters": 23_690_162,
    "created_with": {"keras": "3.15.1", "tensorflow": "2.21.0"},
    "paper": None,
    "sha256": "0" * 64,
    "feature_layer": "features",
    "method": "xcons",
    "data": "CUB-200-2011, its first 50 classes, 1,500 images",
    "pretraining": "Tiny ImageNet, 60,000 images",
    "weights_license": "Apache-2.0",
    "data_license": "research | not commercial",
    "recipe": "recipe.json",
}


def figure(value, low, high, n=1389, **more):
    return {"value": value, "low": low, "high": high, "n": n, **more}


METRICS = {
    "dataset": "cub200_first50",
    "split": "test",
    "figures": {
        "accuracy": figure(0.7625, 0.75, 0.775),
        "pointing_game": figure(0.875, 0.86, 0.89),
        "explanation_consistency": figure(0.5, 0.25, 0.75, n=100, skipped=12),
        "deletion": figure(0.125, None, None),
        "only_background": figure(None, None, None, n=0),
    },
    "options": {"epsilon": 4.0, "steps": 10},
    "seed": 0,
    "versions": {"keras": "3.15.1", "python": "3.11.7"},
    "notes": ["Heatmaps are of the label.", "One seed."],
    "baselines": {
        "max_box_acc": {"centre Gaussian": figure(0.575, 0.55, 0.6)},
        "max_box_acc_v2": {"centre": figure(0.575, 0.55, 0.6, in_sample=0.625)},
    },
    "left_out": [
        {"metrics": ["pxap", "iou_auc"], "reason": "there are no masks"},
        {"metrics": ["binary_accuracy"], "reason": "one class an image"},
    ],
}


def test_page_says_in_plain_words_what_the_model_is():
    page = readme(CARD, METRICS)
    assert page.startswith("# resnet50_cub\n\nAn image classifier for 50 classes:")
    assert (
        "`resnet50`, 23.7 million parameters,\ntrained by the method `xcons`." in page
    )
    assert (
        "It tells 76.2 % of 1\u2009389 images of the split `test` right; the heatmap's "
        "maximum lies on the object in 87.5 %." in page
    )
    assert "- **Trained on:** CUB-200-2011, its first 50 classes, 1,500 images" in page
    assert "- **Pretraining:** Tiny ImageNet, 60,000 images" in page
    assert "images of 224 × 192 px in 0..255" in page
    assert 'kx.load("resnet50_cub")' in page
    assert 'kx.info("resnet50_cub")["class_names"]' in page
    assert "heatmaps = kx.explain(model, images)\n" in page


@pytest.mark.parametrize(
    "row",
    [
        "| Accuracy (top-1) ↑ | 76.2 % | [75.0, 77.5] | 1\u2009389 |",
        "| Explanation consistency E ↑ | 0.500 | [0.250, 0.750] | 100 (12 left out) |",
        "| Deletion AUC ↓ | 12.5 % |  | 1\u2009389 |",
        "| Accuracy, only background ↓ | – |  | 0 |",
        "| baselines, centre Gaussian, MaxBoxAcc (IoU 0.5) ↑ | 57.5 % | [55.0, 60.0] "
        "| 1\u2009389 |",
        "| baselines, centre, MaxBoxAccV2 ↑ | 57.5 % (in-sample 62.5 %) | [55.0, 60.0] "
        "| 1\u2009389 |",
        "| not measured | pxap, iou_auc: there are no masks |\n"
        "| not measured | binary_accuracy: one class an image |",
        "| dataset | cub200_first50 |",
        "| options.epsilon | 4 |",
        "| seed | 0 |",
        "| versions | keras 3.15.1, python 3.11.7 |",
        "- Heatmaps are of the label.\n- One seed.",
        "| classes | bird 0, bird 1, bird 2, bird 3, bird 4, bird 5, bird 6, bird 7, "
        "bird 8, bird 9 and 40 more |",
        "| architecture arguments | dropout = 0.2 |",
        r"| licence of the data | research \| not commercial |",
        "| paper | none |",
        "| weights | 47.4 MB, float16 |",
    ],
)
def test_page_shows_figures_and_facts(row):
    assert f"\n{row}\n" in readme(CARD, METRICS)


def test_figures_are_shown_wherever_they_lie():
    nested = {"runs": {"plain": {"accuracy": figure(0.5, 0.4, 0.6, n=10)}}}
    page = readme(CARD, {**nested, "splits": ["a", "b"], "gap": figure(0.1, 0.0, 0.2)})
    assert "| runs, plain, Accuracy (top-1) ↑ | 50.0 % | [40.0, 60.0] | 10 |" in page
    assert "| gap | 0.100 | [0.000, 0.200] | 1\u2009389 |" in page
    assert "| splits | a, b |" in page
    assert "It tells" not in page


def test_metrics_without_a_figure_make_no_empty_table():
    page = readme(CARD, {"accuracy": 0.5})
    assert "| metric |" not in page and "| accuracy | 0.5 |" in page


def test_page_of_a_published_model_is_the_one_of_its_card(folder):
    card = json.loads((folder / "card.json").read_text("utf-8"))
    page = (folder / "README.md").read_text("utf-8")
    assert page == readme(card, ABOUT["metrics"])
    assert f'kx.load("{NAME}")' in page


def test_pages_of_the_zoo_are_up_to_date():
    zoo = pathlib.Path(__file__).parents[2] / "zoo"
    stale = []
    for path in zoo.glob("*/card.json"):
        card = json.loads(path.read_text("utf-8"))
        metrics = json.loads((path.parent / "metrics.json").read_text("utf-8"))
        if (path.parent / "README.md").read_text("utf-8") != readme(card, metrics):
            stale.append(path.parent.name)
    assert stale == []
