import json
import os
import pathlib
import subprocess
import sys

import h5py
import keras
import numpy as np
import pytest

from keras_xcons import zoo
from keras_xcons.models.architectures import create
from keras_xcons.zoo import fetch, publishing, store

NAME = "small_cnn_shapes"
CLASSES = ["circle", "square", "star"]
ABOUT = {
    "architecture": "small_cnn",
    "arguments": {"width": 4},
    "class_names": CLASSES,
    "method": "xcons",
    "recipe": {"epochs": 2, "optimizer": "adamw"},
    "metrics": {"accuracy": 0.5, "localization": {"pointing_game": 0.75}},
    "data_license": "CC0-1.0",
    "weights_license": "Apache-2.0",
    "trained_on": "shapes, from random weights",
}
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3)).astype("uint8")


def trained():
    keras.utils.set_random_seed(0)
    model = create("small_cnn", 3, 16, width=4)
    # Moves the statistics of batch normalisation away from their start.
    model(IMAGES, training=True)
    return model


def card_of(folder):
    return json.loads((folder / "card.json").read_text())


def write_card(folder, card):
    (folder / "card.json").write_text(json.dumps(card))


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """Gives each test an empty cache and an empty checkout of its own."""
    monkeypatch.delenv("KERAS_XCONS_ZOO", raising=False)
    monkeypatch.delenv("KERAS_XCONS_OFFLINE", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    checkout = tmp_path / "checkout"
    (checkout / "zoo").mkdir(parents=True)
    (checkout / "setup.cfg").touch()
    monkeypatch.setattr(store, "_CHECKOUT", checkout)
    return tmp_path


@pytest.fixture
def zoo_folder(places):
    return places / "checkout" / "zoo"


@pytest.fixture
def folder(zoo_folder):
    return zoo.publish(trained(), NAME, zoo_folder, **ABOUT)


def test_published_model_comes_back(folder, zoo_folder):
    assert folder == zoo_folder / NAME
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "card.json",
        "metrics.json",
        "model.weights.h5",
        "recipe.json",
    ]
    model = zoo.load(NAME)
    assert type(model).__module__.startswith("keras.")
    assert {variable.dtype for variable in model.weights} == {"float32"}
    expected = trained()(IMAGES).numpy()
    logits = model(IMAGES).numpy()
    assert logits.shape == (4, 3)
    np.testing.assert_allclose(logits, expected, atol=0.01 * np.abs(expected).max())
    assert np.abs(logits - expected).max() > 0  # float16 has rounded
    for original, loaded in zip(trained().weights, model.weights, strict=True):
        half = original.numpy().astype("float16").astype("float32")
        np.testing.assert_array_equal(loaded.numpy(), half)


def test_card_says_what_the_model_is(folder):
    card = zoo.model_card(NAME)
    assert card == card_of(folder)
    assert card["class_names"] == CLASSES
    assert card["feature_layer"] == "features"
    assert card["input_size"] == [16, 16]
    assert card["parameters"] == trained().count_params()
    assert card["bytes"] == os.path.getsize(folder / "model.weights.h5")
    assert card["created_with"]["keras"] == keras.__version__
    assert json.loads((folder / "recipe.json").read_text()) == ABOUT["recipe"]
    assert json.loads((folder / "metrics.json").read_text()) == ABOUT["metrics"]


def test_page_tells_what_it_was_trained_on_and_its_metrics(folder):
    page = (folder / "README.md").read_text()
    assert "Trained on: shapes, from random weights" in page
    assert "| localization.pointing_game | 0.75 |" in page
    assert "| licence of the weights | Apache-2.0 |" in page
    assert f'kx.load("{NAME}")' in page


def test_weights_file_is_float16_and_reproducible(folder, places):
    dtypes = set()
    with h5py.File(folder / "model.weights.h5") as file:
        file.visititems(
            lambda _, item: dtypes.add(str(getattr(item, "dtype", "group")))
        )
    assert dtypes == {"group", "float16"}
    again = zoo.publish(trained(), NAME, places / "other", **ABOUT)
    assert card_of(again)["sha256"] == card_of(folder)["sha256"]


def test_value_beyond_float16_stays_float32(zoo_folder):
    model = trained()
    model.get_layer("block1_bn").moving_variance.assign([70_000.0, 1.0, 1.0, 1.0])
    zoo.publish(model, NAME, zoo_folder, **ABOUT)
    loaded = zoo.load(NAME).get_layer("block1_bn").moving_variance.numpy()
    np.testing.assert_array_equal(loaded, [70_000.0, 1.0, 1.0, 1.0])


def test_nested_backbone_is_published_and_named_by_its_feature_layer(zoo_folder):
    about = {**ABOUT, "architecture": "mobilenet_v2", "arguments": {"alpha": 0.35}}
    model = create("mobilenet_v2", 3, 64, alpha=0.35)
    zoo.publish(model, "mobilenet_v2_shapes", zoo_folder, **about)
    assert zoo.model_card("mobilenet_v2_shapes")["feature_layer"] == "out_relu"
    images = np.repeat(np.repeat(IMAGES, 4, 1), 4, 2)
    expected = model(images).numpy()
    logits = zoo.load("mobilenet_v2_shapes")(images).numpy()
    np.testing.assert_allclose(logits, expected, atol=0.02 * np.abs(expected).max())


def test_load_takes_a_folder(folder, places, monkeypatch):
    moved = places / "elsewhere"
    folder.rename(moved)
    expected = trained()(IMAGES).numpy()
    monkeypatch.chdir(places)
    for place in (moved, str(moved), "./elsewhere", "elsewhere"):
        logits = zoo.load(place)(IMAGES).numpy()
        np.testing.assert_allclose(logits, expected, atol=0.01 * np.abs(expected).max())


def test_places_are_asked_in_order(folder, places, monkeypatch):
    other = places / "configured"
    zoo.publish(trained(), NAME, other, **{**ABOUT, "method": "cgc"})
    assert zoo.model_card(NAME)["method"] == "xcons"
    monkeypatch.setenv("KERAS_XCONS_ZOO", str(other))
    assert zoo.model_card(NAME)["method"] == "cgc"
    # What is in none of the other places is found in the cache.
    cached = zoo.publish(
        trained(), "small_cnn_cached", store.cache(), **{**ABOUT, "method": "scaat"}
    )
    assert zoo.model_card("small_cnn_cached")["method"] == "scaat"
    assert zoo.download("small_cnn_cached") == cached / "model.weights.h5"


def test_list_models_unites_the_places_and_takes_wildcards(zoo_folder, places):
    assert zoo.list_models() == []
    for name in ("small_cnn_shapes_cgc", "small_cnn_pets", NAME):
        zoo.publish(trained(), name, zoo_folder, **ABOUT)
    zoo.publish(trained(), "small_cnn_cached", store.cache(), **ABOUT)
    (zoo_folder / "no_model").mkdir()
    assert zoo.list_models() == [
        "small_cnn_cached",
        "small_cnn_pets",
        "small_cnn_shapes",
        "small_cnn_shapes_cgc",
    ]
    assert zoo.list_models("*shapes*") == ["small_cnn_shapes", "small_cnn_shapes_cgc"]
    assert zoo.list_models("resnet*") == []
    index = json.loads((zoo_folder / "index.json").read_text())
    assert index == ["small_cnn_pets", "small_cnn_shapes", "small_cnn_shapes_cgc"]


def test_package_beside_another_zoo_folder_does_not_read_it(folder, places):
    assert zoo.list_models() == [NAME]
    (places / "checkout" / "setup.cfg").unlink()
    assert zoo.list_models() == []


@pytest.mark.parametrize("function", [zoo.load, zoo.model_card, zoo.download])
def test_unknown_name_is_refused_with_close_matches(function, folder):
    with pytest.raises(ValueError, match=f"Did you mean '{NAME}'.*'small_cnn_shape'"):
        function("small_cnn_shape")
    with pytest.raises(FileNotFoundError, match="no such folder. Received: 'nothing'"):
        function("./nothing")
    with pytest.raises(TypeError, match="string or the path.*Received: 3"):
        function(3)


def test_folder_without_card_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds a card.json; there is none"):
        zoo.load(tmp_path)


def test_configured_folder_must_exist(monkeypatch):
    monkeypatch.setenv("KERAS_XCONS_ZOO", "/no/such/zoo")
    with pytest.raises(FileNotFoundError, match="KERAS_XCONS_ZOO='/no/such/zoo'"):
        zoo.load(NAME)


def truncate(content):
    return content[: len(content) // 2]


def alter(content):
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize("damage", [truncate, alter])
def test_damaged_file_is_never_opened(damage, folder, monkeypatch):
    path = folder / "model.weights.h5"
    expected = card_of(folder)["sha256"]
    path.write_bytes(damage(path.read_bytes()))

    def refuse(*_, **__):
        raise AssertionError("a damaged file was opened")

    monkeypatch.setattr(keras.Model, "load_weights", refuse)
    monkeypatch.setattr(h5py, "File", refuse)
    received = fetch.sha256(path)
    message = f"{path}.*not opened.*sha256={expected}.*sha256={received}"
    with pytest.raises(ValueError, match=message):
        zoo.load(NAME)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"sha256": None}, "lacks the fields .'sha256'."),
        ({"pickle": "x"}, "has the unknown fields .'pickle'."),
        ({"weights": "../model.weights.h5"}, "'weights' must be a plain file name"),
        ({"weights": "model.pkl"}, "'weights' must be a plain file name"),
        ({"sha256": "ABC"}, "'sha256' must be 64 lower-case hexadecimal digits"),
        ({"bytes": True}, "'bytes' must be a positive int"),
        ({"input_size": [16]}, "'input_size' must be .height, width."),
        ({"class_names": []}, "'class_names' must be a non-empty list"),
        ({"url": "file:///etc/passwd"}, "'url' must be null or an http"),
        ({"arguments": [1]}, "'arguments' must be an object"),
        ({"format": 2}, "later version of keras-xcons"),
        ({"format": 0}, "'format' must be 1"),
        ({"name": "small_cnn_pets"}, "that of another model.*name='small_cnn_pets'"),
        ({"parameters": 7}, "does not fit its architecture.*parameters=7"),
        ({"architecture": "small_cmn"}, "Did you mean 'small_cnn'"),
    ],
)
def test_wrong_card_is_refused(changes, message, folder):
    card = {**card_of(folder), **changes}
    write_card(
        folder, {k: v for k, v in card.items() if v is not None or k != "sha256"}
    )
    with pytest.raises(ValueError, match=message):
        zoo.load(NAME)


def test_card_that_is_not_json_is_refused(folder):
    (folder / "card.json").write_text('{"name": ')
    with pytest.raises(ValueError, match="card.json is not JSON"):
        zoo.model_card(NAME)
    (folder / "card.json").write_text("[]")
    with pytest.raises(ValueError, match="must be a JSON object. Received: list"):
        zoo.model_card(NAME)


@pytest.mark.parametrize(
    "changes, error, message",
    [
        ({"name": "resnet50_shapes"}, ValueError, "begin with 'small_cnn_'"),
        ({"name": "small_cnn_"}, ValueError, "begin with 'small_cnn_'"),
        ({"name": "small_cnn_a/b"}, ValueError, "name='small_cnn_a/b'"),
        ({"class_names": ["a"]}, ValueError, r"1 names for output_shape=\(None, 3\)"),
        ({"class_names": ["a", "b", ""]}, ValueError, "'class_names' must be"),
        ({"arguments": {"width": 8}}, ValueError, "other shapes.*'width': 8"),
        ({"arguments": {"wdth": 4}}, TypeError, "Did you mean 'width'"),
        ({"metrics": {}}, ValueError, "`metrics` must be a non-empty dict"),
        ({"metrics": {"a": float("nan")}}, ValueError, "no NaN and no arrays"),
        ({"recipe": {"a": np.ones(2)}}, ValueError, "`recipe` must hold plain JSON"),
        ({"trained_on": " "}, ValueError, "'trained_on' must be a non-empty string"),
        ({"data_license": None}, ValueError, "'data_license' must be a non-empty"),
        ({"url": "ftp://example.org/x"}, ValueError, "'url' must be null or an http"),
        ({"feature_layer": "no_layer"}, ValueError, "no_layer"),
        ({"model": "model.keras"}, TypeError, "must be a keras.Model"),
    ],
)
def test_publish_refuses_bad_input_and_writes_nothing(
    changes, error, message, zoo_folder
):
    values = {"model": trained(), "name": NAME, **ABOUT, **changes}
    with pytest.raises(error, match=message):
        zoo.publish(values.pop("model"), values.pop("name"), zoo_folder, **values)
    assert list(zoo_folder.iterdir()) == []


def test_publish_refuses_open_image_size(zoo_folder):
    images = keras.Input((None, None, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(images)
    model = keras.Model(images, keras.layers.Dense(3)(pooled))
    with pytest.raises(ValueError, match="images of one fixed size"):
        zoo.publish(model, NAME, zoo_folder, **ABOUT)


def test_publish_refuses_another_preprocessing_before_the_same_weights(zoo_folder):
    model = trained()
    model.get_layer("preprocessing").scale = 1 / 255
    with pytest.raises(ValueError, match="logits of the loaded model differ"):
        zoo.publish(model, NAME, zoo_folder, **ABOUT)
    assert list(zoo_folder.iterdir()) == []


def test_publish_refuses_weights_that_are_not_finite(zoo_folder):
    model = trained()
    model.get_layer("logits").bias.assign([0.0, np.nan, 0.0])
    with pytest.raises(ValueError, match="hold NaN or infinity"):
        zoo.publish(model, NAME, zoo_folder, **ABOUT)
    assert list(zoo_folder.iterdir()) == []


def test_publish_checks_what_was_written(zoo_folder, monkeypatch):
    save = publishing.save_half

    def save_other(model, path):
        other = trained()
        other.get_layer("logits").bias.assign([1.0, 0.0, 0.0])
        save(other, path)

    monkeypatch.setattr(publishing, "save_half", save_other)
    with pytest.raises(ValueError, match="logits/bias differ from the original"):
        zoo.publish(trained(), NAME, zoo_folder, **ABOUT)
    assert list(zoo_folder.iterdir()) == []


def test_publish_replaces_only_when_asked(folder, zoo_folder):
    with pytest.raises(FileExistsError, match="overwrite=True"):
        zoo.publish(trained(), NAME, zoo_folder, **ABOUT)
    zoo.publish(
        trained(), NAME, zoo_folder, **{**ABOUT, "method": "plain"}, overwrite=True
    )
    assert zoo.model_card(NAME)["method"] == "plain"
    assert sorted(path.name for path in zoo_folder.iterdir()) == ["index.json", NAME]


def test_publish_that_fails_at_the_end_keeps_what_was_there(
    folder, zoo_folder, monkeypatch
):
    rename = os.rename

    def fail(source, target):
        if str(target) == str(folder) and "-old-" not in str(source):
            raise OSError("no space left on device")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail)
    about = {**ABOUT, "method": "plain", "overwrite": True}
    with pytest.raises(OSError, match="no space left"):
        zoo.publish(trained(), NAME, zoo_folder, **about)
    assert zoo.model_card(NAME)["method"] == "xcons"
    assert sorted(path.name for path in zoo_folder.iterdir()) == ["index.json", NAME]


@pytest.mark.slow
def test_publish_tool(tmp_path):
    checkout = pathlib.Path(__file__).parents[1]
    trained().save(tmp_path / "model.keras")
    (tmp_path / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    (tmp_path / "recipe.json").write_text(json.dumps(ABOUT["recipe"]))
    (tmp_path / "metrics.json").write_text(json.dumps(ABOUT["metrics"]))
    subprocess.run(
        [
            sys.executable,
            checkout / "tools" / "publish.py",
            f"--model={tmp_path / 'model.keras'}",
            f"--name={NAME}",
            f"--zoo={tmp_path / 'zoo'}",
            "--architecture=small_cnn",
            '--arguments={"width": 4}',
            f"--class_names={tmp_path / 'classes.txt'}",
            "--method=xcons",
            f"--recipe={tmp_path / 'recipe.json'}",
            f"--metrics={tmp_path / 'metrics.json'}",
            "--data_license=CC0-1.0",
            "--weights_license=Apache-2.0",
            "--trained_on=shapes",
        ],
        env={**os.environ, "PYTHONPATH": str(checkout)},
        check=True,
    )
    card = zoo.model_card(tmp_path / "zoo" / NAME)
    assert card["class_names"] == CLASSES
    assert card["trained_on"] == "shapes"


def test_readme_shows_a_figure_with_its_interval_in_one_row():
    from keras_xcons.zoo.readme import readme

    figure = {"value": 0.95, "low": 0.9375, "high": 0.96, "n": 1000}
    card = {
        "name": "n",
        "architecture": "a",
        "arguments": {},
        "class_names": ["x"],
        "input_size": [8, 8],
        "bytes": 1,
        "parameters": 1,
        "created_with": {},
        "paper": None,
        **dict.fromkeys(
            ["sha256", "feature_layer", "method", "trained_on", "weights_license"], "-"
        ),
        "data_license": "-",
        "recipe": "recipe.json",
    }
    text = readme(card, {"test": {"accuracy": figure}, "splits": ["a", "b"]})
    assert "| test.accuracy | 0.95 [0.9375, 0.96], n = 1000 |" in text
    assert "| splits | a, b |" in text
