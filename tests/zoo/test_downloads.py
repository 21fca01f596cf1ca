import json
import os
import re
import shutil
import threading

import numpy as np
import pytest

from keras_xcons import zoo
from keras_xcons.zoo import cache, fetch
from tests.zoo import server
from tests.zoo.published import NAME, card_of, change_card, contents, publish

WEIGHTS = f"{NAME}/model.weights.h5"
FILES = ["card.json", "metrics.json", "model.weights.h5", "origin.json"]


def cached():
    """What the cache holds, by the addresses that it is from."""
    held = {origin: sorted(os.listdir(path)) for origin, path in cache.found()}
    assert len(held) == len(os.listdir(cache.root()))
    return held


def test_zoo_behind_a_url(by_url):
    assert zoo.list_models() == [NAME]
    assert zoo.info(NAME)["class_names"] == ["circle", "square", "star"]
    assert zoo.info(NAME)["metrics"]["accuracy"] == 0.5
    assert contents(cache.root()) == []
    model = zoo.load(NAME)
    assert model(np.zeros((1, 16, 16, 3), "uint8")).shape == (1, 3)
    assert cached() == {f"{by_url.url}/{NAME}": FILES}
    by_url.asked.clear()
    zoo.load(NAME)
    assert by_url.asked == [f"/{NAME}/card.json"]


def test_zoo_behind_a_url_is_filtered_by_its_index_alone(by_url):
    assert zoo.list_models(architecture="small*", method="xcons") == [NAME]
    assert zoo.list_models(method="plain") == []
    assert by_url.asked == ["/index.json"] * 2


def test_model_is_loaded_from_its_own_url(by_url, monkeypatch):
    monkeypatch.delenv("KERAS_XCONS_ZOO")
    address = f"{by_url.url}/{NAME}"
    assert zoo.load(f"{address}/").output_shape == (None, 3)
    shouted = f"{by_url.url.replace('http', 'HTTP')}/{NAME}"
    assert zoo.info(shouted)["name"] == NAME
    assert cached() == {address: FILES}
    with pytest.raises(FileNotFoundError, match="card.json; there is none. Received"):
        zoo.load(f"{by_url.url}/nothing")
    monkeypatch.setenv("KERAS_XCONS_OFFLINE", "1")
    by_url.asked.clear()
    for spelled in (address, f"{address}/", shouted):
        assert zoo.verify(spelled) == 0.0
        assert zoo.download(spelled).is_relative_to(cache.root())
        assert zoo.info(spelled)["metrics"]["accuracy"] == 0.5
    with pytest.raises(ConnectionError, match="KERAS_XCONS_OFFLINE is set: http"):
        zoo.load(f"{by_url.url}/nothing")
    assert by_url.asked == []


def test_name_in_a_card_is_no_name_of_the_cache(by_url, zoo_folder, monkeypatch):
    # Anybody may call a model by a name that others have published.
    address = f"{by_url.url}/{NAME}"
    monkeypatch.delenv("KERAS_XCONS_ZOO")
    zoo.load(address)
    for offline in ("0", "1"):
        monkeypatch.setenv("KERAS_XCONS_OFFLINE", offline)
        assert zoo.list_models() == []
        for function in (zoo.load, zoo.info, zoo.download, zoo.verify):
            message = f"There is a download of {address}: load that address"
            with pytest.raises(ValueError, match=message):
                function(NAME)
    monkeypatch.setenv("KERAS_XCONS_OFFLINE", "0")
    # Nor by the name of another address, or of another zoo.
    publish(zoo_folder, method="cgc")
    assert zoo.info(NAME)["method"] == "cgc"
    assert zoo.download(NAME).is_relative_to(zoo_folder)
    with server.serve(by_url.folder.parent / "other") as other:
        shutil.copytree(zoo_folder / NAME, other.folder / NAME)
        monkeypatch.setenv("KERAS_XCONS_ZOO", other.url)
        zoo.load(NAME)
        assert cached() == {address: FILES, f"{other.url}/{NAME}": FILES}
    monkeypatch.setenv("KERAS_XCONS_OFFLINE", "1")
    for name in (NAME, f"{other.url}/{NAME}"):
        assert zoo.info(name)["method"] == "cgc"
    assert zoo.info(address)["method"] == "xcons"


@pytest.mark.parametrize(
    "origin", ["http://a.org/x", {"a": 1}, [], None, "http://a.org/x\ud800"]
)
def test_folder_that_is_of_another_origin_is_not_taken(origin, by_url, monkeypatch):
    path = zoo.download(NAME)
    (path.parent / "origin.json").write_text(json.dumps({"origin": origin}))
    monkeypatch.setenv("KERAS_XCONS_OFFLINE", "1")
    assert zoo.list_models() == []
    with pytest.raises(ValueError, match="^KERAS_XCONS_OFFLINE is set, no URL"):
        zoo.load(NAME)
    monkeypatch.delenv("KERAS_XCONS_OFFLINE")
    zoo.load(NAME)
    assert cached() == {f"{by_url.url}/{NAME}": FILES}


def test_folders_of_an_older_layout_are_not_looked_at(original, monkeypatch):
    shutil.copytree(original, cache.root() / NAME)
    assert zoo.list_models() == []
    with pytest.raises(ValueError, match="^Unknown model"):
        zoo.load(NAME)


def lose_the_card(folder):
    (folder / "card.json").unlink()


def lose_the_origin(folder):
    (folder / "origin.json").unlink()


def damage_the_card(folder):
    (folder / "card.json").write_text("{")


def keep_an_older_card(folder):
    change_card(folder, method="older")


@pytest.mark.parametrize(
    "harm", [lose_the_card, lose_the_origin, damage_the_card, keep_an_older_card]
)
@pytest.mark.parametrize("function", [zoo.download, zoo.load, zoo.verify])
def test_cache_heals_where_only_the_weights_are_right(
    function, harm, by_url, monkeypatch
):
    path = zoo.download(NAME)
    harm(path.parent)
    by_url.sent.clear()
    function(NAME)
    assert by_url.sent == []  # the weights are not downloaded again
    assert sorted(os.listdir(path.parent)) == FILES
    monkeypatch.setenv("KERAS_XCONS_OFFLINE", "1")
    assert zoo.info(NAME)["method"] == "xcons"
    assert zoo.list_models() == [NAME]
    zoo.load(NAME)


def test_right_weights_are_used_where_nothing_can_be_put_beside_them(
    by_url, monkeypatch, caplog
):
    path = zoo.download(NAME)
    (path.parent / "card.json").unlink()
    (path.parent / "card.json").mkdir()
    (path.parent / "card.json" / "of the user").touch()
    caplog.set_level("WARNING", logger="absl")
    assert zoo.download(NAME) == path
    assert "Cannot write the" in caplog.text
    assert "the weights are there all the same" in caplog.text


def test_weights_from_the_url_of_the_card(by_card):
    path = zoo.download(NAME)
    (folder,) = cache.root().iterdir()
    assert path == folder / "model.weights.h5"
    assert sorted(os.listdir(folder)) == ["model.weights.h5", "origin.json"]
    assert by_card.asked == [f"/{NAME}.weights.h5"]
    zoo.load(NAME)
    assert len(by_card.asked) == 1


def test_card_of_a_folder_gets_no_place_among_addresses(by_url, folder, monkeypatch):
    # Its URL is the address of another model, whose card it must not replace.
    monkeypatch.delenv("KERAS_XCONS_ZOO")
    address = f"{by_url.url}/{NAME}"
    zoo.load(address)
    (by_url.folder / "x").mkdir()
    (folder / "model.weights.h5").unlink()
    change_card(folder, url=address, method="cgc")
    with pytest.raises((ConnectionError, ValueError)):
        zoo.load(folder)
    change_card(folder, url=f"{address}/model.weights.h5")
    zoo.load(folder)
    assert zoo.info(address)["method"] == "xcons"
    assert set(cached()) == {address, f"the weights at {address}/model.weights.h5"}


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
    by_url.spoil = "break text"
    assert zoo.list_models() == [NAME]
    zoo.load(NAME)
    # Another address is another zoo. Port 1 refuses connections.
    monkeypatch.setenv("KERAS_XCONS_ZOO", "http://127.0.0.1:1")
    assert zoo.list_models() == []
    with pytest.raises(ConnectionError, match="Cannot read http://127.0.0.1:1/small"):
        zoo.load(NAME)


def test_unknown_name_behind_a_url(by_url):
    with pytest.raises(ValueError, match=f"Did you mean '{NAME}'"):
        zoo.load("small_cnn_shape")
    assert contents(cache.root()) == []


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
        fetch.file(f"{by_card.url}/x", cache.root() / "y", 1, "0" * 64)
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
        ('{"a": {"dataset": "\\ud800"}}', "surrogate"),
    ],
)
def test_broken_index_is_named_and_hides_no_other_place(text, message, by_url, caplog):
    (by_url.folder / "index.json").write_text(text)
    for filters in ({}, {"method": "xcons"}):
        caplog.clear()
        with caplog.at_level("WARNING", logger="absl"):
            found = zoo.list_models(**filters)
        assert NAME not in found
        (record,) = caplog.records
        assert re.search(message, record.getMessage())
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
    assert "index.json does not exist; what was not downloaded is" in caplog.text


def test_broken_metrics_do_not_stop_a_download(by_url, caplog):
    caplog.set_level("WARNING", logger="absl")
    (by_url.folder / NAME / "metrics.json").write_text("{")
    zoo.load(NAME)
    assert "metrics.json is not JSON" in caplog.text
    files = [file for file in FILES if file != "metrics.json"]
    assert cached() == {f"{by_url.url}/{NAME}": files}


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


def test_replaced_model_is_downloaded_anew_or_kept(by_url, original, monkeypatch):
    path = zoo.download(NAME)
    before = path.read_bytes()
    # The model is published anew, so the cache no longer fits its card.
    change_card(by_url.folder / NAME, sha256="0" * 64)
    with pytest.raises(ValueError, match="was not kept"):
        zoo.download(NAME)
    assert path.read_bytes() == before
    monkeypatch.setenv("KERAS_XCONS_OFFLINE", "1")
    zoo.load(NAME)
    assert card_of(path.parent) == card_of(original)


def test_file_is_readable_for_others(by_url):
    old = os.umask(0o022)
    try:
        assert zoo.download(NAME).stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(old)
