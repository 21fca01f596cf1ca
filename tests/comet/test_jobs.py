"""COMET by recipe: from plain training to a published model, and on the command."""

import json

import keras
import numpy as np
import pytest

import keras_xcons as kx
from keras_xcons.comet import comet_view
from keras_xcons.recipes import (
    Experiment,
    Recipe,
    TrainOptions,
    calibrate_by,
    measure_by,
    publish_by,
    train,
    train_by,
)

SIZE = 32
CONTENT = {
    "model": {"architecture": "small_cnn", "arguments": {"width": 4}},
    "method": {"name": "comet", "options": {"max_area": 0.3}},
    "training": {
        "dataset": "shapes",
        "image_size": SIZE,
        "num_samples": 48,
        "batch_size": 16,
        "epochs": 2,
    },
    "evaluation": {
        "metrics": ["accuracy", "pointing_game", "pxap"],
        "explainer": "selection",
    },
    "card": {
        "data": "48 generated images",
        "pretraining": "none, random weights",
        "data_license": "none, the images are generated",
        "weights_license": "Apache-2.0",
    },
}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """`(recipe, model, folder)` of a COMET model, trained, measured and published."""
    folder = tmp_path_factory.mktemp("comet")
    recipe = Recipe(**CONTENT)
    model = train_by(recipe, folder / "run", report=lambda line: None)
    assert calibrate_by(recipe, model) is None
    metrics = measure_by(recipe, model)
    publish_by(recipe, model, "tiny_comet", folder / "zoo", metrics, folder / "run")
    return recipe, model, folder


def images(count=4):
    random = np.random.default_rng(0)
    return random.uniform(0, 255, (count, SIZE, SIZE, 3)).astype("float32")


def test_the_detector_is_the_plain_run(published):
    _, model, folder = published
    plain = keras.saving.load_model(folder / "run" / "plain.keras")
    predictor = comet_view(model).predictor
    shapes = [[w.shape for w in each.weights] for each in (plain, predictor)]
    assert shapes[0] == shapes[1]
    moved = zip(plain.get_weights(), predictor.get_weights(), strict=True)
    assert any(not np.array_equal(left, right) for left, right in moved)


def test_a_finished_run_is_loaded(published):
    recipe, model, folder = published
    told = []
    again = train_by(recipe, folder / "run", report=told.append)
    assert any("Finished before" in line for line in told)
    np.testing.assert_allclose(again(images()), model(images()), rtol=1e-5)


def test_what_is_published_keeps_logits_and_mask(published):
    _, model, folder = published
    card = json.loads((folder / "zoo" / "tiny_comet" / "card.json").read_text())
    assert card["architecture"] == "comet" and card["explainer"] == "selection"
    assert card["arguments"] == {
        "backbone": "small_cnn",
        "backbone_arguments": {"width": 4},
    }
    assert card["check"]["heatmap"] is not None
    loaded = kx.load(folder / "zoo" / "tiny_comet")
    # Published as float16.
    np.testing.assert_allclose(loaded(images()), model(images()), atol=0.05)
    found = [kx.explain(each, images()) for each in (loaded, model)]
    np.testing.assert_allclose(*found, atol=0.01)


def test_another_mask_is_noticed_on_load(published, tmp_path):
    """The logits alone would not tell, where the predictor is sure."""
    _, _, folder = published
    card = json.loads((folder / "zoo" / "tiny_comet" / "card.json").read_text())
    rows = card["check"]["heatmap"]
    card["check"]["heatmap"] = [[min(1.0, v + 0.2) for v in row] for row in rows]
    other = tmp_path / "tiny_comet"
    other.mkdir()
    for path in (folder / "zoo" / "tiny_comet").iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    (other / "card.json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match="heatmap"):
        kx.zoo.verify(other)


def test_a_run_begins_where_the_plain_one_ended():
    options = TrainOptions(
        image_size=SIZE, num_samples=48, batch_size=16, epochs=1, methods={"comet": {}}
    )
    experiment = Experiment(options)
    model, history = experiment.train("comet")
    assert comet_view(model) and len(history["mask_area"]) == 1
    # Trained once, whoever starts from it.
    assert experiment.runs_before("comet") == ("plain",)
    assert experiment._start_of("comet") is not experiment._start_of("comet")


def test_it_is_told_that_the_run_went_on_from_plain_training(tmp_path):
    lines = []
    options = TrainOptions(
        image_size=SIZE,
        num_samples=48,
        batch_size=16,
        epochs=1,
        methods={"comet": {}},
        output=str(tmp_path / "run"),
    )
    metrics = train(options, report=lines.append)
    assert metrics["starts"] == {"comet": "plain"}
    assert any("It starts from the plain run." in line for line in lines)
    assert "from whose run it started and learned as long again" in lines[-1]


def test_a_half_precision_run_is_published_in_float32():
    options = TrainOptions(
        image_size=SIZE,
        num_samples=32,
        batch_size=16,
        epochs=1,
        dtype="mixed_bfloat16",
        methods={"comet": {}},
    )
    experiment = Experiment(options)
    model, _ = experiment.train("comet")
    mended = experiment.in_float32(model, "comet")
    assert {layer.compute_dtype for layer in mended._flatten_layers()} == {"float32"}
    np.testing.assert_allclose(
        kx.explain(mended, images()), kx.explain(model, images()), atol=0.05
    )
