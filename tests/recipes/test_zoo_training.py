"""From a recipe to a published model."""

import dataclasses
import json
import pathlib
import shutil

import numpy as np
import pytest

from keras_xcons import data, explainers, models, protopnet, zoo
from keras_xcons.explainers import Calibration
from keras_xcons.files import sha256_of_file
from keras_xcons.models.offset import Offset, known_offset, remember_offset
from keras_xcons.recipes import (
    measure_by,
    publish_by,
    read_recipe,
    train_by,
    zoo_training,
)

CONTENT = {
    "format": 2,
    "model": {"architecture": "small_cnn"},
    "method": {"name": "xcons"},
    "training": {
        "dataset": "shapes",
        "image_size": 32,
        "num_samples": 48,
        "batch_size": 16,
        "epochs": 3,
    },
    "evaluation": {"metrics": ["accuracy", "pointing_game"]},
    "card": {
        "data": "48 generated images",
        "pretraining": "none, random weights",
        "data_license": "none, the images are generated",
        "weights_license": "Apache-2.0",
    },
}


def write_recipe(folder, **changes):
    (folder / "zoo" / "tiny").mkdir(parents=True)
    path = folder / "zoo" / "tiny" / "recipe.json"
    path.write_text(json.dumps({**CONTENT, **changes}))
    return path


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A model that was trained, measured and published by its recipe."""
    folder = tmp_path_factory.mktemp("published")
    recipe = read_recipe(write_recipe(folder))
    model = train_by(recipe, folder / "run", report=lambda line: None)
    metrics = measure_by(recipe, model)
    return (
        recipe,
        model,
        metrics,
        publish_by(recipe, model, "tiny", folder / "zoo", metrics, folder / "run"),
    )


def test_what_is_published_says_how_it_was_made(published):
    recipe, _, metrics, folder = published
    card = json.loads((folder / "card.json").read_text())
    assert card["architecture"] == "small_cnn"
    assert card["dataset"] == "shapes"
    assert card["data"] == CONTENT["card"]["data"]
    assert card["pretraining"] == CONTENT["card"]["pretraining"]
    assert card["method"] == "xcons"
    assert card["paper"] == "Wu et al. 2024, arXiv 2408.04600"
    assert card["input_size"] == [32, 32]
    assert read_recipe(folder / "recipe.json").to_dict() == recipe.to_dict()
    assert json.loads((folder / "metrics.json").read_text()) == metrics


def test_figures_have_intervals_and_say_what_they_are_of(published):
    _, _, metrics, _ = published
    assert sorted(metrics["figures"]) == ["accuracy", "pointing_game"]
    for figure in metrics["figures"].values():
        assert figure["n"] == 1000
        assert figure["low"] <= figure["value"] <= figure["high"]
    assert (metrics["dataset"], metrics["split"]) == ("shapes", "original")
    assert metrics["seed"] == 0
    assert "keras" in metrics["versions"]


def test_what_is_loaded_is_what_was_trained(published):
    _, model, _, folder = published
    images = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype("float32")
    one, other = (np.asarray(each(images)) for each in (model, zoo.load(folder)))
    assert np.ptp(one) > 0.1
    np.testing.assert_allclose(one, other, atol=0.02 * np.abs(one).max())


def test_plain_training_has_no_weights_of_samples(published, tmp_path):
    path = write_recipe(tmp_path, method={"name": "plain"})
    plain = train_by(read_recipe(path), tmp_path / "run", report=lambda line: None)
    xcons = published[1]
    pairs = zip(plain.get_weights(), xcons.get_weights(), strict=True)
    assert any(np.abs(one - other).max() > 1e-4 for one, other in pairs)


def test_pretrained_weights_are_named_in_the_card(published, tmp_path, weights):
    recipe = read_recipe(
        write_recipe(
            tmp_path,
            card={**CONTENT["card"], "pretraining": "a picture of noise"},
            evaluation={"metrics": ["accuracy"]},
        )
    )
    metrics, run = published[2], tmp_path / "run"
    path = shutil.copy(weights, tmp_path / "start.weights.h5")
    trained = train_by(recipe, run, report=lambda line: None, pretrained=path)
    digest = sha256_of_file(path)
    # What becomes of the file afterwards changes nothing of what was trained.
    pathlib.Path(path).write_bytes(b"another")
    arguments = (recipe, trained, "tiny", tmp_path / "other", metrics, run)
    folder = publish_by(*arguments, pretrained=path)
    card = json.loads((folder / "card.json").read_text())
    named = f"(start.weights.h5, sha256 {digest[:12]}...)"
    assert card["pretraining"] == f"a picture of noise {named}"
    folder = publish_by(*arguments, pretraining="music", pretrained=path)
    card = json.loads((folder / "card.json").read_text())
    assert card["pretraining"] == f"music {named}"


def test_pretraining_is_measured_and_published_as_any_other(tmp_path):
    training = {"dataset": "shapes", "phases": [[32, 1]]}
    training |= {"steps_per_epoch": 2, "batch_size": 16}
    method = {"name": "pretraining"}
    recipe = read_recipe(write_recipe(tmp_path, method=method, training=training))
    model = train_by(recipe, tmp_path / "run", report=lambda line: None)
    metrics = measure_by(recipe, model)
    run = tmp_path / "run"
    folder = publish_by(recipe, model, "tiny", tmp_path / "zoo", metrics, run)
    assert (run / "model.weights.h5").is_file()
    card = json.loads((folder / "card.json").read_text())
    assert (card["method"], card["paper"]) == ("pretraining", None)
    assert card["input_size"] == [32, 32]


def test_other_metrics_need_no_other_training(published, tmp_path):
    folder = tmp_path / "run"
    recipe = read_recipe(write_recipe(tmp_path))
    first = train_by(recipe, folder, report=lambda line: None)
    written = (folder / "xcons.keras").stat().st_mtime_ns
    lines = []
    changed = dataclasses.replace(
        recipe,
        evaluation={"metrics": ["accuracy"]},
        card={**recipe.card, "data": "other words"},
    )
    second = train_by(changed, folder, report=lines.append)
    assert lines == [f"Finished before, loaded from {folder}"]
    assert (folder / "xcons.keras").stat().st_mtime_ns == written
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    # Other options are another run.
    longer = {**recipe.training, "epochs": 4}
    train_by(
        dataclasses.replace(recipe, training=longer), folder, report=lambda line: None
    )
    assert (folder / "xcons.keras").stat().st_mtime_ns != written


@pytest.mark.parametrize(
    "method, dtype",
    [("plain", "float32"), ("xcons", "float32"), ("xcons", "mixed_bfloat16")],
)
def test_a_protopnet_is_published_with_its_prototypes(
    tmp_path, pictures, method, dtype
):
    training = {"dataset": str(pictures), "image_size": 16, "batch_size": 8}
    training |= {"epochs": 3, "learning_rate": 1e-3, "dtype": dtype}
    recipe = read_recipe(
        write_recipe(
            tmp_path,
            method={"name": method},
            training=training,
            model={
                "architecture": "protopnet",
                "arguments": {"backbone": "small_cnn", "prototypes": 2, "channels": 8},
                "stages": {"warm_epochs": 1, "push_start": 2, "last_epochs": 1},
            },
            evaluation={"metrics": ["accuracy", "gini"], "explainer": "prototypes"},
        )
    )
    run = tmp_path / "run"
    model = train_by(recipe, run, report=lambda line: None)
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    metrics = measure_by(recipe, model)
    assert metrics["heatmaps"] == (
        "prototypes of the label, divided by the maximum, not moved, its offset was "
        "never measured"
    )
    folder = publish_by(recipe, model, "tiny", tmp_path / "zoo", metrics, run)
    page = (folder / "README.md").read_text()
    assert 'kx.explain(model, images, explainer="prototypes")' in page
    card = json.loads((folder / "card.json").read_text())
    assert card["architecture"] == "protopnet"
    assert card["arguments"]["prototypes"] == [2, 2]
    view = protopnet.prototype_view(zoo.load(folder))
    layer = view.layer
    # Each knows the training image that it was taken from, of its own class.
    assert layer.pushed
    sources = layer.source_image.numpy()
    images, labels = zip(*data.load(pictures, image_size=16), strict=True)
    labels = [int(label) for label in labels]
    assert [labels[source] for source in sources] == [0, 0, 1, 1]
    # And it is a patch of that image, exactly, and as far as float16 tells.
    own = protopnet.prototype_view(model)
    distances = own.layer(own.space(np.stack(images)[sources]))
    assert np.diag(distances).max() < 1e-6
    nearest = layer(view.space(np.stack(images)[sources]))
    assert np.diag(view.similarity(nearest)).min() > 9
    trained = protopnet.prototype_view(model).layer
    np.testing.assert_array_equal(sources, trained.source_image.numpy())


def steps(epochs, **options):
    """Training of a small run on other data than the shapes."""
    small = {"image_size": 16, "batch_size": 8}
    return {"dataset": "pictures", **small, "epochs": epochs, **options}


def test_data_and_weights_are_known_by_what_they_are(
    tmp_path, pictures, weights, monkeypatch
):
    recipe = read_recipe(
        write_recipe(tmp_path, method={"name": "plain"}, training=steps(1))
    )
    run, start = tmp_path / "run", tmp_path / "start.weights.h5"
    shutil.copy(weights, start)

    def train(dataset, pretrained):
        lines = []
        replaced = {"dataset": str(dataset), "pretrained": str(pretrained)}
        train_by(recipe, run, lines.append, **replaced)
        return lines

    assert train(pictures, start)[-1] == "Training: plain"
    loaded = [f"Finished before, loaded from {run}"]
    monkeypatch.chdir(pictures.parent)
    assert train(pictures.name, weights) == loaded
    moved = shutil.copytree(pictures, tmp_path / pictures.name)
    assert train(moved, start) == loaded
    # Another file of the same name is another start.
    other = models.create("small_cnn", 3, 16)
    other.save_weights(start)
    reported = []

    def report(line):
        reported.append((line, (run / "unfinished" / "plain.finished.json").exists()))

    train_by(recipe, run, report, dataset=str(pictures), pretrained=str(start))
    assert reported[0] == (
        f"What an earlier run left in {run / 'unfinished'} is removed, as its settings "
        "were others: pretrained",
        True,
    )
    # So are fewer images.
    next((moved / "train" / "red").iterdir()).unlink()
    assert "were others: dataset" in train(moved, start)[0]


def test_data_that_cannot_be_measured_on_are_refused_first(tmp_path, write_pictures):
    folder = write_pictures(tmp_path / "data", {"red": 2, "blue": 2})
    recipe = read_recipe(write_recipe(tmp_path, training=steps(1)))
    with pytest.raises(ValueError, match="no split beside 'train'"):
        train_by(recipe, tmp_path / "run", dataset=str(folder))
    assert not (tmp_path / "run").exists()


def test_an_offset_in_doubt_takes_the_place_of_none(tmp_path, monkeypatch):
    model = models.create("small_cnn", 10, 32, width=4)
    remember_offset(model, "features", Offset(0.5, 0.5))
    doubted = Calibration(
        *(3.0, -1.5, (2.0, 4.0), (-2.0, -1.0), 200, "features"),
        *(Offset(0.75, -0.375), (32, 32), ("Rows do not follow the images.",)),
    )
    monkeypatch.setattr(explainers, "calibrate", lambda *_, **__: doubted)
    recipe = read_recipe(write_recipe(tmp_path))
    assert zoo_training.calibrate_by(recipe, model) is None
    assert known_offset(model, "features") is None
