"""Where published models are looked for, and in what order."""

import dataclasses
import os
import pathlib
import threading

from absl import logging

from keras_xcons import checks
from keras_xcons.offline import is_offline
from keras_xcons.zoo import card as cards
from keras_xcons.zoo import fetch
from keras_xcons.zoo.hub import Hub
from keras_xcons.zoo.places import Folder, Web, read_card
from keras_xcons.zoo.plain import read_json, write_json

_CHECKOUT = pathlib.Path(__file__).parents[2]
# Threads wait for each other, processes do not.
_DOWNLOADING = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Entry:
    """A published model that was found.

    Attributes:
        card: Its card, checked.
        place: The place of its card, see `keras_xcons.zoo.places`.
    """

    card: dict
    place: object

    def metrics(self):
        """Returns what its evaluator wrote, a dict, `None` where it does not lie."""
        content = self.place.read(cards.METRICS_FILE)
        if content is None:
            return None
        source = f"The file {self.place}/{cards.METRICS_FILE}"
        metrics = read_json(content, source)
        if not isinstance(metrics, dict):
            raise ValueError(
                f"{source} must be a JSON object. Received: {type(metrics).__name__}"
            )
        return metrics


def cache():
    """Returns the folder of downloaded models, under the Keras home."""
    home = os.environ.get("KERAS_HOME") or os.path.join("~", ".keras")
    return pathlib.Path(home).expanduser() / "keras_xcons"


def find(name):
    """Finds a published model by name, in a local folder or at an address.

    Args:
        name: As for `keras_xcons.load`.

    Returns:
        An `Entry`. Nothing but its card has been read.

    Raises:
        TypeError: Neither a string nor a path.
        ValueError: Unknown name, or a card that is not as it should be.
        FileNotFoundError: There is no such folder, or no card in it.
        ConnectionError: The model is in no local place, and the zoo that
            `KERAS_XCONS_ZOO` gives by its address cannot be read.
        ImportError: An `hf://` address without `huggingface_hub`.
    """
    if not isinstance(name, str | os.PathLike):
        raise TypeError(
            "A published model is named by a string or the path of its folder. "
            f"Received: {name!r}"
        )
    if isinstance(name, os.PathLike) or _is_path(name):
        return _at(_place(os.fspath(name)))
    failure = None
    for place in _places():
        try:
            entry = _look_up(place, name)
        except ConnectionError as error:
            logging.warning("%s; looking for %s elsewhere", error, name)
            failure = error
            continue
        if entry is not None:
            return entry
    # Unlike pathlib, os.path takes a name that is too long for one that is not there.
    if os.path.isfile(os.path.join(name, cards.CARD_FILE)):
        return _at(Folder(name))
    if failure is not None:
        raise failure
    message = checks.unknown("model", name, summaries())
    if is_offline():
        message = f"KERAS_XCONS_OFFLINE is set, no URL was asked. {message}"
    raise ValueError(message)


def summaries():
    """Returns what all models that can be found are, a dict by name."""
    found = {}
    for place in _places():
        found = {**place.summaries(), **found}
    return found


def weights_file(entry):
    """Returns a weights file whose sha256 is that of the card.

    Args:
        entry: An `Entry`.

    Returns:
        `pathlib.Path` of the file: beside the card, else in the cache, else
        downloaded into the cache.

    Raises:
        ValueError: The file differs from what the card says. It was not opened.
        FileNotFoundError: The file is nowhere, and there is no URL or
            `KERAS_XCONS_OFFLINE` is set.
        ConnectionError: The download failed; nothing of it is left.
        OSError: The cache cannot be written to, or has no space left.
    """
    card = entry.card
    path = entry.place.weights(card)
    if path is not None:
        return path
    with _DOWNLOADING:
        return _from_cache(entry)


def _from_cache(entry):
    """The weights file in the cache, downloaded where it is not there."""
    card = entry.card
    path = cache() / card["name"] / card["weights"]
    if path.is_file() and fetch.sha256(path) == card["sha256"]:
        return path
    urls = entry.place.urls(card)
    if card["url"] is not None:
        urls = (*urls, card["url"])
    if not urls or is_offline():
        reason = "KERAS_XCONS_OFFLINE is set" if urls else "the card has no URL"
        raise FileNotFoundError(
            f"The weights of {card['name']!r} are not on this machine ({path} is "
            f"missing or not that of the card), and {reason}. "
            f"Received: urls={list(urls)}"
        )
    _download(urls, path, card)
    metrics = _metrics_or_none(entry)
    if metrics is not None:
        write_json(path.parent / cards.METRICS_FILE, metrics)
    # The card comes last, so that a card in the cache has its weights beside it.
    write_json(path.parent / cards.CARD_FILE, card)
    return path


def _download(urls, path, card):
    """Downloads a weights file from the first URL that has it."""
    *others, last = urls
    for url in others:
        try:
            return fetch.file(url, path, card["bytes"], card["sha256"])
        except ConnectionError as error:
            logging.warning("%s; trying %s", error, last)
    return fetch.file(last, path, card["bytes"], card["sha256"])


def _metrics_or_none(entry):
    """The metrics that go into the cache, for which no download need fail."""
    try:
        return entry.metrics()
    except (ConnectionError, ValueError) as error:
        logging.warning("%s; the weights are there all the same", error)
        return None


def _is_path(text):
    separators = [separator for separator in (os.sep, os.altsep, "/") if separator]
    return text.startswith((".", "~")) or any(one in text for one in separators)


def _place(text):
    """The place that a path or an address means."""
    if text.startswith("hf://"):
        return Hub(text)
    if cards.is_url(text):
        return Web(text)
    if "://" in text:
        raise ValueError(
            "The address of a model must be a URL http(s)://... in ASCII characters, "
            f"or hf://owner/repository. Received: {text!r}"
        )
    return Folder(pathlib.Path(text).expanduser())


def _places():
    """Yields the places of many models, in the order in which they are asked."""
    configured = os.environ.get("KERAS_XCONS_ZOO")
    if configured:
        place = _place(configured)
        if isinstance(place, Folder) and not os.path.isdir(place.path):
            raise FileNotFoundError(
                "KERAS_XCONS_ZOO must be an existing folder, an http(s) URL or an "
                f"hf:// address. Received: KERAS_XCONS_ZOO={configured!r}"
            )
        # The Hub's library has a cache of its own to answer from.
        if not (isinstance(place, Web) and is_offline()):
            yield place
    # In an installed package the folder above it is not this project's.
    if (_CHECKOUT / "setup.cfg").is_file() and (_CHECKOUT / "zoo").is_dir():
        yield Folder(_CHECKOUT / "zoo")
    if cache().is_dir():
        yield Folder(cache())


def _look_up(place, name):
    """Returns the `Entry` of a name in one place, `None` when it is not there."""
    if not cards.is_name(name):
        return None
    inside = place.inside(name)
    card = read_card(inside, name)
    return None if card is None else Entry(card, inside)


def _at(place):
    """Returns the `Entry` of the one model in a place."""
    if isinstance(place, Folder) and not os.path.isdir(place.path):
        raise FileNotFoundError(f"There is no such folder. Received: {str(place)!r}")
    card = read_card(place)
    if card is None:
        raise FileNotFoundError(
            f"The place of a published model holds a {cards.CARD_FILE}; there is none. "
            f"Received: {str(place)!r}"
        )
    return Entry(card, place)
