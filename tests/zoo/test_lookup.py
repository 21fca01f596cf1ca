import json
import os
import re

import numpy as np
import pytest

import keras_xcons as kx
from keras_xcons import zoo
from tests.zoo.published import (
    IMAGES,
    NAME,
    card_of,
    change_card,
    publish,
    trained,
)


def test_load_takes_a_folder(folder, places, monkeypatch):
    moved = places / "elsewhere"
    folder.rename(moved)
    expected = trained()(IMAGES).numpy()
    monkeypatch.chdir(places)
    for place in (moved, str(moved), "./elsewhere", "elsewhere"):
        logits = zoo.load(place)(IMAGES).numpy()
        np.testing.assert_allclose(logits, expected, atol=0.01 * np.abs(expected).max())


def test_package_has_the_functions_at_its_top(folder):
    assert kx.list_models() == [NAME]
    assert kx.info(NAME)["name"] == NAME
    assert kx.download(NAME) == folder / "model.weights.h5"
    assert kx.load(NAME).output_shape == (None, 3)


def test_places_are_asked_in_order(folder, places, monkeypatch):
    other = places / "configured"
    publish(other, method="cgc")
    assert zoo.info(NAME)["method"] == "xcons"
    assert zoo.list_models(method="cgc") == []
    monkeypatch.setenv("KERAS_XCONS_ZOO", str(other))
    assert zoo.info(NAME)["method"] == "cgc"
    assert zoo.list_models(method="cgc") == [NAME]


def test_list_models_unites_the_places_and_takes_wildcards(zoo_folder):
    assert zoo.list_models() == []
    for name in ("small_cnn_shapes_cgc", "small_cnn_pets", NAME):
        publish(zoo_folder, name)
    (zoo_folder / "no_model").mkdir()
    assert zoo.list_models() == [
        "small_cnn_pets",
        "small_cnn_shapes",
        "small_cnn_shapes_cgc",
    ]
    assert zoo.list_models("*shapes*") == ["small_cnn_shapes", "small_cnn_shapes_cgc"]
    assert zoo.list_models("SMALL*") == []
    assert zoo.list_models("resnet*") == []
    index = json.loads((zoo_folder / "index.json").read_text())
    assert list(index) == ["small_cnn_pets", "small_cnn_shapes", "small_cnn_shapes_cgc"]


@pytest.fixture
def birds(zoo_folder):
    """Cards of a zoo as it will be; their weights are nobody's concern here."""
    small = publish(zoo_folder, "shapes_cnn")
    card = card_of(small)
    on_resnet18 = {"backbone": "resnet18", "prototypes": 10}
    for name, architecture, arguments, dataset, method in (
        ("resnet18_cub", "resnet18", {}, "cub200_first50", "xcons"),
        ("resnet18_cub_plain", "resnet18", {}, "cub200_first50", "plain"),
        ("resnet18_tiny", "resnet18", {}, "tiny_imagenet_300", "plain"),
        ("protopnet_resnet18_cub", "protopnet", on_resnet18, "cub200_first50", "xcons"),
    ):
        (zoo_folder / name).mkdir()
        (zoo_folder / name / "card.json").write_text(json.dumps(card))
        change_card(
            zoo_folder / name,
            name=name,
            architecture=architecture,
            arguments=arguments,
            dataset=dataset,
            method=method,
        )


@pytest.mark.parametrize(
    "filters, names",
    [
        ({"dataset": "shapes"}, ["shapes_cnn"]),
        ({"dataset": "cub*", "method": "plain"}, ["resnet18_cub_plain"]),
        ({"dataset": "cub"}, []),
        ({"method": "p*n"}, ["resnet18_cub_plain", "resnet18_tiny"]),
        (
            {"architecture": "resnet18", "dataset": "cub*"},
            ["protopnet_resnet18_cub", "resnet18_cub", "resnet18_cub_plain"],
        ),
        ({"architecture": "protopnet"}, ["protopnet_resnet18_cub"]),
        ({"architecture": "resnet18", "pattern": "proto*"}, ["protopnet_resnet18_cub"]),
        ({"architecture": "*net18", "method": "xcons", "pattern": "r*"}, 1),
        ({"architecture": "small_c??"}, ["shapes_cnn"]),
        ({"architecture": "resnet"}, []),
    ],
)
def test_list_models_takes_filters(filters, names, birds):
    names = ["resnet18_cub"] if names == 1 else names
    assert zoo.list_models(**filters) == names
    assert list(zoo.summaries(**filters)) == names


@pytest.mark.parametrize("name", ["pattern", "dataset", "method", "architecture"])
def test_filter_must_be_a_string(name):
    with pytest.raises(TypeError, match=rf"`{name}` must be a string.*{name}=\['a'\]"):
        zoo.list_models(**{name: ["a"]})
    with pytest.raises(TypeError, match="pattern=None"):
        zoo.list_models(None)


WRONG = [
    ({"method": 7}, "'method' must be a non-empty string"),
    ({"parameters": 10**400}, "'parameters' must be a positive int of at most"),
    ({"bytes": 10**400}, "'bytes' must be a positive int of at most"),
    ({"check": {"logits": [10**400], "heatmap": None}}, "'check' must be an object"),
    ({"class_names": ["a", "\ud800", "b"]}, "is not JSON in UTF-8"),
    ({"dataset": "\udc80"}, "is not JSON in UTF-8"),
    ({"a\x1b[2J": 1}, r"the unknown fields ['a\x1b[2J']"),
]


@pytest.mark.parametrize("changes, reason", WRONG)
def test_wrong_card_is_left_out_of_the_list_with_a_warning(
    changes, reason, folder, zoo_folder, caplog
):
    publish(zoo_folder, "small_cnn_pets")
    change_card(folder, **changes)
    caplog.set_level("WARNING", logger="absl")
    assert zoo.list_models() == ["small_cnn_pets"]
    (record,) = caplog.records
    assert reason in record.getMessage()
    assert "it is not listed" in record.getMessage()
    assert record.getMessage().isprintable()


def test_what_is_no_file_is_no_card(folder, zoo_folder):
    publish(zoo_folder, "small_cnn_pets")
    (folder / "card.json").unlink()
    (folder / "card.json").mkdir()
    assert zoo.list_models() == ["small_cnn_pets"]
    with pytest.raises(FileNotFoundError, match="card.json; there is none"):
        zoo.load(folder)


def test_package_beside_another_zoo_folder_does_not_read_it(folder, places):
    assert zoo.list_models() == [NAME]
    (places / "checkout" / "setup.cfg").unlink()
    assert zoo.list_models() == []


@pytest.mark.parametrize("function", [zoo.load, zoo.info, zoo.download, zoo.verify])
def test_unknown_name_is_refused_with_close_matches(function, folder):
    with pytest.raises(ValueError, match=f"Did you mean '{NAME}'.*'small_cnn_shape'"):
        function("small_cnn_shape")
    with pytest.raises(FileNotFoundError, match="no such folder. Received: 'nothing'"):
        function("./nothing")
    with pytest.raises(TypeError, match="string or the path.*Received: 3"):
        function(3)


@pytest.mark.parametrize("name", ["a" * 129, "a" * 300, "a\0b"])
def test_name_that_no_file_can_have_is_unknown(name, folder):
    with pytest.raises(ValueError, match="Unknown model.*Received: model='a"):
        zoo.load(name)
    with pytest.raises(FileNotFoundError, match="no such folder. Received: 'a"):
        zoo.load(f"{name}/x")


@pytest.mark.parametrize(
    "address",
    [
        "http://[::1/x",
        "http://a:x/",
        "https:///x",
        "http://\u00e9.org",
        "ftp://a.org/x",
    ],
)
def test_address_that_is_none_is_refused(address, monkeypatch):
    with pytest.raises(ValueError, match=re.escape(f"Received: {address!r}")):
        zoo.load(address)
    monkeypatch.setenv("KERAS_XCONS_ZOO", address)
    with pytest.raises(ValueError, match=re.escape(f"Received: {address!r}")):
        zoo.load(NAME)


def test_folder_without_card_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds a card.json; there is none"):
        zoo.load(tmp_path)


def test_configured_folder_must_exist(monkeypatch):
    monkeypatch.setenv("KERAS_XCONS_ZOO", "/no/such/zoo")
    with pytest.raises(FileNotFoundError, match="KERAS_XCONS_ZOO='/no/such/zoo'"):
        zoo.load(NAME)


def test_metrics_that_do_not_lie_there_are_none(folder):
    os.unlink(folder / "metrics.json")
    assert zoo.info(NAME)["metrics"] is None
    zoo.load(NAME)


@pytest.mark.parametrize(
    "text, message",
    [
        ("[1]", "metrics.json must be a JSON object. Received: list"),
        ('{"a": NaN}', "metrics.json is not JSON: NaN"),
    ],
)
def test_broken_metrics_are_named(text, message, folder):
    (folder / "metrics.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        zoo.info(NAME)
