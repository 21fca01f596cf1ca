"""What `tools/evidence.py` trains and measures: data sets and arms, by name."""

import pathlib

RESULTS = pathlib.Path(__file__).parent / "results" / "evidence"
# Written down before the finalists ran.
RULE = (
    "Among the arms that on no set are below plain in top-1 or pointing by more than "
    "their interval, the one that is best in the sum of its gains in energy and in "
    "accuracy under background attacks, each over its spread between arms."
)
_ALONE = {"attacked_loss": 0.0, "consistency_loss": 0.0}
# Both terms in equal parts, and with little of the attacked images.
_BOTH = {"attacked_loss": 1.0, "consistency_loss": 1.0}
_LIGHT = {"attacked_loss": 0.3, "consistency_loss": 1.0}
# The default.
_MILD = {"attacked_loss": 0.3, "consistency_loss": 0.3}
_ATTACKED = {"clean_loss": False, "attacked_loss": 1.0}
_WEIGHTED = {"sample_weights": "consistency"}
# What pages call it, the method, its options, and what differs in the training.
ARMS = {
    "probe": ("linear probe", "probe", {}, {}),
    "plain": ("plain", "plain", {}, {}),
    # As many epochs as the time of "mild" is of plain's.
    "plain_long": ("plain, for as long", "plain", {}, {"epochs": 2.25}),
    "paper": ("the bare paper", "xcons", {"preset": "paper"}, {}),
    "weights": ("sound weights alone", "xcons", {**_ALONE, **_WEIGHTED}, {}),
    "shuffled": (
        "the same, shuffled",
        "xcons",
        {**_ALONE, "sample_weights": "shuffled"},
        {},
    ),
    "loss": ("weights by the loss", "xcons", {**_ALONE, "sample_weights": "loss"}, {}),
    "adversarial": ("attacked images alone", "xcons", {**_ALONE, **_ATTACKED}, {}),
    "whole_image": (
        "default, whole image attacked",
        "xcons",
        {**_MILD, "region": "whole_image"},
        {},
    ),
    "attacked": ("α 0.3 alone", "xcons", {**_ALONE, "attacked_loss": 0.3}, {}),
    "consistency": ("λ 1 alone", "xcons", {**_ALONE, "consistency_loss": 1.0}, {}),
    "both": ("α 1, λ 1", "xcons", _BOTH, {}),
    "light": ("α 0.3, λ 1", "xcons", _LIGHT, {}),
    "light_weights": ("α 0.3, λ 1, weighted", "xcons", {**_WEIGHTED, **_LIGHT}, {}),
    "mild": ("default (α 0.3, λ 0.3)", "xcons", _MILD, {}),
    "mild_weights": ("default, weighted", "xcons", {**_WEIGHTED, **_MILD}, {}),
    "mild_every_2": ("default, every=2", "xcons", {**_MILD, "every": 2}, {}),
    "mild_unaligned": (
        "default, maps as they are",
        "xcons",
        {**_MILD, "align": False},
        {},
    ),
    "swap": ("default, backgrounds swapped", "xcons", {**_MILD, "attack": "swap"}, {}),
    # The sibling methods, by their defaults.
    "cgc": ("CGC", "cgc", {}, {}),
    "scaat": ("SCAAT", "scaat", {}, {}),
    "comet": ("COMET", "comet", {}, {}),
    # A mask is learned slowly.
    "comet_long": ("COMET, four times as long", "comet", {}, {"epochs": 4}),
}
_FINE_TUNED = {
    **{"model": "mobilenet_v2", "pretrained": True, "learning_rate": 1e-4},
    **{"image_size": 160, "epochs": 8},
}
SETS = {
    "cub": {**_FINE_TUNED, "dataset": "cub200_first50"},
    "cub_224": {**_FINE_TUNED, "dataset": "cub200_first50", "image_size": 224},
    "cub_resnet18": {
        **_FINE_TUNED,
        **{"dataset": "cub200_first50", "model": "resnet18", "learning_rate": 1e-3},
        **{"pretrained": "resnet18_tiny_imagenet", "freeze_batch_norm": False},
    },
    "cub_protopnet": {
        **_FINE_TUNED,
        **{"dataset": "cub200_first50", "model": "protopnet", "learning_rate": 3e-3},
        **{"pretrained": "mobilenet_v2_cub_plain", "epochs": 10},
    },
    "pets": {**_FINE_TUNED, "dataset": "pets_three"},
    "pets_on_backgrounds": {**_FINE_TUNED, "dataset": "pets_on_backgrounds"},
    "shapes": {"dataset": "shapes"},
    "shapes_95": {"dataset": "shapes", "correlation": 0.95},
    "shapes_70": {"dataset": "shapes", "correlation": 0.7},
}
# What `recipes.Experiment` is told beside the options.
PARTS = {
    "cub_protopnet": {
        "architecture": {"backbone": "mobilenet_v2"},
        "stages": {"warm_epochs": 2, "push_start": 8, "last_epochs": 2},
    }
}
# What pages call figures; BG-gap is of two of them.
FIGURES = {
    "accuracy": "top-1",
    "pointing_game": "pointing game",
    "energy_pointing_game": "energy inside",
    "max_box_acc": "MaxBoxAcc, IoU 0.5",
    "max_box_acc_v2": "MaxBoxAccV2",
    "pxap": "PxAP",
    "iou_auc": "IoU AUC",
    "explanation_consistency": "E",
    "fgsm_background_accuracy": "right under background FGSM",
    "pgd_background_accuracy": "right under background PGD",
    "insertion": "insertion",
    "deletion": "deletion (less is better)",
    "bg_gap": "BG-gap (less is better)",
}
