"""The whole suite over the kinds of models that there are, and over real images."""

import keras
import numpy as np
import pytest

from keras_xcons import XConsModel, data, evaluate
from keras_xcons.evaluation import METRICS

SIZE = 32
FEW = {"steps": 2, "pgd_steps": 2, "noise_samples": 2, "gallery": 3, "verbose": 0}


def backbone():
    images = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1)(images)
    x = keras.layers.Conv2D(8, 3, strides=2, use_bias=False)(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Activation("relu")(x)
    return keras.Model(images, x, name="backbone")


def nested():
    images = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.GlobalAveragePooling2D()(backbone()(images))
    return keras.Model(images, keras.layers.Dense(10, dtype="float32")(x))


def deep_head():
    """Its heatmaps need a gradient tape."""
    images = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.GlobalMaxPooling2D()(backbone()(images))
    x = keras.layers.Dense(12, "relu")(x)
    return keras.Model(images, keras.layers.Dense(10, dtype="float32")(x))


def any_size():
    images = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu")(images)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, keras.layers.Dense(10, "softmax")(x))


def pair():
    head = keras.Sequential(
        [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10)]
    )
    return backbone(), head


MODELS = {
    "nested": nested,
    "deep head": deep_head,
    "any size": any_size,
    "pair": pair,
    "training": lambda: XConsModel(nested()),
}


@pytest.fixture
def policy():
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


def check_whole(report, images):
    found = report.to_dict()
    (figures,) = found["figures"].values()
    left_out = [name for entry in found["left_out"] for name in entry["metrics"]]
    assert sorted([*figures, *left_out]) == sorted(METRICS)
    for name, figure in figures.items():
        low, high = METRICS[name].range
        assert low <= figure["low"] <= figure["value"] <= figure["high"], name
        assert high is None or figure["high"] <= high, name
        assert figure["n"] + figure["skipped"] == images, name
    assert "<html" in report.to_html()
    return found


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_any_model(make):
    dataset = data.load(
        *("shapes", "original[:20]"), image_size=SIZE, batch_size=8, annotations=True
    )
    found = check_whole(evaluate(make(), dataset, **FEW), 20)
    assert len(found["metrics"]) == len(METRICS) - 2


@pytest.mark.parametrize("name", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("make", [nested, deep_head])
def test_mixed_precision(name, make, policy):
    policy(name)
    model = make()
    policy("float32")
    report = evaluate(model, "shapes", split="original[:20]", **FEW)
    check_whole(report, 20)


@pytest.mark.real_data
def test_pets_on_photographs(real_data):
    images = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.GlobalAveragePooling2D()(backbone()(images))
    model = keras.Model(images, keras.layers.Dense(3)(x))
    report = evaluate(
        model,
        real_data / "pets_three" / "1.0.0",
        split="test[:60]+test[-60:]",
        backgrounds=real_data / "backgrounds_google",
        metrics=["accuracy", "localisation", "backgrounds"],
        max_backgrounds=50,
        **FEW,
    )
    found = report.to_dict()
    assert found["provenance"]["images"] == 120
    figures = found["figures"][model.name]
    assert set(figures) >= {"pxap", "iou_auc", "bg_gap", "background_challenge"}
    # Some animals fill their picture, and leave no background to take.
    assert 60 < figures["mixed_rand"]["n"] < 120
    notes = " ".join(found["notes"])
    assert "50 photographs that belong to no class" in notes
    assert np.isclose(
        figures["bg_gap"]["value"],
        figures["mixed_same"]["value"] - figures["mixed_rand"]["value"],
        atol=0.02,
    )


@pytest.mark.real_data
def test_birds_in_boxes(real_data):
    images = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.GlobalAveragePooling2D()(backbone()(images))
    model = keras.Model(images, keras.layers.Dense(50)(x))
    folder = real_data / "cub200_first50" / "1.0.0"
    found = check_whole(evaluate(model, folder, split="test[:24]", **FEW), 24)
    (entry,) = [e for e in found["left_out"] if "no masks" in e["reason"]]
    assert {"pxap", "iou_auc", "bg_gap"} <= set(entry["metrics"])
    assert "classes have no image" in " ".join(found["notes"])
