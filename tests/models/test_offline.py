import urllib.error

import pytest
from keras.src.backend import config
from keras.src.utils import file_utils

from keras_xcons.models.architectures import create
from keras_xcons.offline import is_offline


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """The addresses that Keras asks, in vain; its cache is empty."""
    addresses = []

    def fail(origin, *_):
        addresses.append(origin)
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(config, "_KERAS_DIR", str(tmp_path))
    monkeypatch.setattr(file_utils, "urlretrieve", fail)
    return addresses


@pytest.mark.parametrize(
    "value, offline", [(None, False), ("", False), ("0", False), ("1", True)]
)
def test_switch(value, offline, monkeypatch):
    monkeypatch.delenv("KERAS_XCONS_OFFLINE", raising=False)
    if value is not None:
        monkeypatch.setenv("KERAS_XCONS_OFFLINE", value)
    assert is_offline() is offline


def test_imagenet_weights_are_not_asked_for_offline(asked, monkeypatch):
    monkeypatch.setenv("KERAS_XCONS_OFFLINE", "1")
    message = "KERAS_XCONS_OFFLINE is set.* by its path. Received: pretrained='imagenet"
    with pytest.raises(ConnectionError, match=message):
        create("mobilenet_v2", 3, 32, pretrained="imagenet")
    assert asked == []


def test_failed_download_is_a_connection_error(asked, monkeypatch):
    monkeypatch.delenv("KERAS_XCONS_OFFLINE", raising=False)
    with pytest.raises(ConnectionError, match="could not download.*no route to host"):
        create("mobilenet_v2", 3, 32, pretrained="imagenet", alpha=0.35)
    assert len(asked) == 1
