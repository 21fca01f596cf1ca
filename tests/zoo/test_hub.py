import builtins
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from keras_xcons import zoo
from keras_xcons.zoo import cache
from keras_xcons.zoo.hub import Hub
from tests.zoo import server
from tests.zoo.hub_server import Handler
from tests.zoo.published import NAME, contents

CHECKOUT = pathlib.Path(__file__).parents[2]
MODEL = "hf://someone/birds"
ZOO = "hf://someone/zoo"


@pytest.fixture
def hub(original, tmp_path, monkeypatch):
    """A server that speaks as the Hub does, and an empty cache of the Hub's library."""
    from huggingface_hub import constants

    with server.serve(tmp_path / "hub", Handler) as running:
        shutil.copytree(original, running.folder / "someone/birds")
        shutil.copytree(original.parent, running.folder / "someone/zoo/models")
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setattr(
            constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            running.url + "/{repo_id}/resolve/{revision}/{filename}",
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
        yield running


def downloads(hub):
    asked = [path for command, path in hub.asked if command == "GET"]
    return [path for path in asked if "/resolve/" in path]


def test_model_at_the_root_of_a_repository(hub, tmp_path):
    assert zoo.load(MODEL).output_shape == (None, 3)
    assert zoo.verify(MODEL) == 0.0
    assert zoo.info(MODEL)["metrics"]["accuracy"] == 0.5
    assert pathlib.Path(zoo.download(MODEL)).is_relative_to(tmp_path / "hf")
    assert not cache.root().exists()
    # Every file once, however often it is needed.
    assert sorted(downloads(hub)) == [
        f"/someone/birds/resolve/main/{file}"
        for file in ("card.json", "metrics.json", "model.weights.h5")
    ]


def test_model_in_a_subfolder(hub):
    assert zoo.info(f"{ZOO}/models/{NAME}/")["name"] == NAME
    assert zoo.load(f"{ZOO}/models/{NAME}").output_shape == (None, 3)


def test_repository_is_a_zoo(hub, monkeypatch):
    monkeypatch.setenv("KERAS_XCONS_ZOO", f"{ZOO}/models")
    assert zoo.list_models(architecture="small_cnn") == [NAME]
    assert zoo.load(NAME).output_shape == (None, 3)
    with pytest.raises(ValueError, match=f"Did you mean '{NAME}'"):
        zoo.load("small_cnn_shape")


def test_offline_what_was_read_once_is_there(hub, monkeypatch):
    monkeypatch.setenv("KERAS_XCONS_OFFLINE", "1")
    with pytest.raises(FileNotFoundError, match="holds a card.json; there is none"):
        zoo.load(MODEL)
    assert hub.asked == []
    monkeypatch.delenv("KERAS_XCONS_OFFLINE")
    zoo.load(MODEL)
    monkeypatch.setenv("KERAS_XCONS_ZOO", f"{ZOO}/models")
    zoo.list_models()
    monkeypatch.setenv("KERAS_XCONS_OFFLINE", "1")
    hub.asked.clear()
    zoo.load(MODEL)
    assert zoo.list_models() == [NAME]
    with pytest.raises(ValueError, match="no URL was asked"):
        zoo.load(NAME)
    assert hub.asked == []


def test_unreachable_hub_answers_from_its_cache(hub, monkeypatch):
    from huggingface_hub import constants

    zoo.load(MODEL)
    # Port 1 refuses connections.
    dead = "http://127.0.0.1:1"
    monkeypatch.setattr(constants, "ENDPOINT", dead)
    template = dead + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    hub.asked.clear()
    assert zoo.load(MODEL).output_shape == (None, 3)
    assert hub.asked == []


def test_altered_weights_are_not_opened(hub):
    hub.spoil = "alter"
    with pytest.raises(ValueError, match="altered.*not opened.*Received: sha256="):
        zoo.load(MODEL)
    # It was asked for twice: it might have been damaged in the cache.
    assert len([path for path in downloads(hub) if path.endswith(".h5")]) == 2
    hub.spoil = None
    zoo.load(MODEL)


def test_file_that_was_damaged_in_the_cache_is_replaced(hub, monkeypatch):
    path = pathlib.Path(zoo.download(MODEL)).resolve()
    right = path.read_bytes()
    path.write_bytes(right[:-1])
    monkeypatch.setenv("KERAS_XCONS_OFFLINE", "1")
    with pytest.raises(ValueError, match="truncated.*was not opened"):
        zoo.load(MODEL)
    monkeypatch.delenv("KERAS_XCONS_OFFLINE")
    zoo.load(MODEL)
    assert path.read_bytes() == right


@pytest.mark.parametrize(
    "file, largest", [("card.json", 4 << 20), ("model.weights.h5", None)]
)
def test_file_that_is_too_large_is_not_downloaded(file, largest, hub):
    path = hub.folder / "someone/birds" / file
    largest = largest or path.stat().st_size
    with open(path, "ab") as opened:
        opened.truncate(largest + 1)
    with pytest.raises(ConnectionError, match=f"{file} is larger than {largest} bytes"):
        zoo.load(MODEL)
    assert not [one for one in downloads(hub) if one.endswith(file)]


def test_repository_without_the_weights_names_them(hub):
    (hub.folder / "someone/birds/model.weights.h5").unlink()
    with pytest.raises(FileNotFoundError, match="weights of .* not on this machine"):
        zoo.load(MODEL)


def test_repository_that_is_no_model(hub):
    with pytest.raises(FileNotFoundError, match="none. Received: 'hf://someone/zoo'"):
        zoo.load(ZOO)


def test_unknown_repository(hub, monkeypatch):
    message = "no such repository .*Received: 'hf://someone/fish'"
    with pytest.raises(FileNotFoundError, match=message):
        zoo.load("hf://someone/fish")
    monkeypatch.setenv("KERAS_XCONS_ZOO", "hf://someone/fish")
    with pytest.raises(FileNotFoundError, match=message):
        zoo.list_models()


def test_hub_out_of_order(hub, monkeypatch):
    from huggingface_hub import file_download

    monkeypatch.setattr(file_download, "_DEFAULT_RETRY_ON_STATUS_CODES", ())
    hub.spoil = 500
    with pytest.raises(ConnectionError, match="Cannot read hf://.*card.json: .*500"):
        zoo.load(MODEL)


@pytest.mark.parametrize(
    "address",
    [
        "hf://",
        "hf://birds",
        "hf://someone/../birds",
        "hf://someone/birds/../x",
        "hf://someone/birds//x",
        "hf:///someone/birds",
        "hf://someone/birds?x",
    ],
)
def test_address_of_another_form_is_refused(address, monkeypatch):
    with pytest.raises(ValueError, match="hf://owner/repository./subfolder.. Received"):
        zoo.load(address)
    monkeypatch.setenv("KERAS_XCONS_ZOO", address)
    with pytest.raises(ValueError, match="hf://owner/repository"):
        zoo.list_models()


def test_without_the_library_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def missing(name, *arguments, **options):
        if name.startswith("huggingface_hub"):
            raise ModuleNotFoundError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match=r"pip install 'keras-xcons\[hub\]'"):
        Hub(MODEL)


@pytest.mark.slow
def test_process_reads_the_hub_that_the_environment_names(hub, tmp_path):
    code = (
        "from keras_xcons import zoo; "
        f"zoo.load({MODEL!r}); print(zoo.verify({MODEL!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=CHECKOUT,
        env={
            **os.environ,
            "PYTHONPATH": str(CHECKOUT),
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(tmp_path / "hf_home"),
        },
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "0.0\n"), done.stderr
    assert len(downloads(hub)) == 2
    assert "hub" in contents(tmp_path / "hf_home")
