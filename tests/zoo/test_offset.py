"""The offset of heatmaps in a card: written, read, shown, remembered."""

import json

import numpy as np
import pytest

import keras_xcons as kx
from keras_xcons import zoo
from keras_xcons.explainers import Calibration
from keras_xcons.models.offset import Offset, known_offset
from tests.zoo.published import IMAGES, NAME, card_of, change_card, publish

MEASURED = Calibration(
    *(3.0, -1.5),
    rows_interval=(2.5, 3.25),
    columns_interval=(-2.0, -1.0),
    images=200,
    feature_layer="features",
    offset=Offset(0.75, -0.375),
    image_size=(16, 16),
)
OFFSET = {
    "rows": 3.0,
    "columns": -1.5,
    "rows_interval": [2.5, 3.25],
    "columns_interval": [-2.0, -1.0],
    "images": 200,
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_XCONS_ZOO", str(tmp_path))
    return tmp_path


def test_what_was_measured_is_published_shown_and_remembered(place):
    folder = publish(place, offset=MEASURED)
    assert card_of(folder)["offset"] == zoo.info(NAME)["offset"] == OFFSET
    page = (folder / "README.md").read_text("utf-8")
    assert "+3.0 px [+2.5, +3.2] down, -1.5 px [-2.0, -1.0] right" in page
    model = zoo.load(NAME)
    height, width = kx.split(model).flat.outputs[0].shape[1:3]
    shares = known_offset(model, "features")
    assert shares.rows == pytest.approx(3.0 * height / 16)
    assert shares.columns == pytest.approx(-1.5 * width / 16)
    moved = kx.explain(model, IMAGES)
    pixels = kx.explain(model, IMAGES, align=(3.0, -1.5))
    np.testing.assert_allclose(moved, pixels, atol=1e-5)
    assert np.abs(moved - kx.explain(model, IMAGES, align=False)).max() > 0.05


@pytest.mark.parametrize("lacks", [True, False])
def test_a_card_without_an_offset_loads(place, lacks):
    folder = publish(place)
    assert "offset of the heatmaps" not in (folder / "README.md").read_text("utf-8")
    card = card_of(folder)
    assert card["offset"] is None
    if lacks:
        del card["offset"]
        (folder / "card.json").write_text(json.dumps(card), "utf-8")
    assert known_offset(zoo.load(NAME), "features") is None


@pytest.mark.parametrize(
    "wrong",
    [
        [3.0, -1.5],
        {"rows": 3.0, "columns": -1.5},
        {**OFFSET, "rows": "3"},
        {**OFFSET, "rows": True},
        {**OFFSET, "columns": float("nan")},
        {**OFFSET, "columns": float("inf")},
        {**OFFSET, "rows": 10**9},
        {**OFFSET, "rows_interval": [2.5]},
        {**OFFSET, "columns_interval": [-2.0, None]},
        {**OFFSET, "images": 0},
        {**OFFSET, "images": 20.5},
        {**OFFSET, "depth": 1.0},
    ],
)
def test_an_offset_that_is_none_is_refused(place, wrong):
    change_card(publish(place), offset=wrong)
    with pytest.raises(ValueError, match=r"field 'offset' must be|NaN|Infinity"):
        zoo.load(NAME)
