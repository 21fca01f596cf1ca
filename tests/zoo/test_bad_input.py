import json
import os
import time

import h5py
import keras
import pytest
from tensorflow.python.ops import resource_variable_ops

from keras_xcons import zoo
from keras_xcons.files import sha256_of_file
from keras_xcons.zoo import cache
from keras_xcons.zoo import card as cards
from tests.zoo.published import (
    ABOUT,
    CLASSES,
    NAME,
    card_of,
    change_card,
    contents,
    trained,
    write_card,
)


@pytest.fixture
def nothing_is_opened(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the file was opened")

    monkeypatch.setattr(keras.Model, "load_weights", refuse)
    monkeypatch.setattr(h5py, "File", refuse)


def truncate(content):
    return content[: len(content) // 2]


def alter(content):
    return content[:-1] + bytes([content[-1] ^ 1])


def empty(content):
    return b""


@pytest.mark.parametrize(
    "damage, kind", [(truncate, "bytes"), (empty, "bytes"), (alter, "sha256")]
)
def test_damaged_file_is_never_opened(damage, kind, folder, nothing_is_opened):
    path = folder / "model.weights.h5"
    path.write_bytes(damage(path.read_bytes()))
    expected = card_of(folder)[kind]
    received = sha256_of_file(path) if kind == "sha256" else path.stat().st_size
    message = f"{path}.*not opened.*{kind}={expected}. Received: {kind}={received}"
    for function in (zoo.load, zoo.download, zoo.verify):
        with pytest.raises(ValueError, match=message):
            function(NAME)


def test_swapped_files_are_never_opened(folder, zoo_folder, places, request):
    model = trained()
    model.get_layer("logits").bias.assign([1.0, 2.0, 3.0])
    other = zoo.publish(model, "small_cnn_other", zoo_folder, **ABOUT)
    first, second = folder / "model.weights.h5", other / "model.weights.h5"
    assert first.stat().st_size == second.stat().st_size
    first.rename(places / "kept")
    second.rename(first)
    (places / "kept").rename(second)
    request.getfixturevalue("nothing_is_opened")
    for name in (NAME, "small_cnn_other"):
        with pytest.raises(ValueError, match="of another model, and was not opened"):
            zoo.load(name)


def test_link_is_followed_to_the_right_file_alone(folder, places, nothing_is_opened):
    path = folder / "model.weights.h5"
    elsewhere = places / "blob"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    assert zoo.download(NAME) == path
    secret = places / "secret"
    secret.write_text("of another user")
    path.unlink()
    path.symlink_to(secret)
    with pytest.raises(ValueError, match="was not opened. Expected: bytes="):
        zoo.load(NAME)
    # A device without end is no file.
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(FileNotFoundError, match="are not on this machine"):
        zoo.load(NAME)


LOGITS = [0.5, 1.0, -2.0]


def check(logits, heatmap=None):
    return {"logits": logits, "heatmap": heatmap}


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"sha256": None}, "lacks the fields .'sha256'."),
        ({"check": None}, "lacks the fields .'check'."),
        ({"pickle": "x", "trained_on": "x"}, "unknown fields .'pickle', 'trained_on'."),
        ({"weights": "../model.weights.h5"}, "'weights' must be a plain file name"),
        ({"weights": "/tmp/model.weights.h5"}, "'weights' must be a plain file name"),
        ({"weights": "a/model.weights.h5"}, "'weights' must be a plain file name"),
        ({"weights": "..\\model.weights.h5"}, "'weights' must be a plain file name"),
        ({"weights": "x\x00.weights.h5"}, "'weights' must be a plain file name"),
        ({"weights": "model.pkl"}, "'weights' must be a plain file name"),
        ({"weights": ["model.weights.h5"]}, "'weights' must be a plain file name"),
        ({"recipe": "../recipe.json"}, "'recipe' must be a plain file name"),
        ({"recipe": "/etc/passwd"}, "'recipe' must be a plain file name"),
        ({"name": "../x"}, "'name' must be a model name"),
        ({"sha256": "ABC"}, "'sha256' must be 64 lower-case hexadecimal digits"),
        ({"bytes": True}, "'bytes' must be a positive int"),
        ({"bytes": 12.0}, "'bytes' must be a positive int"),
        ({"bytes": -1}, "'bytes' must be a positive int"),
        ({"bytes": 1 << 60}, "'bytes' must be a positive int of at most 4294967296"),
        ({"input_size": [16]}, "'input_size' must be .height, width."),
        ({"input_size": [16, "16"]}, "'input_size' must be .height, width."),
        ({"class_names": []}, "'class_names' must be a non-empty list"),
        ({"class_names": "abc"}, "'class_names' must be a non-empty list"),
        ({"class_names": CLASSES[:2]}, "for each of the 3 logits. Received: 2 names"),
        ({"class_names": [*CLASSES, "x"]}, "of the 3 logits. Received: 4 names"),
        (
            {"class_names": CLASSES[:2], "check": check(LOGITS[:2])},
            "does not fit its architecture.* for 2 classes",
        ),
        ({"check": LOGITS}, "'check' must be an object"),
        ({"check": check("abc")}, "'check' must be an object"),
        ({"check": check([1, "2", 3])}, "'check' must be"),
        ({"check": {**check(LOGITS), "x": 1}}, "'check' must be"),
        ({"check": check(LOGITS, [])}, "'check' must be an object"),
        ({"check": check(LOGITS, [[0.5], [0.5, 0.5]])}, "'check' must be an object"),
        ({"check": check(LOGITS, [[1.5]])}, "'check' must be an .* in 0..1"),
        ({"check": check(LOGITS, [[float("nan")]])}, "in 0..1|JSON"),
        ({"check": check(LOGITS, [[True]])}, "'check' must be an object"),
        ({"check": check(LOGITS, [[0.5]] * 9)}, "at most 8 a side"),
        ({"explainer": 3}, "'explainer' must be a non-empty string"),
        ({"url": "file:///etc/passwd"}, "'url' must be null or an http"),
        ({"arguments": [1]}, "'arguments' must be an object"),
        ({"format": 3}, "later version of keras-xcons.*Received: format=3"),
        ({"format": 0}, "'format' must be an int of 1 to 2"),
        ({"format": True}, "'format' must be an int of 1 to 2"),
        ({"format": "1"}, "'format' must be an int of 1 to 2"),
        ({"name": "small_cnn_pets"}, "that of another model.*name='small_cnn_pets'"),
        ({"parameters": 1}, "does not fit.* has more than 2 parameters.*parameters=1$"),
        ({"parameters": 3001}, "does not fit its architecture.*parameters=3001"),
        ({"parameters": 1 << 30}, "2 bytes a parameter or more.*parameters=1073741824"),
        ({"parameters": 1 << 40}, "'parameters' must be a positive int of at most"),
        ({"input_size": [1 << 31, 1 << 31]}, "'input_size' must .* of at most 2048"),
        ({"check": check([10**400, 1, 2])}, "'check' must be an"),
        ({"method": "x" * 4001}, "'method' must be .* of at most 4000 characters"),
        ({"arguments": {"x": "y" * 10**6}}, "'arguments' must be an object of at most"),
        (
            {"class_names": ["x"] * 100_001},
            "'class_names' must .* at most 100000 st",
        ),
        ({"feature_layer": "nosuch"}, "does not have. Received: feature_layer='nos"),
        ({"weights": "\u00e9.weights.h5"}, "'weights' must be a plain file name"),
        ({"weights": f"{'a' * 128}.weights.h5"}, "'weights' must be a plain file name"),
        ({"url": "http://\u00e9.org/"}, "'url' must be null or an http"),
        ({"url": "http://[::1/x"}, "'url' must be null or an http"),
        ({"architecture": "small_cmn"}, "later version may.*Did you mean 'small_cnn'"),
        ({"architecture": "x"}, "cannot build.*Accepted: .*'mobilenet_v2', .*'vgg16'"),
        ({"arguments": {"width": 4, "wide": 1}}, "later version.*Did you mean 'width'"),
        ({"arguments": {"width": "4"}}, "The card of 'small_cnn_shapes' describes"),
        ({"arguments": {"pretrained": "imagenet"}}, "must not set .'pretrained'."),
        ({"arguments": {"num_classes": 2}}, "must not set .'num_classes'."),
    ],
)
def test_wrong_card_is_refused(changes, message, folder, nothing_is_opened):
    card = {**card_of(folder), **changes}
    absent = [name for name in ("sha256", "check") if card[name] is None]
    write_card(folder, {k: v for k, v in card.items() if k not in absent})
    with pytest.raises(ValueError, match=message):
        zoo.load(NAME)


@pytest.mark.parametrize(
    "architecture, arguments",
    [
        ("small_cnn", {"width": 5000}),
        ("small_cnn", {"width": 10**30}),
        ("mobilenet_v2", {"alpha": 30}),
        ("protopnet", {"backbone": "small_cnn", "prototypes": 10**5}),
        ("protopnet", {"backbone": "small_cnn", "prototypes": [10**5, 1, 1]}),
        ("protopnet", {"backbone": "small_cnn", "channels": 10**5}),
    ],
)
def test_card_cannot_ask_for_memory(architecture, arguments, folder, monkeypatch):
    largest = 0
    made = resource_variable_ops.ResourceVariable.__init__

    def note(self, *args, **kwargs):
        nonlocal largest
        made(self, *args, **kwargs)
        largest = max(largest, self.shape.num_elements())

    monkeypatch.setattr(resource_variable_ops.ResourceVariable, "__init__", note)
    most = card_of(folder)["parameters"]
    change_card(folder, architecture=architecture, arguments=arguments)
    with pytest.raises(ValueError, match="does not fit its arch|describes a model"):
        zoo.load(NAME)
    assert largest <= 2 * most


def repeated(text):
    return text.replace('"method":', '"method": "plain", "method":')


def not_a_number(text):
    return text.replace('"bytes":', '"bytes": NaN, "x":')


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda text: text[:-30], "card.json is not JSON"),
        (lambda text: "", "card.json is not JSON"),
        (lambda text: "[]", "must be a JSON object. Received: list"),
        (repeated, r"is not JSON: the keys \['method'\] appear more than once"),
        (not_a_number, "is not JSON: NaN is no JSON value"),
        (lambda text: '{"bytes": 1e999}', "is not JSON: the number 1e999 is too large"),
        (lambda text: '{"a":' * 100_000, "is not JSON: it is nested too deeply"),
        (lambda text: '{"bytes": ' + "1" * 5000 + "}", "is not JSON"),
        (lambda text: "\udcff", "is not JSON"),
        (lambda text: " " * (5 << 20), "card.json is larger than 4194304 bytes"),
        (lambda text: '{"a":' * 65 + "1" + "}" * 65, "it is nested too deeply"),
        (lambda text: '{"a": "\\ud800"}', "is not JSON in UTF-8: .*surrogates not all"),
        (lambda text: '["\\uD83D\\uDE00"]', "must be a JSON object. Received: list"),
    ],
)
def test_card_that_is_no_plain_json_is_refused(spoil, message, folder):
    card = folder / "card.json"
    changed = spoil(card.read_text("utf-8"))
    card.write_bytes(changed.encode("utf-8", "surrogateescape"))
    for function in (zoo.info, zoo.load, zoo.download):
        with pytest.raises(ValueError, match=message):
            function(NAME)


@pytest.mark.parametrize(
    "text",
    [
        "{" + ", ".join(f'"{n}": 0' for n in range(300_000)) + ', "0": 1}',
        "{" + ", ".join(f'"{n}": 0' for n in [*range(150_000)] * 2) + "}",
        '{"a": [' + "[], " * 1_000_000 + "[]]}",
        '{"a": ' + "[" * 60 + "1, " * 1_000_000 + "1" + "]" * 60 + "}",
        '{"a": [' + '{"a": 1, "a": 2}, ' * 100_000 + "1]}",
        '{"a": [' + f"{'1' * 4000}, " * 1000 + "1]}",
        '{"a": "' + "\\ud83d\\ude00" * 300_000 + '"}',
    ],
    ids=["one twice", "all twice", "wide", "deep", "objects", "integers", "escapes"],
)
def test_no_card_takes_long_to_read(text):
    assert len(text) <= 4 << 20
    start = time.process_time()
    with pytest.raises(ValueError) as error:
        cards.parse(text, "x/card.json")
    assert time.process_time() - start < 10.0  # seconds; a quadratic one takes minutes
    assert len(str(error.value)) < 600


def test_what_cannot_be_built_is_not_downloaded(by_card, zoo_folder):
    change_card(zoo_folder / NAME, architecture="vision_transformer")
    with pytest.raises(ValueError, match="architecture='vision_transformer'"):
        zoo.load(NAME)
    assert by_card.asked == []
    assert not cache.root().exists()


def test_long_value_does_not_drown_the_message(folder):
    change_card(folder, class_names=["x" * 10_000, ""])
    with pytest.raises(ValueError) as error:
        zoo.info(NAME)
    assert len(str(error.value)) < 600


def test_card_from_the_web_is_checked_likewise(by_url):
    card = by_url.folder / NAME / "card.json"
    content = json.loads(card.read_text())
    card.write_text(json.dumps({**content, "weights": "../../etc/x.weights.h5"}))
    with pytest.raises(ValueError, match="'weights' must be a plain file name"):
        zoo.download(NAME)
    card.write_text(json.dumps({**content, "name": "other"}))
    with pytest.raises(ValueError, match="is that of another model"):
        zoo.download(NAME)
    assert not cache.root().exists()
    assert contents(by_url.folder / NAME) == sorted(os.listdir(by_url.folder / NAME))
