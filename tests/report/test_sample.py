import numpy as np
import pytest

from keras_xcons.report import Sample, SampleView

IMAGE = np.zeros((4, 6, 3), "uint8")
VIEW = {
    "predicted": "cat",
    "correct": True,
    "confidence": 0.5,
    "consistency": None,
    "heatmap": np.zeros((2, 2), "float32"),
    "adversary": IMAGE,
    "adversary_heatmap": np.ones((3, 3), "float32"),
}
SAMPLE = {
    "index": 0,
    "label": "cat",
    "image": IMAGE,
    "boxes": np.zeros((2, 4)),
    "mask": np.zeros((4, 6), bool),
    "views": {},
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"confidence": 1.5}, r"`confidence` must be within.*confidence=1.5"),
        ({"heatmap": np.zeros((2, 2, 1))}, r"`heatmap`.*shape \(2, 2, 1\)"),
        ({"heatmap": np.zeros((0, 2))}, r"`heatmap`.*shape \(0, 2\)"),
        ({"heatmap": np.full((2, 2), 1.5)}, r"`heatmap`.*from 1.5 to 1.5"),
        ({"adversary_heatmap": np.full((2, 2), np.nan)}, r"_heatmap`.*from nan"),
        ({"adversary": IMAGE / 2.0}, r"`adversary` must be a uint8.*float64"),
        ({"adversary": None}, "needs its `adversary`"),
    ],
)
def test_views_are_checked(change, message):
    SampleView(**VIEW)
    with pytest.raises(ValueError, match=message):
        SampleView(**{**VIEW, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": IMAGE[..., :1]}, r"`image` must be a uint8.*\(4, 6, 1\)"),
        ({"image": IMAGE[:0]}, r"`image`.*\(0, 6, 3\)"),
        ({"boxes": np.zeros(4)}, r"`boxes`.*shape \(4,\)"),
        ({"mask": np.zeros((4, 6, 1), bool)}, r"`mask`.*\(4, 6\).*\(4, 6, 1\)"),
    ],
)
def test_samples_are_checked(change, message):
    Sample(**SAMPLE)
    with pytest.raises(ValueError, match=message):
        Sample(**{**SAMPLE, **change})
