"""The offset of heatmaps in a card: written, read, shown, remembered."""

import json

import numpy as np
import pytest

import keras_xcons as kx
from keras_xcons import zoo
from keras_xcons.explainers import Calibration
from keras_xcons.models.offset import Offset, known_offset
from tests.zoo.published import ABOUT, IMAGES, NAME, card_of, change_card, publish

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
        {**OFFSET, "rows_interval": [-17.0, 3.25]},
        {**OFFSET, "rows_interval": [3.25, 2.5]},
        {**OFFSET, "columns_interval": [-1.25, -1.0]},
        {**OFFSET, "rows_interval": [2.5]},
        {**OFFSET, "columns_interval": [-2.0, None]},
        {**OFFSET, "images": 0},
        {**OFFSET, "images": 20.5},
        {**OFFSET, "depth": 1.0},
    ],
)
def test_an_offset_that_is_none_is_refused(place, wrong):
    change_card(publish(place), offset=wrong)
    with pytest.raises(ValueError, match=r"card .* field 'offset' must|NaN|Infinity"):
        zoo.load(NAME)


@pytest.mark.parametrize("layer", ["pooling", "logits"])
def test_an_offset_of_a_layer_without_maps_is_refused(place, layer):
    change_card(publish(place, offset=MEASURED), feature_layer=layer)
    with pytest.raises(ValueError, match=f"card of '{NAME}' has an offset .*{layer}"):
        zoo.load(NAME)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"offset": (3, 4)}, r"must be the Calibration .* offset=\(3, 4\)"),
        ({"offset": OFFSET}, "must be the Calibration"),
        ({"offset": MEASURED.offset}, "must be the Calibration"),
        ({"offset": "geometric"}, "must be the Calibration"),
        (
            {"offset": MEASURED._replace(feature_layer="block1_relu")},
            "feature layer .* 'features'.* Received: an offset of 'block1_relu'",
        ),
        (
            {"offset": MEASURED._replace(doubts=("Rows do not follow.",))},
            r"one to move heatmaps by.* says: Rows do not follow\.",
        ),
        (
            {"offset": MEASURED._replace(image_size=(32, 32))},
            r"size of images .* \(16, 16\).* Received: an offset of \(32, 32\)",
        ),
        # Nobody would explain the loaded model by that layer.
        (
            {
                "offset": MEASURED._replace(feature_layer="block2_relu"),
                "feature_layer": "block2_relu",
            },
            "'features': leave `feature_layer` or `offset` out",
        ),
    ],
)
def test_what_is_not_the_offset_of_the_model_is_not_published(place, wrong, message):
    with pytest.raises((TypeError, ValueError), match=message):
        publish(place, **wrong)
    assert not (place / NAME).exists()


def test_an_offset_that_is_left_out_is_told(place):
    publish(place, offset=MEASURED)
    with pytest.warns(UserWarning, match="measured offset .* as `offset`"):
        zoo.publish(zoo.load(NAME), "again", place, **ABOUT)
