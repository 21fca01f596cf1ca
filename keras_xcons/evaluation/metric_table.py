"""What can be measured: a table, one entry a metric."""

from keras_xcons import metrics
from keras_xcons.evaluation.cross_fitting import BestThreshold
from keras_xcons.evaluation.metric import Metric
from keras_xcons.evaluation.metrics_under_attack import ATTACKED
from keras_xcons.evaluation.precision import mean_precision, pixel_precision

_ZHANG = "Zhang et al. 2016, arXiv 1608.00507"
_CHOE = "Choe et al. 2020, arXiv 2001.07437"
_PETSIUK = "Petsiuk et al. 2018, arXiv 1806.07421"
_CHATTOPADHAY = "Chattopadhay et al. 2018, arXiv 1710.11063"
# Shares of the pixels, in percent.
REMOVED = (5, 10, 20)
_XIAO = "Xiao et al. 2020, arXiv 2006.09994"

TABLE = (
    Metric(
        name="accuracy",
        label="Accuracy (top-1)",
        group="classification",
        direction="higher",
        description="The predicted class is the label.",
        needs=("one label",),
    ),
    Metric(
        name="binary_accuracy",
        label="Binary accuracy",
        group="classification",
        direction="higher",
        description=(
            "Share of the classes of an image told right, whether they are there or "
            "not: high already for a model that names none."
        ),
        needs=("several labels",),
    ),
    Metric(
        name="top_5_accuracy",
        label="Accuracy (top-5)",
        group="classification",
        direction="higher",
        description="The label is among the five classes with the largest logits.",
        needs=("one label", "more than 5 classes"),
    ),
    Metric(
        name="mean_average_precision",
        label="Mean average precision",
        group="classification",
        direction="higher",
        description=(
            "Area under the precision-recall curve of a class, averaged over the "
            "classes that some image has; a resample has its own."
        ),
        rows="scores_and_labels",
        statistic=mean_precision,
        needs=("several labels", "a label"),
    ),
    Metric(
        name="pointing_game",
        label="Pointing game",
        group="localisation",
        direction="higher",
        description=(
            "The heatmap's maximum lies on the object, or within the tolerance of it."
        ),
        source=_ZHANG,
        needs=("truth",),
    ),
    Metric(
        name="energy_pointing_game",
        label="Energy-based pointing game",
        group="localisation",
        direction="higher",
        description="Share of the heatmap on the object; an empty heatmap has 0.",
        source="Wang et al. 2019, arXiv 1910.01279",
        needs=("truth",),
    ),
    Metric(
        name="content_heatmap",
        label="Content Heatmap",
        group="localisation",
        direction="higher",
        description=(
            "Share of the heatmap on the object; images with an empty one are left out."
        ),
        source="Pillai et al. 2022, arXiv 2110.00527",
        needs=("truth",),
    ),
    Metric(
        name="max_box_acc",
        label="MaxBoxAcc (IoU 0.5)",
        group="localisation",
        direction="higher",
        description=(
            "The box around the heatmap's largest component overlaps the object's, at "
            "the best threshold for the data set, chosen on other images "
            "(cross-fitted)."
        ),
        source=_CHOE,
        rows="box_hits",
        statistic=BestThreshold((metrics.LEVELS.index(0.5),)),
        needs=("truth",),
        baseline="centre_hits",
    ),
    Metric(
        name="max_box_acc_v2",
        label="MaxBoxAccV2",
        group="localisation",
        direction="higher",
        description=(
            "As MaxBoxAcc, of all components the one that fits best: mean over IoU "
            "0.3, 0.5 and 0.7, each at its best threshold, cross-fitted."
        ),
        source=_CHOE,
        rows="component_hits",
        statistic=BestThreshold(tuple(range(len(metrics.LEVELS)))),
        needs=("truth",),
        baseline="centre_hits",
    ),
    Metric(
        name="pxap",
        label="PxAP",
        group="localisation",
        direction="higher",
        description=(
            "Area under the precision-recall curve of the pixels of all images."
        ),
        source=_CHOE,
        rows="pixel_histograms",
        statistic=pixel_precision,
        needs=("masks",),
    ),
    Metric(
        name="iou_auc",
        label="IoU AUC",
        group="localisation",
        direction="higher",
        description=(
            "Overlap of the thresholded heatmap with the mask, averaged over "
            "thresholds."
        ),
        source="Zhang et al. 2024, arXiv 2407.19308; the definition is ours",
        needs=("masks",),
    ),
    Metric(
        name="insertion",
        label="Insertion AUC",
        group="faithfulness",
        direction="higher",
        description=(
            "Probability of the class while a blurred image gets its pixels back, the "
            "hottest first."
        ),
        source=_PETSIUK,
    ),
    Metric(
        name="deletion",
        label="Deletion AUC",
        group="faithfulness",
        direction="lower",
        description=(
            "Probability of the class while the image loses its pixels, the hottest "
            "first."
        ),
        source=_PETSIUK,
    ),
    Metric(
        name="average_drop",
        label="Average drop",
        group="faithfulness",
        direction="lower",
        description=(
            "Share of the class's probability that is lost when only what the heatmap "
            "shows is left of the image."
        ),
        source=_CHATTOPADHAY,
        inflated=True,
    ),
    Metric(
        name="average_increase",
        label="Increase in confidence",
        group="faithfulness",
        direction="higher",
        description=(
            "How often the class's probability is larger on what the heatmap shows "
            "alone."
        ),
        source=_CHATTOPADHAY,
        inflated=True,
    ),
    *(
        Metric(
            name=f"fidelity_{share}",
            label=f"Fidelity, top {share} %",
            group="faithfulness",
            direction="higher",
            description=(
                f"How much of the class's probability is gone with the hottest {share} "
                "% of the pixels."
            ),
            source="after Zhang et al. 2024, arXiv 2407.19308; the definition is ours",
            range=(-1.0, 1.0),
        )
        for share in REMOVED
    ),
    *ATTACKED,
    Metric(
        name="gini",
        label="Gini index",
        group="complexity",
        direction="higher",
        description=(
            "How sparse the heatmap is; images with an empty one are left out."
        ),
        source="Chalasani et al. 2018, arXiv 1810.06583",
        percent=False,
    ),
    Metric(
        name="flat",
        label="Flat heatmaps",
        group="complexity",
        direction="lower",
        description=(
            "Share of images whose heatmap, as computed, has a minimum above half its "
            "maximum: it says nothing. Images with an empty one are left out."
        ),
        source="our choice",
    ),
    Metric(
        name="entropy",
        label="Entropy of the heatmap",
        group="complexity",
        direction="lower",
        description=(
            "Of the heatmap, as computed, as a distribution over its pixels: 1 is "
            "uniform; images with an empty one are left out."
        ),
        source="Bhatt et al. 2020, arXiv 2005.00631; divided by log N",
        percent=False,
    ),
    Metric(
        name="original",
        label="Accuracy, original",
        group="backgrounds",
        direction="higher",
        description="Accuracy on the images of the challenge as they are.",
        source=_XIAO,
        needs=("masks", "one label"),
    ),
    Metric(
        name="mixed_same",
        label="Accuracy, mixed-same",
        group="backgrounds",
        direction="higher",
        description=(
            "Accuracy with the object on the background of another image of its class."
        ),
        source=_XIAO,
        needs=("masks", "one label"),
    ),
    Metric(
        name="mixed_rand",
        label="Accuracy, mixed-rand",
        group="backgrounds",
        direction="higher",
        description="Accuracy with the object on the background of a random class.",
        source=_XIAO,
        needs=("masks", "one label"),
    ),
    Metric(
        name="only_background",
        label="Accuracy, only background",
        group="backgrounds",
        direction="lower",
        description="How often the class is told from the background alone.",
        source=_XIAO,
        needs=("masks", "one label"),
    ),
    Metric(
        name="bg_gap",
        label="BG-gap",
        group="backgrounds",
        direction="lower",
        description="Accuracy on mixed-same less that on mixed-rand, image by image.",
        source=_XIAO,
        range=(-1.0, 1.0),
        needs=("masks", "one label"),
    ),
    Metric(
        name="background_challenge",
        label="Background challenge",
        group="backgrounds",
        direction="higher",
        description="Right on every one of several backgrounds of other classes.",
        source=_XIAO,
        needs=("masks", "one label"),
    ),
)
