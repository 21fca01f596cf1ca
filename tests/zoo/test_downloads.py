import json
import os
import threading

import numpy as np
import pytest

from keras_xcons import zoo
from keras_xcons.zoo import fetch, store
from tests.zoo.published import NAME, card_of, change_card, contents

WEIGHTS = f"{NAME}/model.weights.h5"
CACHED = [NAME, f"{NAME}/card.json", f"{NAME}/metrics.json", WEIGHTS]


def test_zoo_behind_a_url(by_url):
    assert zoo.list_models() == [NAME]
    assert zoo.info(NAME)["class_names"] == ["circle", "square", "star"]
    assert zoo.info(NAME)["metrics"]["accuracy"] == 0.5
    assert contents(store.cache()) == []
    model = zoo.load(NAME)
    assert model(np.zeros((1, 16, 16, 3), "uint8")).shape == (1, 3)
    assert contents(store.cache()) == CACHED
    by_url.asked.clear()
    zoo.load(NAME)
    assert by_url.asked == [f"/{NAME}/card.json"]


def test_zoo_behind_a_url_is_filtered_by_its_index_alone(by_url):
    assert zoo.list_models(architecture="small*", method="xcons") == [NAME]
    assert zoo.list_models(method="plain") == []
    assert by_url.asked == ["/index.json"] * 2


def test_model_is_loaded_from_its_own_url(by_url, monkeypatch):
    monkeypatch.delenv("KERAS_XCONS_ZOO")
    assert zoo.load(f"{by_url.url}/{NAME}/").output_shape == (None, 3)
    shouted = by_url.url.replace("http", "HTTP")
    assert zoo.info(f"{shouted}/{NAME}")["name"] == NAME
    assert contents(store.cache()) == CACHED
    with pytest.raises(FileNotFoundError, match="card.json; there is none. Received"):
        zoo.load(f"{by_url.url}/nothing")
    monkeypatch.setenv("KERAS_XCONS_OFFLINE", "1")
    with pytest.raises(ConnectionError, match="KERAS_XCONS_OFFLINE is set: http"):
        zoo.load(f"{by_url.url}/{NAME}")
    assert zoo.verify(NAME) == 0.0


def test_weights_from_the_url_of_the_card(by_card):
    path = zoo.download(NAME)
    assert path == store.cache() / NAME / "model.weights.h5"
    assert by_card.asked == [f"/{NAME}.weights.h5"]
    zoo.load(NAME)
    assert len(by_card.asked) == 1


def test_cache_serves_alone_once_it_is_filled(by_url, monkeypatch):
    zoo.download(NAME)
    by_url.asked.clear()
    monkeypatch.setenv("KERAS_XCONS_OFFLINE", "1")
    assert zoo.list_models(dataset="shapes") == [NAME]
    assert zoo.info(NAME)["metrics"]["accuracy"] == 0.5
    zoo.load(NAME)
    assert by_url.asked == []


def test_cached_model_is_found_when_the_url_does_not_answer(by_url, monkeypatch):
    zoo.download(NAME)
    # Port 1 refuses connections.
    monkeypatch.setenv("KERAS_XCONS_ZOO", "http://127.0.0.1:1")
    assert zoo.list_models() == [NAME]
    zoo.load(NAME)


def test_unknown_name_behind_a_url(by_url):
    with pytest.raises(ValueError, match=f"Did you mean '{NAME}'"):
        zoo.load("small_cnn_shape")
    assert contents(store.cache()) == []


def test_url_that_does_not_answer(monkeypatch):
    monkeypatch.setenv("KERAS_XCONS_ZOO", "http://127.0.0.1:1")
    with pytest.raises(ConnectionError, match="Cannot read http://127.0.0.1:1/small"):
        zoo.load(NAME)


def test_outdated_cache_is_replaced(by_url):
    path = zoo.download(NAME)
    path.write_bytes(b"of an earlier version")
    zoo.load(NAME)
    assert path.stat().st_size == zoo.info(NAME)["bytes"]


def test_offline_never_touches_the_network(by_card, monkeypatch):
    monkeypatch.setenv("KERAS_XCONS_OFFLINE", "1")
    with pytest.raises(FileNotFoundError, match="KERAS_XCONS_OFFLINE is set"):
        zoo.load(NAME)
    monkeypatch.setenv("KERAS_XCONS_ZOO", by_card.url)
    assert zoo.list_models() == [NAME]
    with pytest.raises(ValueError, match="no URL was asked. Unknown model"):
        zoo.load("small_cnn_other")
    with pytest.raises(ConnectionError, match="OFFLINE is set: .*x was not asked"):
        fetch.file(f"{by_card.url}/x", store.cache() / "x" / "y", 1, "0" * 64)
    assert by_card.asked == []
    monkeypatch.setenv("KERAS_XCONS_OFFLINE", "0")
    with pytest.raises(ValueError, match="^Unknown model"):
        zoo.load("small_cnn_other")
    assert by_card.asked != []


def test_card_without_url_or_weights_says_so(folder):
    (folder / "model.weights.h5").unlink()
    with pytest.raises(FileNotFoundError, match="the card has no URL"):
        zoo.load(NAME)


def test_second_url_is_tried(by_card, folder, monkeypatch):
    # The zoo behind the URL holds the card alone; the card says where the rest is.
    folder.rename(by_card.folder / NAME)
    monkeypatch.setenv("KERAS_XCONS_ZOO", by_card.url)
    zoo.load(NAME)
    assert by_card.asked[:3] == [
        f"/{NAME}/card.json",
        f"/{NAME}/model.weights.h5",
        f"/{NAME}.weights.h5",
    ]


@pytest.mark.parametrize(
    "text, message",
    [
        ("[]", "index.json must be a JSON object that tells architecture, arguments"),
        (json.dumps([NAME]), rf"of each model by its name. Received: \['{NAME}'\]"),
        ("[", "index.json is not JSON"),
    ],
)
def test_broken_index_is_named(text, message, by_url):
    (by_url.folder / "index.json").write_text(text)
    for filters in ({}, {"method": "xcons"}):
        with pytest.raises(ValueError, match=message):
            zoo.list_models(**filters)
    zoo.load(NAME)  # which needs no index


@pytest.mark.parametrize(
    "name, changes, reason",
    [
        ("../x", {}, "the model '../x' must have a model name"),
        ("x\n\x1b[2Jy", {}, r"the model 'x\n\x1b[2Jy' must have a model name"),
        ("x", {"parameters": "many"}, "'parameters' a positive int of at most"),
        ("x", {"parameters": 10**400}, "'parameters' a positive int of at most"),
        ("x", {"method": None}, "'method' a non-empty string"),
        ("x", {"sha256": "0"}, "must be told by architecture, arguments"),
    ],
)
def test_one_wrong_entry_of_an_index_hides_no_other(
    name, changes, reason, by_url, caplog
):
    path = by_url.folder / "index.json"
    told = json.loads(path.read_text())[NAME]
    path.write_text(json.dumps({name: {**told, **changes}, NAME: told}))
    caplog.set_level("WARNING", logger="absl")
    assert zoo.list_models() == [NAME]
    (record,) = caplog.records
    assert reason in record.getMessage()
    assert record.getMessage().isprintable()


def test_missing_index_is_a_warning(by_url, caplog):
    caplog.set_level("WARNING", logger="absl")
    (by_url.folder / "index.json").unlink()
    assert zoo.list_models() == []
    assert "index.json does not exist; its models are not listed" in caplog.text


def test_broken_metrics_do_not_stop_a_download(by_url, caplog):
    caplog.set_level("WARNING", logger="absl")
    (by_url.folder / NAME / "metrics.json").write_text("{")
    zoo.load(NAME)
    assert "metrics.json is not JSON" in caplog.text
    assert contents(store.cache()) == [NAME, f"{NAME}/card.json", WEIGHTS]


def test_threads_download_once(by_url):
    seen = []
    threads = [
        threading.Thread(target=lambda: seen.append(zoo.download(NAME)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert by_url.asked.count(f"/{WEIGHTS}") == 1


def test_replaced_model_of_the_same_name_is_downloaded_anew(by_card, folder):
    path = zoo.download(NAME)
    before = path.read_bytes()
    # The model is published anew, so the cache no longer fits its card.
    change_card(folder, sha256="0" * 64)
    with pytest.raises(ValueError, match="was not kept"):
        zoo.download(NAME)
    assert path.read_bytes() == before
    assert card_of(path.parent)["sha256"] != "0" * 64


def test_file_is_readable_for_others(by_url):
    old = os.umask(0o022)
    try:
        assert zoo.download(NAME).stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(old)
