"""XNN by recipe and on the command: it follows a trained model."""

import json

import keras
import numpy as np
import pytest

import keras_xcons as kx
from keras_xcons.cli import main
from keras_xcons.recipes import (
    FollowOptions,
    Recipe,
    TrainOptions,
    calibrate_by,
    follow,
    measure_by,
    publish_by,
    read_recipe,
    train_by,
)
from keras_xcons.xnn import xnn_view

QUICK = {
    **{"hidden": [16, 8], "num_features": 3, "epochs": 2, "retries": 0},
    **{"pretraining_epochs": 1},
}
CONTENT = {
    "model": {"architecture": "small_cnn", "arguments": {"width": 4}},
    "method": {"name": "xnn", "options": {**QUICK, "classes": [2, 0]}},
    "training": {"dataset": "shapes", "num_samples": 96},
    "evaluation": {
        "metrics": ["accuracy", "pointing_game", "pxap"],
        "explainer": "xnn",
    },
    "card": {
        "data": "96 generated images",
        "pretraining": "a small CNN of random weights",
        "data_license": "none, the images are generated",
        "weights_license": "Apache-2.0",
    },
}


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """The file of a classifier of shapes, of random weights."""
    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("classifier") / "small.keras"
    kx.models.create("small_cnn", 10, 32, width=4).save(path)
    return path


def recipe(classifier, **training):
    told = {**CONTENT["training"], "starts_from": str(classifier), **training}
    return Recipe(**{**CONTENT, "training": told})


@pytest.fixture(scope="module")
def published(classifier, tmp_path_factory):
    """`(recipe, model, folder)` of networks that are fitted, measured, published."""
    folder, made = tmp_path_factory.mktemp("xnn"), recipe(classifier)
    model = train_by(made, folder / "run", report=lambda line: None)
    offset = calibrate_by(made, model)
    metrics = measure_by(made, model)
    given = tmp_name, _, _ = "tiny_xnn", folder / "zoo", metrics
    publish_by(made, model, *given, folder / "run", offset=offset)
    return made, model, folder / "zoo" / tmp_name


def test_published_networks_are_loaded(published, classifier):
    made, model, folder = published
    card = json.loads((folder / "card.json").read_text())
    assert card["architecture"] == "xnn" and card["method"] == "xnn"
    assert card["explainer"] == "xnn" and "1709.05360" in card["paper"]
    assert card["arguments"] == {
        **{"backbone": "small_cnn", "backbone_arguments": {"width": 4}},
        **{"classes": [2, 0], "hidden": [16, 8], "num_features": 3},
    }
    loaded = kx.load(str(folder))
    images = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype("float32")
    plain = keras.saving.load_model(classifier, compile=False)
    np.testing.assert_allclose(loaded(images), plain(images), rtol=1e-2, atol=1e-2)
    labels = [0, 2, 0, 2]
    np.testing.assert_allclose(
        kx.explain(loaded, images, labels), kx.explain(model, images, labels), atol=0.05
    )
    found = kx.XNN(loaded).explain(images)
    total = found.contributions.sum(axis=1) + found.bias
    np.testing.assert_allclose(total, found.scores, rtol=1e-4, atol=1e-4)


def test_metrics_are_of_the_classes_that_have_a_network(published):
    metrics = json.loads((published[2] / "metrics.json").read_text())["figures"]
    assert metrics["accuracy"]["skipped"] == 0
    skipped = metrics["pointing_game"]["skipped"]
    assert 0 < skipped and metrics["pxap"]["skipped"] == skipped
    assert metrics["pointing_game"]["n"] < metrics["accuracy"]["n"] / 2


def test_a_recipe_is_written_and_read(published, tmp_path):
    made, _, folder = published
    told = json.loads((folder / "recipe.json").read_text())
    assert told["training"] == {
        **{"dataset": "shapes", "num_samples": 96, "correlation": None},
        **{"on_bad_record": "error", "starts_from": made.training["starts_from"]},
    }
    assert told["method"]["options"]["classes"] == [2, 0]
    assert read_recipe(folder / "recipe.json").to_dict() == told


def test_a_finished_run_is_loaded(published, monkeypatch):
    made, model, folder = published
    monkeypatch.setattr(kx.XNN, "fit", None)
    lines = []
    again = train_by(made, folder.parents[1] / "run", report=lines.append)
    assert "Finished before" in lines[0]
    for one, two in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_start_of_another_architecture(classifier, published, tmp_path):
    """Found out before the fit, of a file by the shapes of its weights."""
    made = recipe("shapes_cnn")
    with pytest.raises(ValueError, match="'small_cnn' with {'width': 4}.*shapes_cnn"):
        train_by(made, tmp_path / "run")
    wide = {"architecture": "small_cnn", "arguments": {"width": 8}}
    told = {**CONTENT["training"], "starts_from": str(classifier)}
    made = Recipe(**{**CONTENT, "model": wide, "training": told})
    with pytest.raises(ValueError, match="weights are of other shapes"):
        train_by(made, tmp_path / "run")
    of_comet = {"architecture": "comet", "arguments": {"backbone": "small_cnn"}}
    made = Recipe(**{**CONTENT, "model": of_comet, "training": told})
    with pytest.raises(ValueError, match="'comet'.*cannot be published by xnn"):
        train_by(made, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "part, value, match",
    [
        ("training", {"dataset": "shapes"}, "starts_from=None"),
        ("training", {"dataset": "shapes", "starts_from": 3}, "starts_from=3"),
        ("training", {"dataset": "shapes", "pretrained": "x"}, "pretrained"),
        (
            "model",
            {"architecture": "small_cnn", "stages": {"warm_epochs": 2}},
            "`stages` is for a training",
        ),
    ],
)
def test_recipes_that_will_not_do(classifier, part, value, match):
    told = {**CONTENT["training"], "starts_from": str(classifier)}
    with pytest.raises(ValueError, match=match):
        Recipe(**{**CONTENT, "training": told, part: value})


def test_classes_in_another_order_are_noticed(published, tmp_path):
    """Of as many parameters, and of the same classifier."""
    other = tmp_path / "tiny_xnn"
    other.mkdir()
    for path in published[2].iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    card = json.loads((other / "card.json").read_text())
    card["arguments"]["classes"] = [0, 2]
    (other / "card.json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match="fitted to other classes"):
        kx.explain(kx.load(str(other)), np.zeros((1, 32, 32, 3)), [0])


def test_a_figure_that_is_not_defined(classifier, tmp_path, capsys):
    """One x-feature has no other to be orthogonal to."""
    flags = command(classifier, tmp_path / "run", "--num_features=1", "--classes=2")
    assert main(flags) == 0
    assert "off diagonal correlation  not defined" in capsys.readouterr().out
    found = json.loads((tmp_path / "run" / "metrics.json").read_text())["figures"]
    assert found["off_diagonal_correlation"] is None and found["rmse"] >= 0.0


# The command.


def command(classifier, folder, *flags):
    return [
        *("train", "--method=xnn", f"--model={classifier}", f"--output={folder}"),
        *("--num_samples=96", "--hidden=16,8", "--num_features=3", "--epochs=2"),
        *("--pretraining_epochs=1", "--retries=0", "--classes=2,0,5,1", *flags),
    ]


def test_the_command(classifier, tmp_path, capsys):
    assert main(command(classifier, tmp_path / "run")) == 0
    told = capsys.readouterr().out
    assert "relative rmse" in told and "metrics.json, xnn_1.png" in told
    files = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert files == ["metrics.json", "xnn.keras", "xnn_1.png", "xnn_2.png", "xnn_3.png"]
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["options"]["methods"]["xnn"]["classes"] == [2, 0, 5, 1]
    assert metrics["figures"]["substituted_accuracy"] <= 1.0
    model = keras.saving.load_model(tmp_path / "run" / "xnn.keras", compile=False)
    assert xnn_view(model).networks.classes == [2, 0, 5, 1]
    # A job of its own that is written anew, without pictures of the other model, and
    # a file that is none.
    assert main(command(classifier, tmp_path / "run", "--classes=2")) == 0
    assert not (tmp_path / "run" / "xnn_2.png").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "xnn.keras").write_text("mine")
    assert main(command(classifier, tmp_path / "other")) == 1
    assert "xnn.keras in" in capsys.readouterr().err
    assert (tmp_path / "other" / "xnn.keras").read_text() == "mine"


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--method=xnn"], "takes a trained model"),
        (["--method=xnn", "--model=nothing"], "nothing"),
        (["--method=xnn", "--model=shapes_cnn", "--classes=11"], "within 0..9"),
        (["--method=xnn", "--model=shapes_cnn", "--classes=a"], "list of ints"),
        (["--method=xnn", "--model=shapes_cnn", "--hidden=0"], "hidden"),
        (["--method=xnn", "--model=shapes_cnn", "--dtype=float32"], "dtype"),
        (["--method=xnn,cgc"], "keras_xcons.XNN"),
        (["--method=cgc", "--xnn.epochs=3"], "is for the method 'xnn'"),
    ],
)
def test_commands_that_will_not_do(flags, words, tmp_path, capsys):
    assert main(["train", f"--output={tmp_path / 'run'}", *flags]) in (1, 2)
    told = capsys.readouterr().err
    assert words in told and told.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_help_shows_its_own_flags(capsys):
    assert main(["train", "--method=xnn", "--help"]) == 0
    told = capsys.readouterr().out
    assert "--num_features" in told and "--freeze_batch_norm" not in told
    assert "Trained classifier" in told and "--model" in told


def test_an_image_of_a_class_without_a_network(published, tmp_path, capsys):
    """Not another class's evidence in its place, unless that class is asked for."""
    folder, name = published[2], "image.png"
    image = np.random.default_rng(1).uniform(0, 255, (32, 32, 3)).astype("uint8")
    keras.utils.save_img(tmp_path / name, image)
    best = int(np.argmax(published[1](image[None].astype("float32"))))
    told = ["explain", str(tmp_path / name), f"--model={folder}"]
    told.append(f"--output={tmp_path / 'maps'}")
    names = json.loads((folder / "card.json").read_text())["class_names"]
    assert main(told) == (0 if best in (0, 2) else 1)
    if best not in (0, 2):
        error = capsys.readouterr().err
        assert f"says {names[best]}" in error and f"{names[2]}, {names[0]}" in error
    assert main([*told, f"--label={names[2]}"]) == 0


# Options.


def test_options_of_the_other_kind():
    with pytest.raises(ValueError, match="keras-xcons train --method=xnn"):
        TrainOptions(methods={"xnn": {}})
    with pytest.raises(ValueError, match="follows a training"):
        FollowOptions(model="shapes_cnn", methods={"cgc": {}})
    with pytest.raises(ValueError, match="takes a trained model"):
        FollowOptions()
    with pytest.raises(ValueError, match="for the shapes set"):
        FollowOptions(dataset="cub", model="shapes_cnn", num_samples=3)


def test_a_model_of_other_classes(tmp_path):
    path = tmp_path / "four.keras"
    kx.models.create("small_cnn", 4, 32, width=4).save(path)
    options = FollowOptions(model=str(path), output=str(tmp_path / "run"))
    with pytest.raises(ValueError, match="4 classes and 'shapes' with 10"):
        follow(options)
    assert not (tmp_path / "run").exists()
