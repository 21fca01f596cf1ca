"""What can be measured: a table, one entry a metric."""

import dataclasses
from collections.abc import Callable

from keras_xcons import metrics
from keras_xcons.evaluation.cross_fitting import BestThreshold
from keras_xcons.evaluation.statistics import mean

_PLACED = {"localisation", "faithfulness", "consistency"}
_ON_BACKGROUND = {"fgsm_background_accuracy", "pgd_background_accuracy"}


@dataclasses.dataclass(frozen=True)
class Metric:
    """One figure of a report.

    Attributes:
        name: Its name.
        label: Its name for people.
        group: What it tells about.
        direction: `"higher"` or `"lower"`, which is better.
        description: One sentence.
        source: Where the formula is from.
        rows: The rows it is made of, by name.
        statistic: Makes the figure of the rows, see
            `keras_xcons.evaluation.statistics.mean`.
        range: `(low, high)`, `None` where there is no limit.
        percent: Whether it is shown in percent.
        needs: What the data set must have: `"truth"` (boxes or masks), `"masks"`,
            `"one label"`, `"several labels"`, `"a label"`, `"more than 5 classes"`.
        inflated: Whether a heatmap that is bright everywhere makes it look good.
        attacked: Whether it is of images that follow a gradient, so that a model
            without one looks good.
        baseline: The rows of a centre Gaussian, which knows nothing of the image,
            to show the metric beside; `None` for no baseline.
    """

    name: str
    label: str
    group: str
    direction: str
    description: str
    source: str
    rows: str
    statistic: Callable = mean
    range: tuple[float | None, float | None] = (0.0, 1.0)
    percent: bool = True
    needs: tuple[str, ...] = ()
    baseline: str | None = None
    inflated: bool = False
    attacked: bool = False

    @property
    def placed(self):
        """Whether it depends on where in the image heatmaps are laid.

        So do the attacks on what a heatmap leaves for background.
        """
        return self.group in _PLACED or self.name in _ON_BACKGROUND

    def card(self):
        """What a report says of the metric, as plain values."""
        names = ("name", "label", "group", "direction", "description", "source")
        found = {name: getattr(self, name) for name in names}
        return {**found, "range": list(self.range), "percent": self.percent}


def _pixel_precision(histograms, counts):
    return metrics.pxap(mean(histograms, counts))


def _mean_precision(scores_and_labels, counts):
    scores, labels = scores_and_labels[:, 0], scores_and_labels[:, 1]
    return metrics.mean_average_precision(scores, labels, counts)


_ZHANG = "Zhang et al. 2016, arXiv 1608.00507"
_CHOE = "Choe et al. 2020, arXiv 2001.07437"
_PETSIUK = "Petsiuk et al. 2018, arXiv 1806.07421"
_CHATTOPADHAY = "Chattopadhay et al. 2018, arXiv 1710.11063"
_XCONS = "after Wu et al. 2024, arXiv 2408.04600; measure and attack are our choice"
_FGSM = "Goodfellow et al. 2014, arXiv 1412.6572"
_PGD = "Madry et al. 2017, arXiv 1706.06083"
_XIAO = "Xiao et al. 2020, arXiv 2006.09994"

# Text of a table, so that a line of it may be read as one.
TABLE = (
    Metric(
        *("accuracy", "Accuracy (top-1)", "classification", "higher"),
        "The predicted class is the label.",
        *("", "accuracy"),
        needs=("one label",),
    ),
    Metric(
        *("binary_accuracy", "Binary accuracy", "classification", "higher"),
        "Share of the classes of an image told right, whether they are there or not: "
        "high already for a model that names none.",
        *("", "binary_accuracy"),
        needs=("several labels",),
    ),
    Metric(
        *("top_5_accuracy", "Accuracy (top-5)", "classification", "higher"),
        "The label is among the five classes with the largest logits.",
        *("", "top_5_accuracy"),
        needs=("one label", "more than 5 classes"),
    ),
    Metric(
        *("mean_average_precision", "Mean average precision"),
        *("classification", "higher"),
        "Area under the precision-recall curve of a class, averaged over the classes "
        "that some image has; a resample has its own.",
        *("", "scores_and_labels"),
        statistic=_mean_precision,
        needs=("several labels", "a label"),
    ),
    Metric(
        *("pointing_game", "Pointing game", "localisation", "higher"),
        "The heatmap's maximum lies on the object, or within the tolerance of it.",
        *(_ZHANG, "pointing_game"),
        needs=("truth",),
    ),
    Metric(
        *("energy_pointing_game", "Energy-based pointing game", "localisation"),
        *("higher", "Share of the heatmap on the object; an empty heatmap has 0."),
        *("Wang et al. 2019, arXiv 1910.01279", "energy_pointing_game"),
        needs=("truth",),
    ),
    Metric(
        *("content_heatmap", "Content Heatmap", "localisation", "higher"),
        "Share of the heatmap on the object; images with an empty one are left out.",
        *("Pillai et al. 2022, arXiv 2110.00527", "content_heatmap"),
        needs=("truth",),
    ),
    Metric(
        *("max_box_acc", "MaxBoxAcc (IoU 0.5)", "localisation", "higher"),
        "The box around the heatmap's largest component overlaps the object's, at "
        "the best threshold for the data set, chosen on other images (cross-fitted).",
        *(_CHOE, "box_hits"),
        statistic=BestThreshold((metrics.LEVELS.index(0.5),)),
        needs=("truth",),
        baseline="centre_hits",
    ),
    Metric(
        *("max_box_acc_v2", "MaxBoxAccV2", "localisation", "higher"),
        "As MaxBoxAcc, of all components the one that fits best: mean over IoU 0.3, "
        "0.5 and 0.7, each at its best threshold, cross-fitted.",
        *(_CHOE, "component_hits"),
        statistic=BestThreshold(tuple(range(len(metrics.LEVELS)))),
        needs=("truth",),
        baseline="centre_hits",
    ),
    Metric(
        *("pxap", "PxAP", "localisation", "higher"),
        "Area under the precision-recall curve of the pixels of all images.",
        *(_CHOE, "pixel_histograms"),
        statistic=_pixel_precision,
        needs=("masks",),
    ),
    Metric(
        *("iou_auc", "IoU AUC", "localisation", "higher"),
        "Overlap of the thresholded heatmap with the mask, averaged over thresholds.",
        *("Zhang et al. 2024, arXiv 2407.19308; the definition is ours", "iou_auc"),
        needs=("masks",),
    ),
    Metric(
        *("insertion", "Insertion AUC", "faithfulness", "higher"),
        "Probability of the class while a blurred image gets its pixels back, the "
        "hottest first.",
        *(_PETSIUK, "insertion"),
    ),
    Metric(
        *("deletion", "Deletion AUC", "faithfulness", "lower"),
        "Probability of the class while the image loses its pixels, the hottest first.",
        *(_PETSIUK, "deletion"),
    ),
    Metric(
        *("average_drop", "Average drop", "faithfulness", "lower"),
        "Share of the class's probability that is lost when only what the heatmap "
        "shows is left of the image.",
        *(_CHATTOPADHAY, "average_drop"),
        inflated=True,
    ),
    Metric(
        *("average_increase", "Increase in confidence", "faithfulness", "higher"),
        "How often the class's probability is larger on what the heatmap shows alone.",
        *(_CHATTOPADHAY, "average_increase"),
        inflated=True,
    ),
    Metric(
        *("explanation_consistency", "Explanation consistency E", "consistency"),
        "higher",
        "How well the heatmap survives an FGSM attack on the background; images with "
        "an empty one are left out.",
        *(_XCONS, "explanation_consistency"),
        percent=False,
        inflated=True,
        attacked=True,
    ),
    Metric(
        *("fgsm_accuracy", "Accuracy under FGSM", "robustness", "higher"),
        "Accuracy on images attacked in one step.",
        *(_FGSM, "fgsm_accuracy"),
        attacked=True,
    ),
    Metric(
        *("fgsm_background_accuracy", "Accuracy under FGSM, background"),
        *("robustness", "higher"),
        "Accuracy on images whose background is attacked in one step.",
        *(_FGSM, "fgsm_background_accuracy"),
        inflated=True,
        attacked=True,
    ),
    Metric(
        *("pgd_accuracy", "Accuracy under PGD", "robustness", "higher"),
        "Accuracy on images attacked in many steps, from a random start.",
        *(_PGD, "pgd_accuracy"),
        attacked=True,
    ),
    Metric(
        *("pgd_background_accuracy", "Accuracy under PGD, background"),
        *("robustness", "higher"),
        "Accuracy on images whose background is attacked in many steps.",
        *(_PGD, "pgd_background_accuracy"),
        inflated=True,
        attacked=True,
    ),
    Metric(
        *("max_sensitivity", "Max-sensitivity", "robustness", "lower"),
        "Largest relative change of the heatmap under small random noise.",
        *("Yeh et al. 2019, arXiv 1901.09392", "max_sensitivity"),
        range=(0.0, None),
        percent=False,
        inflated=True,
    ),
    Metric(
        *("gini", "Gini index", "complexity", "higher"),
        "How sparse the heatmap is; images with an empty one are left out.",
        *("Chalasani et al. 2018, arXiv 1810.06583", "gini"),
        percent=False,
    ),
    Metric(
        *("flat", "Flat heatmaps", "complexity", "lower"),
        "Share of images whose heatmap, as computed, has a minimum above half its "
        "maximum: it says nothing. Images with an empty one are left out.",
        *("our choice", "flat"),
    ),
    Metric(
        *("entropy", "Entropy of the heatmap", "complexity", "lower"),
        "Of the heatmap, as computed, as a distribution over its pixels: 1 is uniform; "
        "images with an empty one are left out.",
        *("Bhatt et al. 2020, arXiv 2005.00631; divided by log N", "entropy"),
        percent=False,
    ),
    Metric(
        *("original", "Accuracy, original", "backgrounds", "higher"),
        "Accuracy on the images of the challenge as they are.",
        *(_XIAO, "original"),
        needs=("masks", "one label"),
    ),
    Metric(
        *("mixed_same", "Accuracy, mixed-same", "backgrounds", "higher"),
        "Accuracy with the object on the background of another image of its class.",
        *(_XIAO, "mixed_same"),
        needs=("masks", "one label"),
    ),
    Metric(
        *("mixed_rand", "Accuracy, mixed-rand", "backgrounds", "higher"),
        "Accuracy with the object on the background of a random class.",
        *(_XIAO, "mixed_rand"),
        needs=("masks", "one label"),
    ),
    Metric(
        *("only_background", "Accuracy, only background", "backgrounds", "lower"),
        "How often the class is told from the background alone.",
        *(_XIAO, "only_background"),
        needs=("masks", "one label"),
    ),
    Metric(
        *("bg_gap", "BG-gap", "backgrounds", "lower"),
        "Accuracy on mixed-same less that on mixed-rand, image by image.",
        *(_XIAO, "bg_gap"),
        range=(-1.0, 1.0),
        needs=("masks", "one label"),
    ),
    Metric(
        *("background_challenge", "Background challenge", "backgrounds", "higher"),
        "Right on every one of several backgrounds of other classes.",
        *(_XIAO, "background_challenge"),
        needs=("masks", "one label"),
    ),
)
