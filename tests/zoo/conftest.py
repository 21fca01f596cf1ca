"""An empty cache and an empty checkout for each test, and a web server."""

import shutil

import pytest

from keras_xcons.zoo import fetch, store
from tests.zoo import published, server


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    monkeypatch.delenv("KERAS_XCONS_ZOO", raising=False)
    monkeypatch.delenv("KERAS_XCONS_OFFLINE", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(fetch, "_PAUSE", 0.0)
    checkout = tmp_path / "checkout"
    (checkout / "zoo").mkdir(parents=True)
    (checkout / "setup.cfg").touch()
    monkeypatch.setattr(store, "_CHECKOUT", checkout)
    return tmp_path


@pytest.fixture
def zoo_folder(places):
    return places / "checkout" / "zoo"


@pytest.fixture(scope="session")
def original(tmp_path_factory):
    """Folder of a published model, which no test may change."""
    return published.publish(tmp_path_factory.mktemp("original"))


@pytest.fixture
def folder(original, zoo_folder):
    """Folder of a model that is published in the checkout."""
    shutil.copytree(original.parent, zoo_folder, dirs_exist_ok=True)
    return zoo_folder / published.NAME


@pytest.fixture
def web(tmp_path):
    """A real web server over `tmp_path / "served"`."""
    with server.serve(tmp_path / "served") as running:
        yield running


@pytest.fixture
def by_url(original, web, monkeypatch):
    """The server is the zoo that the environment names."""
    shutil.copytree(original.parent, web.folder, dirs_exist_ok=True)
    monkeypatch.setenv("KERAS_XCONS_ZOO", web.url + "/")
    return web


@pytest.fixture
def by_card(web, folder):
    """The card is in the checkout, its weights are served."""
    name = f"{published.NAME}.weights.h5"
    published.change_card(folder, url=f"{web.url}/{name}")
    (folder / "model.weights.h5").rename(web.folder / name)
    return web
