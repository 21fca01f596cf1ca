import functools
import http.server
import json
import threading

import keras
import numpy as np
import pytest

from keras_xcons import zoo
from keras_xcons.models.architectures import create
from keras_xcons.zoo import store

NAME = "small_cnn_shapes"


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; `server.spoil` says how it goes wrong with the weights."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.asked.append(self.path)
        spoil = self.server.spoil if self.path.endswith(".h5") else None
        if spoil is None:
            super().do_GET()
            return
        if spoil == "error":
            self.send_error(500)
            return
        with open(self.translate_path(self.path), "rb") as file:
            content = file.read()
        if spoil == "alter":
            content = content[:-1] + bytes([content[-1] ^ 1])
        if spoil == "longer":
            content += b"x"
        self.send_response(200)
        if spoil != "silent":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        broken = spoil in ("break", "silent")
        self.wfile.write(content[: len(content) // 2] if broken else content)


@pytest.fixture
def server(tmp_path):
    """A real web server over `tmp_path / "served"`."""
    served = tmp_path / "served"
    served.mkdir()
    handler = functools.partial(Handler, directory=str(served))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.asked, server.spoil = [], None
        server.folder = served
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    monkeypatch.delenv("KERAS_XCONS_ZOO", raising=False)
    monkeypatch.delenv("KERAS_XCONS_OFFLINE", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    (tmp_path / "checkout" / "zoo").mkdir(parents=True)
    (tmp_path / "checkout" / "setup.cfg").touch()
    monkeypatch.setattr(store, "_CHECKOUT", tmp_path / "checkout")


def publish(folder, **changes):
    keras.utils.set_random_seed(0)
    about = {
        "architecture": "small_cnn",
        "arguments": {"width": 4},
        "class_names": ["circle", "square"],
        "method": "xcons",
        "recipe": {"epochs": 2},
        "metrics": {"accuracy": 0.5},
        "data_license": "CC0-1.0",
        "weights_license": "Apache-2.0",
        "trained_on": "shapes",
    }
    model = create("small_cnn", 2, 16, width=4)
    return zoo.publish(model, NAME, folder, **{**about, **changes})


def leftovers():
    """Everything under the cache."""
    return sorted(path.name for path in store.cache().rglob("*"))


@pytest.fixture
def by_url(server, monkeypatch):
    """The server is the zoo that the environment names."""
    publish(server.folder)
    monkeypatch.setenv("KERAS_XCONS_ZOO", server.url + "/")
    return server


@pytest.fixture
def by_card(server, tmp_path):
    """The card is in the checkout, its weights are served."""
    folder = tmp_path / "checkout" / "zoo"
    model = publish(folder, url=f"{server.url}/{NAME}.weights.h5")
    (model / "model.weights.h5").rename(server.folder / f"{NAME}.weights.h5")
    return server


def test_zoo_behind_a_url(by_url):
    assert zoo.list_models() == [NAME]
    assert zoo.model_card(NAME)["class_names"] == ["circle", "square"]
    assert leftovers() == []
    model = zoo.load(NAME)
    assert model(np.zeros((1, 16, 16, 3), "uint8")).shape == (1, 2)
    assert leftovers() == ["card.json", "model.weights.h5", NAME]
    by_url.asked.clear()
    zoo.load(NAME)
    assert by_url.asked == [f"/{NAME}/card.json"]


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
    assert zoo.list_models() == [NAME]
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
    assert leftovers() == []


def test_url_that_does_not_answer(monkeypatch):
    monkeypatch.setenv("KERAS_XCONS_ZOO", "http://127.0.0.1:1")
    with pytest.raises(ConnectionError, match="Cannot read http://127.0.0.1:1/small"):
        zoo.load(NAME)


@pytest.mark.parametrize(
    "spoil, error, message",
    [
        ("break", ConnectionError, "broke off after|Cannot download"),
        ("silent", ConnectionError, r"broke off after \d+ of \d+ bytes"),
        ("error", ConnectionError, "Cannot download .*500"),
        ("alter", ValueError, "not kept. Expected: sha256=.*Received: sha256="),
        ("longer", ValueError, r"not kept. Expected: bytes=\d+. Received: more"),
    ],
)
def test_failed_download_leaves_nothing(by_card, spoil, error, message):
    by_card.spoil = spoil
    with pytest.raises(error, match=message):
        zoo.load(NAME)
    assert leftovers() == []
    by_card.spoil = None
    zoo.load(NAME)


def test_failed_download_keeps_what_was_there(by_card):
    path = zoo.download(NAME)
    before = path.read_bytes()
    card = path.parent / "card.json"
    # The model is published anew, so the cache no longer fits its card.
    checkout = store._CHECKOUT / "zoo" / NAME / "card.json"
    changed = {**json.loads(checkout.read_text()), "sha256": "0" * 64}
    checkout.write_text(json.dumps(changed))
    with pytest.raises(ValueError, match="was not kept"):
        zoo.download(NAME)
    assert path.read_bytes() == before
    assert json.loads(card.read_text())["sha256"] != "0" * 64


def test_outdated_cache_is_replaced(by_url):
    path = zoo.download(NAME)
    path.write_bytes(b"of an earlier version")
    zoo.load(NAME)
    assert path.stat().st_size == zoo.model_card(NAME)["bytes"]


def test_offline_never_touches_the_network(by_card, monkeypatch):
    monkeypatch.setenv("KERAS_XCONS_OFFLINE", "1")
    with pytest.raises(FileNotFoundError, match="KERAS_XCONS_OFFLINE is set"):
        zoo.load(NAME)
    monkeypatch.setenv("KERAS_XCONS_ZOO", by_card.url)
    assert zoo.list_models() == [NAME]
    with pytest.raises(ValueError, match="no URL was asked. Unknown model"):
        zoo.load("small_cnn_other")
    assert by_card.asked == []
    monkeypatch.setenv("KERAS_XCONS_OFFLINE", "0")
    with pytest.raises(ValueError, match="^Unknown model"):
        zoo.load("small_cnn_other")
    assert by_card.asked != []


def test_card_without_url_or_weights_says_so(tmp_path):
    folder = publish(tmp_path / "checkout" / "zoo")
    (folder / "model.weights.h5").unlink()
    with pytest.raises(FileNotFoundError, match="the card has no URL"):
        zoo.load(NAME)


def test_second_url_is_tried(by_card, monkeypatch):
    # The zoo behind the URL holds the card alone; the card says where the rest is.
    folder = store._CHECKOUT / "zoo" / NAME
    folder.rename(by_card.folder / NAME)
    monkeypatch.setenv("KERAS_XCONS_ZOO", by_card.url)
    zoo.load(NAME)
    assert by_card.asked == [
        f"/{NAME}/card.json",
        f"/{NAME}/model.weights.h5",
        f"/{NAME}.weights.h5",
    ]


def test_broken_index_is_named(by_url):
    (by_url.folder / "index.json").write_text("{}")
    with pytest.raises(ValueError, match="index.json must be a JSON list"):
        zoo.list_models()
    (by_url.folder / "index.json").write_text("[")
    with pytest.raises(ValueError, match="index.json is not JSON"):
        zoo.list_models()
    (by_url.folder / "index.json").unlink()
    assert zoo.list_models() == []
