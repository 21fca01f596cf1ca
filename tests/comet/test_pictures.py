"""What COMET shows beside its mask: what is selected, and what is left out."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_xcons as kx
from keras_xcons import explainers, plotting
from keras_xcons.comet import comet_classifier, comet_view
from keras_xcons.recipes import explain_files
from tests.comet.comets import SIZE, data, predictor, selector


@pytest.fixture(scope="module")
def model():
    made = comet_classifier(predictor(), selector())
    comet_view(made).selection.fill.assign([200.0, 100.0, 50.0])
    return made


def test_the_two_parts(model):
    images = data()[0][:3]
    found = explainers.panels(kx.split(model), images)
    assert [panel.title for panel in found] == ["selected", "left out"]
    masks = kx.explain(model, images)[..., None]
    fill = np.array([200.0, 100.0, 50.0])
    for panel, share in zip(found, (masks, 1.0 - masks), strict=True):
        assert panel.pictures.dtype == np.uint8
        expected = share * images + (1.0 - share) * fill
        np.testing.assert_allclose(panel.pictures, expected, atol=0.51)


def test_other_explainers_show_a_heatmap_alone(model):
    images = data()[0][:2]
    assert explainers.panels(kx.split(model), images, explainer="gradcam++") == []
    assert explainers.panels(kx.split(predictor()), images) == []


def test_they_are_in_the_report(model, tmp_path):
    images, labels = data(10)
    batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(5)
    report = kx.evaluate(model, batches, ["accuracy", "gini"], gallery=3)
    assert report.to_dict()["provenance"]["heatmaps"].startswith("selection of the")
    report.to_html(tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    for title in ("selected", "left out"):
        assert text.count(f"<span>{title}</span>") == 3


def test_they_are_what_the_command_writes(model, tmp_path):
    model.save(tmp_path / "comet.keras")
    image = data()[0][0].astype("uint8")
    Image.fromarray(image).save(tmp_path / "image.png")
    folder = tmp_path / "heatmaps"
    folder.mkdir()
    told = []
    for explainer, wide in ((None, True), ("gradcam++", False)):
        failed = explain_files(
            tmp_path / "comet.keras",
            [str(tmp_path / "image.png")],
            folder,
            explainer,
            report=told.append,
        )
        assert failed == []
        with Image.open(folder / "image.png") as picture:
            assert (picture.width > 3 * picture.height) == wide


def test_pictures_side_by_side_are_of_one_size():
    picture = np.zeros((SIZE, SIZE, 3), "uint8")
    assert plotting.row({"a": picture, "b": picture}).axes[1].get_title() == "b"
    with pytest.raises(ValueError, match="of one size"):
        plotting.row({"a": picture, "b": picture[1:]})
    with pytest.raises(ValueError, match="must be uint8"):
        plotting.row({"a": picture.astype("float32")})
