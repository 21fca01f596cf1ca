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
from keras_xcons.files import InUseError
from keras_xcons.models.architectures import create
from keras_xcons.zoo import checking, publishing
from tests.files.test_locking import HOLD, start
from tests.files.test_writing import WRITE, killed
from tests.zoo.published import ABOUT, CLASSES, IMAGES, NAME, card_of, publish, trained


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
    card = card_of(folder)
    assert zoo.info(NAME) == {**card, "metrics": ABOUT["metrics"]}
    assert card["class_names"] == CLASSES
    assert card["feature_layer"] == "features"
    assert card["input_size"] == [16, 16]
    assert card["parameters"] == trained().count_params()
    assert card["bytes"] == os.path.getsize(folder / "model.weights.h5")
    assert card["created_with"]["keras"] == keras.__version__
    assert (card["dataset"], card["pretraining"]) == ("shapes", "none, random weights")
    assert json.loads((folder / "recipe.json").read_text()) == ABOUT["recipe"]
    assert json.loads((folder / "metrics.json").read_text()) == ABOUT["metrics"]


def test_weights_file_is_float16_and_reproducible(folder, places):
    dtypes = set()
    with h5py.File(folder / "model.weights.h5") as file:
        file.visititems(
            lambda _, item: dtypes.add(str(getattr(item, "dtype", "group")))
        )
    assert dtypes == {"group", "float16"}
    again = publish(places / "other")
    assert card_of(again)["sha256"] == card_of(folder)["sha256"]


def test_value_beyond_float16_stays_float32(zoo_folder):
    model = trained()
    model.get_layer("block1_bn").moving_variance.assign([70_000.0, 1.0, 1.0, 1.0])
    zoo.publish(model, NAME, zoo_folder, **ABOUT)
    loaded = zoo.load(NAME).get_layer("block1_bn").moving_variance.numpy()
    np.testing.assert_array_equal(loaded, [70_000.0, 1.0, 1.0, 1.0])


def test_backbone_of_keras_is_published(zoo_folder):
    about = {**ABOUT, "architecture": "mobilenet_v2", "arguments": {"alpha": 0.35}}
    model = create("mobilenet_v2", 3, 64, alpha=0.35)
    zoo.publish(model, "mobilenet_v2_shapes", zoo_folder, **about)
    assert zoo.info("mobilenet_v2_shapes")["feature_layer"] == "features"
    images = np.repeat(np.repeat(IMAGES, 4, 1), 4, 2)
    expected = model(images).numpy()
    logits = zoo.load("mobilenet_v2_shapes")(images).numpy()
    np.testing.assert_allclose(logits, expected, atol=0.02 * np.abs(expected).max())


def test_model_of_low_precision_is_published_with_the_logits_of_float32(zoo_folder):
    expected = card_of(publish(zoo_folder))["check"]["logits"]
    weights = trained().get_weights()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = create("small_cnn", 3, 16, width=4)
        model.set_weights(weights)
        folder = zoo.publish(model, "small_cnn_low", zoo_folder, **ABOUT)
        assert card_of(folder)["check"]["logits"] == expected
        assert zoo.verify("small_cnn_low") == 0.0
        assert zoo.load("small_cnn_low").get_layer("block1_conv").compute_dtype == (
            "bfloat16"
        )
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")


def test_name_need_not_begin_with_the_architecture(zoo_folder):
    publish(zoo_folder, "shapes_cnn")
    assert zoo.list_models() == ["shapes_cnn"]
    assert zoo.load("shapes_cnn").name == "small_cnn"


@pytest.mark.parametrize(
    "changes, error, message",
    [
        ({"name": "Small"}, ValueError, "'name' must be a model name.*'Small'"),
        ({"name": "small_cnn_a/b"}, ValueError, "name='small_cnn_a/b'"),
        ({"name": "../small_cnn"}, ValueError, "name='../small_cnn'"),
        ({"name": None}, ValueError, "name=None"),
        ({"class_names": ["a"]}, ValueError, r"1 names for output_shape=\(None, 3\)"),
        ({"class_names": ["a", "b", ""]}, ValueError, "'class_names' must be"),
        ({"arguments": {"width": 8}}, ValueError, "does not fit.*'width': 8"),
        ({"arguments": {"wdth": 4}}, ValueError, "Did you mean 'width'"),
        ({"arguments": {"pretrained": None}}, ValueError, "must not set .'pretrained'"),
        ({"architecture": "cnn"}, ValueError, "Unknown architecture"),
        ({"metrics": {}}, ValueError, "`metrics` must be a non-empty dict"),
        ({"metrics": {"a": float("nan")}}, ValueError, "no NaN and no arrays"),
        ({"recipe": {"a": np.ones(2)}}, ValueError, "`recipe` must hold plain JSON"),
        ({"data": " "}, ValueError, "'data' must be a non-empty string"),
        ({"dataset": ""}, ValueError, "'dataset' must be a non-empty string"),
        ({"pretraining": None}, ValueError, "'pretraining' must be a non-empty"),
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


def test_publish_refuses_weights_of_another_order(zoo_folder):
    # As many weights in all, and others in each layer.
    images = keras.Input((16, 16, 3))
    pooled = keras.layers.GlobalAveragePooling2D(name="features")(images)
    count = trained().count_params()
    hidden = keras.layers.Dense(1, use_bias=False)(pooled)
    logits = keras.layers.Dense(3)(hidden)
    rest = keras.layers.Embedding(count - 9, 1)
    rest.build(())
    model = keras.Model(images, logits)
    model.rest = rest
    assert model.count_params() == count
    with pytest.raises(ValueError, match="its weights have other shapes"):
        publishing._twin(model, publishing.cards.in_order(_card_of_small_cnn()))


def _card_of_small_cnn():
    described = {key: ABOUT[key] for key in ABOUT if key not in ("recipe", "metrics")}
    described |= {"name": NAME, "feature_layer": "features", "paper": None, "url": None}
    described |= {"explainer": "gradcam++"}
    return publishing._card(trained(), **described)


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
    save = publishing.save_float16

    def save_other(model, path):
        other = trained()
        other.get_layer("logits").bias.assign([1.0, 0.0, 0.0])
        save(other, path)

    monkeypatch.setattr(publishing, "save_float16", save_other)
    with pytest.raises(ValueError, match="logits/bias differ from the original"):
        publish(zoo_folder)
    assert list(zoo_folder.iterdir()) == []


def test_publish_replaces_only_when_asked(folder, zoo_folder):
    with pytest.raises(FileExistsError, match="overwrite=True"):
        publish(zoo_folder)
    publish(zoo_folder, method="plain", overwrite=True)
    assert zoo.info(NAME)["method"] == "plain"
    assert sorted(path.name for path in zoo_folder.iterdir()) == ["index.json", NAME]


def test_publish_goes_into_the_folder_of_the_recipe(zoo_folder):
    (zoo_folder / NAME).mkdir()
    (zoo_folder / NAME / "recipe.json").write_text("{}")
    (zoo_folder / NAME / "notes.md").write_text("a user's own")
    publish(zoo_folder)
    assert (
        json.loads((zoo_folder / NAME / "recipe.json").read_text()) == (ABOUT["recipe"])
    )
    assert (zoo_folder / NAME / "notes.md").read_text() == "a user's own"
    zoo.load(NAME)


@pytest.mark.parametrize("stopped", range(5))
def test_publish_that_is_stopped_at_the_end_loses_no_file(
    stopped, folder, zoo_folder, monkeypatch
):
    (folder / "notes.md").write_text("a user's own")
    replace = os.replace
    moved = []

    def stop(source, target):
        if pathlib.Path(target).parent == folder:
            assert not (folder / "card.json").exists()
            moved.append(pathlib.Path(target).name)
            if len(moved) > stopped:
                raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            publish(zoo_folder, recipe={"epochs": 3}, overwrite=True)
    # Half of it is the old model and half the new one: it is no model.
    assert zoo.list_models() == []
    left = {path.name for path in folder.iterdir()} - {".keras_xcons-ready"}
    # Whatever lay there lies there still, the old one or the new one.
    assert left == {
        *("README.md", "metrics.json", "model.weights.h5", "notes.md", "recipe.json")
    }
    recipe = json.loads((folder / "recipe.json").read_text())
    assert recipe in (ABOUT["recipe"], {"epochs": 3})
    assert sorted(path.name for path in zoo_folder.iterdir()) == ["index.json", NAME]
    publish(zoo_folder, recipe={"epochs": 3})
    zoo.verify(NAME)
    assert (folder / "notes.md").read_text() == "a user's own"


@pytest.mark.parametrize("name", ["README.md", "metrics.json", "model.weights.h5"])
def test_a_users_own_file_is_not_replaced(name, zoo_folder):
    place = zoo_folder / NAME
    place.mkdir()
    (place / name).write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match=f"^{name} in .* would be replaced"):
            publish(zoo_folder, overwrite=overwrite)
    assert (place / name).read_text() == "mine"
    assert list(place.iterdir()) == [place / name]


@pytest.mark.parametrize("content", ["mine", "[]", '{"pages": 3}'])
def test_a_users_own_index_is_not_replaced(content, zoo_folder):
    (zoo_folder / "index.json").write_text(content)
    with pytest.raises(FileExistsError, match="is not the list of a zoo's models"):
        publish(zoo_folder)
    assert [path.name for path in zoo_folder.iterdir()] == ["index.json"]
    assert (zoo_folder / "index.json").read_text() == content


def test_one_process_publishes_at_a_time(zoo_folder):
    with start(zoo_folder, HOLD) as holder:
        holder.stdout.readline()
        with pytest.raises(InUseError):
            publish(zoo_folder)
        holder.kill()
        holder.wait()
    publish(zoo_folder)
    assert sorted(path.name for path in zoo_folder.iterdir()) == ["index.json", NAME]


def test_what_a_killed_process_has_left_is_removed(zoo_folder):
    killed(zoo_folder, WRITE)
    assert len(list(zoo_folder.iterdir())) == 2
    publish(zoo_folder)
    assert sorted(path.name for path in zoo_folder.iterdir()) == ["index.json", NAME]


@pytest.mark.slow
def test_publish_tool(tmp_path):
    checkout = pathlib.Path(__file__).parents[2]
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
            "--dataset=shapes",
            "--data=the generated shapes set",
            "--pretraining=none",
        ],
        env={**os.environ, "PYTHONPATH": str(checkout)},
        check=True,
    )
    card = zoo.info(tmp_path / "zoo" / NAME)
    assert card["class_names"] == CLASSES
    assert card["data"] == "the generated shapes set"
    assert card["check"]["logits"] == pytest.approx(
        list(trained()(checking.check_image(16)[None]).numpy()[0]), rel=0.02
    )
