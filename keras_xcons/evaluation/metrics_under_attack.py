"""What can be measured under attacks and noise, one entry a metric."""

from keras_xcons.evaluation.metric import Metric

_XCONS = "after Wu et al. 2024, arXiv 2408.04600; measure and attack are our choice"
_FGSM = "Goodfellow et al. 2014, arXiv 1412.6572"
_PGD = "Madry et al. 2017, arXiv 1706.06083"

ATTACKED = (
    Metric(
        name="explanation_consistency",
        label="Explanation consistency E",
        group="consistency",
        direction="higher",
        description=(
            "How well the heatmap survives an FGSM attack on the background; images "
            "with an empty one are left out."
        ),
        source=_XCONS,
        percent=False,
        inflated=True,
        attacked=True,
    ),
    Metric(
        name="fgsm_accuracy",
        label="Accuracy under FGSM",
        group="robustness",
        direction="higher",
        description="Accuracy on images attacked in one step.",
        source=_FGSM,
        attacked=True,
    ),
    Metric(
        name="fgsm_background_accuracy",
        label="Accuracy under FGSM, background",
        group="robustness",
        direction="higher",
        description="Accuracy on images whose background is attacked in one step.",
        source=_FGSM,
        inflated=True,
        attacked=True,
    ),
    Metric(
        name="pgd_accuracy",
        label="Accuracy under PGD",
        group="robustness",
        direction="higher",
        description="Accuracy on images attacked in many steps, from a random start.",
        source=_PGD,
        attacked=True,
    ),
    Metric(
        name="pgd_background_accuracy",
        label="Accuracy under PGD, background",
        group="robustness",
        direction="higher",
        description="Accuracy on images whose background is attacked in many steps.",
        source=_PGD,
        inflated=True,
        attacked=True,
    ),
    Metric(
        name="max_sensitivity",
        label="Max-sensitivity",
        group="robustness",
        direction="lower",
        description="Largest relative change of the heatmap under small random noise.",
        source="Yeh et al. 2019, arXiv 1901.09392",
        range=(0.0, None),
        percent=False,
        inflated=True,
    ),
)
